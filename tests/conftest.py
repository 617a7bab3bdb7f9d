"""Fixtures for all tests: small real pictures on disk, tiny trainings, and where large real data may be."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image

from frostline import cli as command_line
from frostline._torchvision import ensure_importable
from frostline.config import TrainConfig

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ensure_importable()
torch.set_num_threads(1)  # tiny networks are quicker so

TINY_BACKBONE = "test_efficientnet"
"""A backbone of timm's with 360,000 parameters, made for tests."""


def write_pictures(folder: Path, classes: dict[str, int], side: int = 40, seed: int = 0) -> Path:
    """Write noisy JPEG pictures, each class in its own colour, into one folder a class."""
    rng = np.random.default_rng(seed)
    for position, (name, count) in enumerate(classes.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        colour = np.roll([220, 110, 40], position)
        for number in range(count):
            noise = rng.normal(0, 40, (side, side + number % 7, 3))
            pixels = np.clip(colour + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:03}.jpg", quality=92)
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own, not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("FROSTLINE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator["Browser"]:
    """A headless Chromium with the module's `BROWSER_FLAGS`; tests that need it are skipped where it is not installed.

    It is of one module: as long as it is there, no other test of the process may have an event loop.
    """
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium is installed")
    flags = getattr(request.module, "BROWSER_FLAGS", [])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", *flags])
        yield browser
        browser.close()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 60 pictures in three classes."""
    return write_pictures(tmp_path / "photos", {"apple": 20, "leaf": 20, "sky": 20})


@pytest.fixture(scope="session", name="write_pictures")
def write_pictures_fixture() -> Callable[..., Path]:
    """`write_pictures`, for tests that want pictures of their own."""
    return write_pictures


@pytest.fixture(scope="session")
def tiny_config() -> Callable[..., TrainConfig]:
    """Options of a training that takes a second; give `runs_dir`, and any option to change it."""

    def make(**options: Any) -> TrainConfig:
        quick = {"backbone": TINY_BACKBONE, "weights": "none", "size": 64, "epochs": 2, "batch_size": 8}
        tail = {"trainable_layers": 6, "batch_norm": "adapt", "head_width": 32}
        return TrainConfig.make(**{**quick, **tail, "device": "cpu", **options})

    return make


def run_command(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run the command line in this process: what a child process would give, without starting one."""
    argv = ["frostline", *map(str, arguments)]
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    standard_input = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
    code: object = 0
    with redirect_stdout(out), redirect_stderr(err), patch.multiple(sys, argv=argv, stdin=standard_input):
        try:
            command_line.main()
        except SystemExit as stop:
            code = stop.code
    assert isinstance(code, int)
    texts = []
    for stream in (out, err):
        stream.seek(0)
        texts.append(stream.read())
    return subprocess.CompletedProcess(argv, code, *texts)


@pytest.fixture(scope="session")
def cli() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run_command`, for tests of the command line."""
    return run_command


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `photos/`, with the `runs/` that a tiny training on them left, and with what it said.

    Its output is in `stdout.txt` and `stderr.txt`; the run is `runs/photos-test_efficientnet-1`.
    """
    place = tmp_path_factory.mktemp("finished")
    photos = write_pictures(place / "photos", {"apple": 20, "leaf": 20, "sky": 20})
    quick = ["--backbone", TINY_BACKBONE, "--weights", "none", "--size", 64, "--epochs", 1, "--device", "cpu"]
    done = run_command("train", photos, *quick, "--head-width", 32, "--runs-dir", place / "runs")
    assert done.returncode == 0, done.stderr
    (place / "stdout.txt").write_text(done.stdout, encoding="utf-8")
    (place / "stderr.txt").write_text(done.stderr, encoding="utf-8")
    return place


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a small file system of its own, or mount it again with other options; skips where that is not allowed."""
    disk = tmp_path / "disk"

    def run(options: str) -> Path:
        disk.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("a file system can be mounted by root only, where that is allowed at all")
        return disk

    yield run
    if os.path.ismount(disk):
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data; tests that need it are skipped where it is absent."""
    return _folder("FROSTLINE_DATA")


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """The folder of pretrained weights; tests that need it are skipped where it is absent."""
    return _folder("FROSTLINE_WEIGHTS")


def _folder(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value or not Path(value).is_dir():
        pytest.skip(f"{variable} does not name a folder with the real files")
    return Path(value)


@pytest.fixture
def without_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out pictures and pages of runs, which take longer than a tiny training."""
    monkeypatch.setattr("frostline.training.outcome.draw_pictures", lambda *arguments: None)
    monkeypatch.setattr("frostline.training.outcome._write_pages", lambda *arguments: None)
