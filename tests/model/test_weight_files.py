"""A file of weights gives its tensors, or one line that says why not; it never runs code."""

import argparse
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from frostline.errors import ModelError
from frostline.model.weight_files import read_weight_file, sha256

REFUSED = "not a whole|not a torch file"


@pytest.fixture
def state_dict() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "conv.weight": torch.randn(8, 3, 3, 3, generator=generator),
        "bn.num_batches_tracked": torch.tensor(7),
        "fc.bias": torch.randn(5, generator=generator),
    }


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor)


def assert_refused(path: Path, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        read_weight_file(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_reads_safetensors(tmp_path: Path, state_dict: dict[str, Tensor]) -> None:
    save_file(state_dict, tmp_path / "a.safetensors")
    found = read_weight_file(tmp_path / "a.safetensors")
    assert_same({name: found[name] for name in state_dict}, state_dict)


@pytest.mark.parametrize("zipped", [True, False])
def test_reads_torch_files(tmp_path: Path, state_dict: dict[str, Tensor], zipped: bool) -> None:
    torch.save(state_dict, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert_same(read_weight_file(tmp_path / "a.pth"), state_dict)


@pytest.mark.parametrize("key", ["state_dict", "model", "model_ema"])
def test_finds_the_state_dict_in_a_training_checkpoint(tmp_path: Path, state_dict: dict[str, Tensor], key: str) -> None:
    torch.save({"epoch": 3, key: {f"module.{name}": tensor for name, tensor in state_dict.items()}}, tmp_path / "a.pt")
    assert_same(read_weight_file(tmp_path / "a.pt"), state_dict)


def test_prefers_averaged_weights(tmp_path: Path, state_dict: dict[str, Tensor]) -> None:
    raw = {name: torch.zeros_like(tensor) for name, tensor in state_dict.items()}
    torch.save({"state_dict": raw, "state_dict_ema": state_dict}, tmp_path / "a.pt")
    assert_same(read_weight_file(tmp_path / "a.pt"), state_dict)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert_refused(tmp_path / "a.pth", "No such file")
    assert_refused(tmp_path, "directory")


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
@pytest.mark.parametrize(
    "content",
    [b"", b"hello, this is a text\n", b"\x00" * 64, b"\x89PNG\r\n\x1a\n" + b"\x01" * 64, b"PK\x03\x04 broken"],
)
def test_file_of_another_kind(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert_refused(tmp_path / name, REFUSED)


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "legacy.pth"])
def test_truncated_at_every_length(tmp_path: Path, state_dict: dict[str, Tensor], suffix: str) -> None:
    whole = tmp_path / f"whole.{suffix}"
    if suffix == "safetensors":
        save_file(state_dict, whole)
    else:
        torch.save(state_dict, whole, _use_new_zipfile_serialization=suffix == "pth")
    content = whole.read_bytes()
    path = tmp_path / f"cut.{suffix}"
    for length in [*range(0, len(content) - 1, 61), len(content) - 1]:
        path.write_bytes(content[:length])
        assert_refused(path, REFUSED)


class Evil:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("how", ["zip", "legacy", "plain pickle"])
def test_pickled_code_is_refused_and_not_run(tmp_path: Path, how: str) -> None:
    canary = tmp_path / "canary"
    path = tmp_path / "evil.pth"
    if how == "plain pickle":
        path.write_bytes(pickle.dumps({"conv.weight": Evil(canary)}))
    else:
        torch.save({"conv.weight": Evil(canary)}, path, _use_new_zipfile_serialization=how == "zip")
    assert_refused(path, "not a torch file")
    assert not canary.exists()


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [torch.zeros(2)], torch.zeros(2), "text"])
def test_torch_file_without_a_state_dict(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pth")
    assert_refused(tmp_path / "a.pth", "holds no state dict")


def test_reads_a_checkpoint_that_holds_its_command_line(tmp_path: Path, state_dict: dict[str, Tensor]) -> None:
    torch.save({"state_dict": state_dict, "args": argparse.Namespace(lr=0.1)}, tmp_path / "a.pth.tar")
    assert_same(read_weight_file(tmp_path / "a.pth.tar"), state_dict)


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
