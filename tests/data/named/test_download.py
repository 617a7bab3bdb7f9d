import hashlib
import socket
from pathlib import Path
from typing import Any

import pytest

from frostline import progress
from frostline.data.named import download as module
from frostline.data.named.download import download
from frostline.errors import DataError

CONTENT = bytes(range(256)) * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()


def _error(url: str, path: Path, md5: str = MD5) -> str:
    """What the failed download says; nothing may be left behind."""
    with pytest.raises(DataError) as caught:
        download(url, path, md5)
    assert "\n" not in str(caught.value)
    assert list(path.parent.iterdir()) == []
    return str(caught.value)


def test_a_whole_file_is_placed_and_progress_is_shown(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PLAIN_INTERVAL", 0.0)
    monkeypatch.setattr(module, "CHUNK", 100_000)
    server.files["made.tar.gz"] = CONTENT
    path = tmp_path / "deep" / "cache" / "made.tar.gz"
    download(f"{server.url}/made.tar.gz", path, MD5)
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["made.tar.gz"]
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert [line.split(" kB")[0] for line in lines] == [
        "download made.tar.gz: 100/256",
        "download made.tar.gz: 200/256",
        "download made.tar.gz: 256/256",
    ]


def test_a_server_that_tells_no_length_is_fine(server: Any, tmp_path: Path) -> None:
    server.files["a"] = CONTENT
    server.unsized.add("a")
    download(f"{server.url}/a", tmp_path / "a", MD5)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_file_with_another_checksum_is_not_kept(server: Any, tmp_path: Path) -> None:
    server.files["a"] = CONTENT[:-1] + b"?"
    assert f"instead of {MD5}" in _error(f"{server.url}/a", tmp_path / "a")


def test_a_file_that_is_there_stays_when_the_download_fails(server: Any, tmp_path: Path) -> None:
    server.files["a"] = b"other"
    (tmp_path / "a").write_bytes(b"before")
    with pytest.raises(DataError):
        download(f"{server.url}/a", tmp_path / "a", MD5)
    assert (tmp_path / "a").read_bytes() == b"before"


def test_a_connection_that_breaks_off_is_told(server: Any, tmp_path: Path) -> None:
    server.files["a"] = CONTENT
    server.cut_short.add("a")
    assert "broke off after 128,000 of 256,000 bytes" in _error(f"{server.url}/a", tmp_path / "a")


def test_a_file_that_the_server_lacks_is_told(server: Any, tmp_path: Path) -> None:
    assert "HTTP Error 404: Not Found" in _error(f"{server.url}/absent", tmp_path / "a")


def test_no_network_is_one_line_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/a"
        message = _error(url, tmp_path / "a")
    assert message.startswith(f"cannot download {url} to {tmp_path / 'a'}: ")
    assert "refused" in message
    assert "--data-dir" in message


def test_a_cache_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot download"):
        download("http://127.0.0.1/a", tmp_path / "file" / "a", MD5)
