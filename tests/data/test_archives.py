import bz2
import gzip
import io
import lzma
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frostline.data import archives
from frostline.data.archives import load_archive
from frostline.data.folders import load_folder
from frostline.errors import DataError

COMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
KINDS = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]


def picture(seed: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def pack(path: Path, files: Mapping[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    path.write_bytes(COMPRESSORS[path.suffix](plain.getvalue()))
    return path


FILES = {f"pets/{split}/{name}/{i}.png": picture(i) for split in ("train", "val") for name in "ab" for i in range(9)}


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_gives_what_its_unpacked_folder_gives(tmp_path: Path, kind: str) -> None:
    packed = load_archive(pack(tmp_path / f"animals.{kind}", FILES))
    for name, content in FILES.items():
        (tmp_path / "unpacked" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "unpacked" / name).write_bytes(content)
    unpacked = load_folder(tmp_path / "unpacked")
    assert packed.name == "animals"
    assert packed.samples == unpacked.samples
    assert packed.class_names == unpacked.class_names
    with ThreadPoolExecutor(8) as pool:
        pictures = list(pool.map(packed.picture, range(len(packed))))
    for index, pixels in enumerate(pictures):
        np.testing.assert_array_equal(pixels, unpacked.picture(index))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["../evil.png", "a/../../evil.png", "/etc/evil.png", "C:/evil.png", "..\\evil.png"])
def test_unsafe_names_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    path = pack(tmp_path / f"x.{kind}", {"a/0.png": picture(0), name: picture(1)})
    with pytest.raises(DataError, match="unsafe file name"):
        load_archive(path)


def test_backslashes_of_windows_programs_are_separators(tmp_path: Path) -> None:
    dataset = load_archive(pack(tmp_path / "x.zip", {"a\\0.png": picture(0), "b\\0.png": picture(1)}))
    assert [sample.path for sample in dataset.samples] == ["a/0.png", "b/0.png"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_archive_is_named(tmp_path: Path, kind: str) -> None:
    path = pack(tmp_path / f"x.{kind}", FILES)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(DataError, match=f"{path}") as caught:
        load_archive(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_archives_load_or_are_refused_and_nothing_else(tmp_path: Path, kind: str) -> None:
    generator = random.Random(kind)
    path = pack(tmp_path / f"x.{kind}", {"a/0.png": picture(0), "b/0.png": picture(1)})
    content = path.read_bytes()
    refused = 0
    for _ in range(200):
        damaged = bytearray(content)
        for _ in range(generator.randint(1, 8)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        path.write_bytes(damaged)
        try:
            dataset = load_archive(path)
            for index in range(len(dataset)):
                dataset.picture(index)
        except DataError:
            refused += 1
    assert 0 < refused <= 200


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    for content in (b"", b"text", picture(0), b"\x1f\x8b broken", b"PK\x03\x04 broken"):
        path = tmp_path / "x.zip"
        path.write_bytes(content)
        with pytest.raises(DataError, match="neither a folder nor a whole zip or tar archive"):
            load_archive(path)


def test_a_damaged_member_is_an_unreadable_picture(tmp_path: Path) -> None:
    files = {f"{name}/{i}.png": picture(i) for name in "ab" for i in range(2)}
    path = pack(tmp_path / "x.zip", files)
    content = bytearray(path.read_bytes())
    start = content.index(b"a/1.png") + 60
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    dataset = load_archive(path)
    dataset.picture(0)
    with pytest.raises(DataError, match=r"a/1\.png"):
        dataset.picture(1)


def test_an_encrypted_member_is_an_unreadable_picture(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", {"a/0.png": picture(0), "b/0.png": picture(1)})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a/0\.png: it is encrypted"):
        load_archive(path).picture(0)


def test_a_member_that_unpacks_to_too_much_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 10_000)
    files = {"a/0.png": picture(0), "b/0.png": bytes(10_001)}
    for kind in ("zip", "tar"):
        dataset = load_archive(pack(tmp_path / f"x.{kind}", files))
        dataset.picture(0)
        with pytest.raises(DataError, match=r"b/0\.png: it .* 10,001 bytes"):
            dataset.picture(1)


def test_a_compressed_tar_must_fit_in_memory(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.tar.gz", FILES)
    with pytest.raises(DataError, match="unpack it and give the folder"):
        load_archive(path, memory_limit=1000)


def test_links_in_archives_are_left_out_but_hard_links_are_files(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.tar", {"a/0.png": picture(0), "b/0.png": picture(1)})
    with tarfile.open(path, "a") as tar:
        for name, kind in (("b/hard.png", tarfile.LNKTYPE), ("b/soft.png", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "a/0.png"
            tar.addfile(member)
    dataset = load_archive(path)
    assert [sample.path for sample in dataset.samples] == ["a/0.png", "b/0.png", "b/hard.png"]
    assert dataset.notes == ("left out links and special files in the archive: b/soft.png",)
    np.testing.assert_array_equal(dataset.picture(2), dataset.picture(0))


def test_links_in_a_zip_are_left_out(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", {"a/0.png": picture(0), "b/0.png": picture(1)})
    with zipfile.ZipFile(path, "a") as archive:
        member = zipfile.ZipInfo("b/soft.png")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "../../../etc/passwd")
    dataset = load_archive(path)
    assert len(dataset) == 2
    assert dataset.notes == ("left out links and special files in the archive: b/soft.png",)


def test_an_empty_class_folder_in_an_archive_is_named(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", {"a/0.png": picture(0), "b/0.png": picture(1), "c/": b""})
    with pytest.raises(DataError, match="class folder c holds no pictures"):
        load_archive(path)
