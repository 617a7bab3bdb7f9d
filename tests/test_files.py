"""Files are whole or absent, and errors name the file that was asked for."""

import errno
import os
from pathlib import Path

import pytest

from frostline.files import atomic_write


def test_text_is_utf_8_with_newlines_as_written(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "text") as file:
        file.write("größer\n😀\r\n")
    assert (tmp_path / "text").read_bytes() == "größer\n😀\r\n".encode()


def test_bytes(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "bytes", "wb") as file:
        file.write(b"\xff\x00\n")
    assert (tmp_path / "bytes").read_bytes() == b"\xff\x00\n"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_keeps_the_old_file_and_leaves_no_other(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write_half() -> None:
        with atomic_write(path) as file:
            file.write("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_target_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "file") as file:
        file.write("x" * 100_000)
        assert not (tmp_path / "file").exists()
    assert (tmp_path / "file").stat().st_size == 100_000


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_write(tmp_path / "link") as file:
        file.write("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_a_wrong_folder_is_named_with_the_file(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / folder / "new"
    with pytest.raises(OSError, match=r"No such file|Not a directory") as caught, atomic_write(path):
        pass
    assert caught.value.filename == str(path)


def test_a_full_disk_is_named_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught, atomic_write(tmp_path / "file") as file:
        file.write("x")
    assert caught.value.filename == str(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    def read_other() -> None:
        with atomic_write(tmp_path / "file"):
            (tmp_path / "other").read_text()

    with pytest.raises(FileNotFoundError) as caught:
        read_other()
    assert caught.value.filename == str(tmp_path / "other")
