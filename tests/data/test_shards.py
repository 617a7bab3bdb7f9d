"""Pictures inside parquet files, WebDataset shards and Hugging Face's folders."""

import io
import json
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from frostline.data.dataset import Dataset
from frostline.data.sources import load_dataset
from frostline.data.tables import Columns
from frostline.errors import ConfigError, DataError


def encoded(number: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 6), (number, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def write_parquet(path: Path, labels: list[int | str], names: list[str] | None = None, group_size: int = 3) -> None:
    """Write pictures whose red is their row, as the library datasets does."""
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [{"bytes": encoded(row), "path": None} for row in range(len(labels))]
    table = arrow.table(
        {"image": pictures, "label": labels, "camera": [f"cam{row // 2}" for row in range(len(labels))]}
    )
    if names is not None:
        feature = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(feature)})
    pyarrow.parquet.write_table(table, path, row_group_size=group_size)


def write_tar(path: Path, files: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def reds(dataset: Dataset) -> list[int]:
    return [int(dataset.picture(index)[0, 0, 0]) for index in range(len(dataset))]


def test_parquet_shards_with_named_classes_and_splits(tmp_path: Path) -> None:
    root = tmp_path / "birds"
    write_parquet(root / "data" / "train-00000-of-00001.parquet", [0, 1, 1, 0, 1, 0, 0], ["owl", "emu"])
    write_parquet(root / "data" / "validation-00000-of-00001.parquet", [1, 0], ["owl", "emu"])
    (root / "README.md").write_text("birds", encoding="utf-8")
    dataset = load_dataset(root, columns=Columns(group="camera"))
    assert (dataset.name, dataset.class_names) == ("birds", ("emu", "owl"))
    assert dataset.targets.tolist() == [1, 0, 0, 1, 0, 1, 1, 0, 1]
    assert [sample.split for sample in dataset.samples] == ["train"] * 7 + ["val"] * 2
    assert dataset.samples[2].path == "train-00000-of-00001.parquet/00002"
    assert dataset.samples[2].group == "cam1"
    assert reds(dataset) == [*range(7), 0, 1]


def test_one_parquet_file_of_pictures_or_of_paths(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    write_parquet(tmp_path / "p.parquet", ["b", "a", "10", "9"])
    dataset = load_dataset(tmp_path / "p.parquet")
    assert (dataset.class_names, reds(dataset)) == (("9", "10", "a", "b"), [0, 1, 2, 3])
    (tmp_path / "1.png").write_bytes(encoded(7))
    times = arrow.array([1_700_000_000_123], arrow.timestamp("ms"))
    pyarrow.parquet.write_table(arrow.table({"path": ["1.png"], "label": [3], "time": times}), tmp_path / "t.parquet")
    listed = load_dataset(tmp_path / "t.parquet")
    assert (listed.samples[0].path, listed.class_names, reds(listed)) == ("1.png", ("3",), [7])
    assert listed.samples[0].time == 1_700_000_000.123


def test_damaged_and_unfit_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.parquet"
    write_parquet(path, [0, 5], ["a", "b"])
    with pytest.raises(DataError, match="row 1: the label 5 has no name, there are 2"):
        load_dataset(path)
    write_parquet(path, [0, 1])
    with pytest.raises(DataError, match="no column 'kind'"):
        load_dataset(path, columns=Columns(label="kind"))
    dataset = load_dataset(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot read the parquet file"):
        load_dataset(path)
    with pytest.raises(DataError, match=r"cannot read p.parquet/00000: "):
        dataset.picture(0)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigError, match=r"pip install 'frostline\[parquet\]'"):
        load_dataset(path)


def test_webdataset_shards(tmp_path: Path) -> None:
    root = tmp_path / "wds"
    write_tar(root / "train-000000.tar", {"a.png": encoded(1), "a.cls": b"1\n", "b.png": encoded(2), "b.cls": b"0"})
    write_tar(root / "test-000000.tar", {"x/c.png": encoded(3), "x/c.json": b'{"label": 1, "group": "p"}'})
    (root / "classes.txt").write_text("owl\nemu\n", encoding="utf-8")
    dataset = load_dataset(root)
    assert (dataset.class_names, dataset.targets.tolist(), reds(dataset)) == (("emu", "owl"), [0, 0, 1], [3, 1, 2])
    assert [(sample.path, sample.split, sample.group) for sample in dataset.samples] == [
        ("test-000000.tar/x/c.png", "test", "p"),
        ("train-000000.tar/a.png", "train", None),
        ("train-000000.tar/b.png", "train", None),
    ]
    one = load_dataset(root / "train-000000.tar")
    assert (one.name, len(one)) == ("train-000000", 2)


def test_a_tar_of_class_folders_is_no_shard(tmp_path: Path) -> None:
    files = {f"{name}/1{end}": encoded(0) if end == ".png" else b"{}" for name in "ab" for end in (".png", ".json")}
    assert load_dataset(write_tar(tmp_path / "p.tar", files)).class_names == ("a", "b")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.png": b"", "a.cls": b"1", "b.png": b""}, "1 samples have neither .cls nor .json: b"),
        ({"a.png": b"", "a.jpg": b"", "a.cls": b"1"}, r"a sample needs one picture.*a \(2\)"),
        ({"a.png": b"", "a.cls": b"1", "b.cls": b"1"}, r"a sample needs one picture.*b \(0\)"),
        ({"a.png": b"", "a.cls": b""}, "sample a: the label is empty"),
        ({"a.png": b"", "a.cls": b"\xff"}, "byte 0 is not UTF-8"),
        ({"a.png": b"", "a.json": b"[1]"}, "a.json: a JSON object is needed"),
        ({"a.png": b"", "a.json": b'{"x": 1}'}, "a.json has no 'label' .it has 'x'."),
        ({"a.png": b"", "a.cls": b"1", "../b.png": b""}, "unsafe file name"),
    ],
)
def test_unfit_shards(tmp_path: Path, files: Mapping[str, bytes], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(write_tar(tmp_path / "s.tar", files))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("per_split", [True, False])
def test_image_folders_with_metadata(tmp_path: Path, per_split: bool) -> None:
    for number, name in enumerate(["train/1.png", "train/2.png", "test/1.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded(number))
    if per_split:
        (tmp_path / "train" / "metadata.csv").write_text("file_name,label\n1.png,a\n2.png,b\n", encoding="utf-8")
        (tmp_path / "test" / "metadata.jsonl").write_text('{"file_name": "1.png", "label": "b"}\n', encoding="utf-8")
    else:
        lines = [{"file_name": "train/1.png", "label": "a"}, {"file_name": "train/2.png", "label": "b"}]
        lines.append({"file_name": "test/1.png", "label": "b"})
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        (tmp_path / "metadata.jsonl").write_text(text, encoding="utf-8")
    dataset = load_dataset(tmp_path)
    assert {(sample.path, sample.split, sample.target) for sample in dataset.samples} == {
        ("train/1.png", "train", 0),
        ("train/2.png", "train", 1),
        ("test/1.png", "test", 1),
    }
    assert sorted(reds(dataset)) == [0, 1, 2]


def test_metadata_stay_in_their_folder(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,label\n../1.png,a\n", encoding="utf-8")
    with pytest.raises(DataError, match="leads out of the folder"):
        load_dataset(tmp_path)
    (tmp_path / "metadata.csv").unlink()
    (tmp_path / "metadata.jsonl").write_text("{]\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1: it is not JSON"):
        load_dataset(tmp_path)


def test_the_hub_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"pip install 'frostline\[huggingface\]'"):
        load_dataset("hf:owner/name")


def test_a_dataset_through_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["owl", "emu"])})
    rows = {"image": [{"bytes": encoded(row), "path": None} for row in range(4)], "label": [0, 1, 1, 0]}
    split = datasets.Dataset.from_dict(rows, features=features)
    monkeypatch.setattr(datasets, "load_dataset", lambda name: datasets.DatasetDict(train=split, extra=split))
    dataset = load_dataset("hf:owner/birds")
    assert (dataset.name, dataset.source, dataset.class_names) == ("birds", "hf:owner/birds", ("emu", "owl"))
    assert (dataset.targets.tolist(), reds(dataset)) == ([1, 0, 0, 1], [0, 1, 2, 3])
    assert any("left out splits" in note for note in dataset.notes)


def test_a_hub_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def fail(name: str) -> None:
        raise ConnectionError("cannot reach\nthe hub")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match="cannot load hf:owner/name: cannot reach the hub"):
        load_dataset("hf:owner/name")
