import hashlib
import io
import os
import pickle
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frostline.data.arrays import ArrayStore
from frostline.data.dataset import Dataset
from frostline.data.named.cifar import CIFAR10, CIFAR100, Cifar, load_cifar
from frostline.errors import DataError

SMALL = replace(CIFAR10, batch_records=3, test_records=2)
SMALL100 = replace(CIFAR100, batch_records=5, test_records=2)
NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
REAL = Path(os.environ.get("FROSTLINE_DATA", "")) / CIFAR10.binary.archive
Files = dict[str, bytes]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FROSTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FROSTLINE_DATA", raising=False)
    return tmp_path / "cache" / "datasets"


def _contents(cifar: Cifar) -> tuple[list[np.ndarray[Any, np.dtype[np.uint8]]], list[list[int]], list[str]]:
    """Values (records, 3072) and labels of every file, the test file last, and the class names."""
    generator = np.random.default_rng(cifar.classes)
    counts = [cifar.batch_records] * len(cifar.python.train_files) + [cifar.test_records]
    pixels = [generator.integers(0, 256, (count, 3072), dtype=np.uint8) for count in counts]
    labels = [generator.integers(0, cifar.classes, count).tolist() for count in counts]
    return pixels, labels, NAMES if cifar.classes == 10 else [f"thing {number:02}" for number in range(100)]


def _python_files(cifar: Cifar) -> Files:
    pixels, labels, names = _contents(cifar)
    key, names_key = ("labels", "label_names") if cifar.classes == 10 else ("fine_labels", "fine_label_names")
    files = {
        name: pickle.dumps({"data": values, key: targets}, 2)
        for name, values, targets in zip(
            (*cifar.python.train_files, cifar.python.test_file), pixels, labels, strict=True
        )
    }
    return {**files, cifar.python.names_file: pickle.dumps({names_key: names}, 2)}


def _binary_files(cifar: Cifar) -> Files:
    pixels, labels, names = _contents(cifar)
    coarse = cifar.classes == 100
    files = {
        name: b"".join(
            bytes([7] * coarse + [target]) + row.tobytes() for row, target in zip(values, targets, strict=True)
        )
        for name, values, targets in zip(
            (*cifar.binary.train_files, cifar.binary.test_file), pixels, labels, strict=True
        )
    }
    return {**files, cifar.binary.names_file: "\n".join(names).encode() + b"\n"}


