"""`frostline cache`: what is kept is shown and can be removed."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., "subprocess.CompletedProcess[str]"]

TINY = [
    "--backbone",
    "test_efficientnet",
    "--weights",
    "none",
    "--size",
    "64",
    "--epochs",
    "3",
    "--device",
    "cpu",
    "--views",
    "2",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FROSTLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "activations" / "v1"


def test_an_empty_cache(cli: Cli, folder: Path) -> None:
    for arguments in (["cache"], ["cache", "list"]):
        done = cli(*arguments)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"0 in {folder}, 0 bytes in all\n", "")
    assert cli("cache", "clear").stdout == f"removed 0 from {folder}, 0 bytes\n"
    assert not folder.exists()


@pytest.mark.usefixtures("without_drawing")
def test_what_a_training_left_is_listed_and_cleared(cli: Cli, folder: Path, photos: Path, tmp_path: Path) -> None:
    done = cli("train", photos, *TINY, "--runs-dir", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    first, second = sorted(cli("cache").stdout.splitlines()[1:3])
    assert first.startswith("photos, test_efficientnet at 64 px, view 0 ")
    assert second.startswith("photos, test_efficientnet at 64 px, view 1 ")
    assert " yes " in first
    (whole, *_) = folder.glob("*/*.rows")
    os.truncate(whole, 10)
    assert cli("cache").stdout.count(" no ") == 1
    assert cli("cache").stdout.splitlines()[-1].startswith(f"2 in {folder}, ")
    assert cli("cache", "clear").stdout.startswith(f"removed 2 from {folder}, ")
    assert list(folder.iterdir()) == []


def test_options_of_the_cache_are_checked(cli: Cli) -> None:
    done = cli("train", "digits", "--cache-limit", "much")
    assert (done.returncode, done.stdout) == (2, "")
    assert "a size above 0, such as 20GB" in done.stderr
    done = cli("train", "digits", "--views", "0")
    assert done.returncode == 2
    assert "fresh or a whole number from 1" in done.stderr