def _archive(path: Path, folder: str, files: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def _unpack(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _assert_right(dataset: Dataset, cifar: Cifar) -> None:
    pixels, labels, names = _contents(cifar)
    assert dataset.name == cifar.name
    assert dataset.class_names == tuple(names)
    assert dataset.targets.tolist() == [target for targets in labels for target in targets]
    assert [sample.split for sample in dataset.samples].count("test") == cifar.test_records
    assert isinstance(dataset.pictures, ArrayStore)
    expected = np.vstack(pixels).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(dataset.pictures.read_many(dataset.samples), expected)


@pytest.mark.parametrize("cifar", [SMALL, SMALL100], ids=lambda cifar: cifar.name)
@pytest.mark.parametrize("form", ["archive", "unpacked", "itself"])
@pytest.mark.parametrize("layout", ["python", "binary"])
def test_every_official_form_gives_the_same(cifar: Cifar, form: str, layout: str, tmp_path: Path) -> None:
    files = _python_files(cifar) if layout == "python" else _binary_files(cifar)
    names = cifar.python if layout == "python" else cifar.binary
    folder = tmp_path / "data"
    if form == "itself":
        _unpack(folder, files)
    elif form == "unpacked":
        _unpack(folder / names.folder, files)
    else:
        folder.mkdir()
        _archive(folder / names.archive, names.folder, files)
    _assert_right(load_cifar(cifar, folder), cifar)


def test_files_in_another_order_and_beside_others_give_the_same(tmp_path: Path) -> None:
    files = {"readme.html": b"<html>", **dict(reversed(_binary_files(SMALL).items()))}
    _archive(tmp_path / SMALL.binary.archive, "wrapped/cifar-10-batches-bin", files)
    _assert_right(load_cifar(SMALL, tmp_path), SMALL)


def test_the_cache_is_used_where_the_given_folder_has_nothing(empty_cache: Path, tmp_path: Path) -> None:
    _unpack(empty_cache / SMALL.python.folder, _python_files(SMALL))
    (tmp_path / "data").mkdir()
    _assert_right(load_cifar(SMALL, tmp_path / "data"), SMALL)


def test_the_download_is_checked_and_cached(server: Any, empty_cache: Path, tmp_path: Path) -> None:
    _archive(tmp_path / "made.tar.gz", SMALL.python.folder, _python_files(SMALL))
    content = (tmp_path / "made.tar.gz").read_bytes()
    server.files["made.tar.gz"] = content
    cifar = replace(SMALL, url=f"{server.url}/made.tar.gz", md5=hashlib.md5(content).hexdigest())
    for _ in range(2):
        _assert_right(load_cifar(cifar, None), cifar)
    assert server.requests == ["made.tar.gz"]
    assert [path.name for path in empty_cache.iterdir()] == [SMALL.python.archive]


def test_a_download_with_another_checksum_leaves_nothing(server: Any, empty_cache: Path) -> None:
    server.files["made.tar.gz"] = b"something else"
    with pytest.raises(DataError, match="MD5"):
        load_cifar(replace(SMALL, url=f"{server.url}/made.tar.gz"), None)
    assert list(empty_cache.iterdir()) == []


def _drop_file(files: Files) -> None:
    del files["data_batch_3.bin"]


def _drop_names(files: Files) -> None:
    del files["batches.meta.txt"]


def _cut_record(files: Files) -> None:
    files["test_batch.bin"] = files["test_batch.bin"][:-1]


def _drop_record(files: Files) -> None:
    files["data_batch_5.bin"] = files["data_batch_5.bin"][3073:]


def _change_label(files: Files) -> None:
    files["data_batch_1.bin"] = files["data_batch_1.bin"][:3073] + b"\x0a" + files["data_batch_1.bin"][3074:]


def _repeat_name(files: Files) -> None:
    files["batches.meta.txt"] = files["batches.meta.txt"].replace(b"truck", b"cat")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop_file, r"lacks data_batch_3\.bin"),
        (_drop_names, r"lacks batches\.meta\.txt"),
        (_cut_record, r"test_batch\.bin has 6,145 bytes, which is no multiple of a record's 3,073"),
        (_drop_record, r"data_batch_5\.bin holds 2 pictures instead of 3"),
        (_change_label, r"data_batch_1\.bin has label 10 at record 1, outside 0 to 9"),
        (_repeat_name, r"batches\.meta\.txt names 9 different classes instead of 10"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_what_is_wrong_in_a_local_file_is_named(
    damage: Callable[[Files], None], message: str, packed: bool, tmp_path: Path
) -> None:
    files = _binary_files(SMALL)
    damage(files)
    if packed:
        _archive(tmp_path / SMALL.binary.archive, SMALL.binary.folder, files)
    else:
        _unpack(tmp_path / SMALL.binary.folder, files)
    with pytest.raises(DataError, match=message) as caught:
        load_cifar(SMALL, tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_that_do_not_match_the_pictures_are_named(tmp_path: Path) -> None:
    files = _python_files(SMALL)
    batch = pickle.loads(files["data_batch_2"])
    files["data_batch_2"] = pickle.dumps({**batch, "labels": batch["labels"] + [1]})
    _unpack(tmp_path / SMALL.python.folder, files)
    with pytest.raises(DataError, match="data_batch_2 holds 4 labels for 3 pictures"):
        load_cifar(SMALL, tmp_path)


@pytest.mark.parametrize("size", [0, 20, 0.5, -20])
def test_a_truncated_archive_is_named(size: float, tmp_path: Path) -> None:
    path = tmp_path / SMALL.binary.archive
    _archive(path, SMALL.binary.folder, _binary_files(SMALL))
    content = path.read_bytes()
    path.write_bytes(content[: int(size * len(content)) if 0 < size < 1 else int(size)])
    with pytest.raises(DataError, match=r"cannot read .*cifar-10-binary\.tar\.gz"):
        load_cifar(SMALL, tmp_path)


def test_one_changed_bit_in_an_archive_is_found(tmp_path: Path) -> None:
    path = tmp_path / SMALL.binary.archive
    _archive(path, SMALL.binary.folder, _binary_files(SMALL))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError):
        load_cifar(SMALL, tmp_path)


def test_the_real_archives_are_those_of_torchvision() -> None:
    from frostline._torchvision import ensure_importable

    ensure_importable()
    from torchvision.datasets import CIFAR10 as KNOWN10
    from torchvision.datasets import CIFAR100 as KNOWN100

    for ours, known in ((CIFAR10, KNOWN10), (CIFAR100, KNOWN100)):
        assert (ours.url, ours.md5, ours.python.archive) == (known.url, known.tgz_md5, known.filename)
        assert ours.python.folder == known.base_folder
        assert list(ours.python.train_files) == [name for name, _ in known.train_list]
        assert [ours.python.test_file] == [name for name, _ in known.test_list]
        assert ours.python.names_file == known.meta["filename"]


@pytest.mark.skipif(not REAL.is_file(), reason=f"{CIFAR10.binary.archive} is not in FROSTLINE_DATA")
def test_all_of_cifar10_is_read_from_its_archive() -> None:
    dataset = load_cifar(CIFAR10, REAL.parent)
    assert len(dataset) == 60_000
    assert dataset.class_names == tuple(NAMES)
    assert np.bincount(dataset.targets).tolist() == [6000] * 10
    assert np.bincount(dataset.targets[50_000:]).tolist() == [1000] * 10
    assert [dataset.class_names[target] for target in dataset.targets[:3]] == ["frog", "truck", "truck"]
    assert dataset.picture(0).shape == (32, 32, 3)
