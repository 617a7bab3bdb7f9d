"""A folder of parts is only continued by what would have written the same parts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from frostline.deploy.batch.parts import Origin, Parts, encode_part
from frostline.errors import ConfigError
from frostline.results.answers import Answer, csv_header

ORIGIN = Origin("digest of a classifier", 2, "none", "digest of names", 3)
ANSWERS = [
    Answer("a.jpg", "unsure", (("cat", 0.1), ("dog", 1 / 3)), far=True),
    Answer("b.jpg", error="it is not a picture"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the middle one of three parts."""
    parts = Parts(tmp_path / "answers", ORIGIN)
    with parts.claimed():
        parts.find(go_on=False)
        parts.add(1, encode_part(ANSWERS, ORIGIN, 1), 1)
    return parts.folder


def test_a_part_has_the_columns_of_the_table_and_null_for_what_there_is_not(folder: Path) -> None:
    assert [path.name for path in folder.iterdir()] == ["part-00001.parquet"]
    table = pyarrow.parquet.read_table(folder)
    assert table.column_names == csv_header(2)
    first, second = table.to_pylist()
    assert (first["answer"], first["class"], first["far"], first["error"]) == ("unsure", "cat", True, None)
    assert first["probability_2"] == pytest.approx(1 / 3, abs=1e-7)
    expected: dict[str, Any] = dict.fromkeys(csv_header(2)) | {"path": "b.jpg", "error": "it is not a picture"}
    assert second == expected


def test_parts_that_are_there_are_done(folder: Path) -> None:
    parts = Parts(folder, ORIGIN)
    with pytest.raises(ConfigError, match="has the parts of an earlier run: add --continue, or name another folder"):
        parts.find(go_on=False)
    parts.find(go_on=True)
    assert (parts.done, parts.errors) == ({1}, 1)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"classifier": "another"}, "another classifier"),
        ({"classes": 3}, "another --top-k"),
        ({"tta": "flip"}, "another --tta"),
        ({"pictures": "another"}, "other pictures"),
        ({"parts": 4}, "another division into parts"),
    ],
)
def test_parts_of_another_origin_are_refused(folder: Path, change: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=f"part-00001.parquet is of {what}: give the same again, or remove {folder}"):
        Parts(folder, replace(ORIGIN, **change)).find(go_on=True)


def test_parts_of_another_program_are_refused(folder: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), folder / "part-00000.parquet")
    (folder / "part-00002.parquet").write_bytes(b"torn")
    for name in ("part-00000.parquet", "part-00002.parquet"):
        with pytest.raises(ConfigError, match=f"{name} is no part that frostline wrote"):
            Parts(folder, ORIGIN).find(go_on=True)
        (folder / name).unlink()


def test_one_process_writes_at_a_time(folder: Path) -> None:
    second = Parts(folder, ORIGIN)
    with (
        Parts(folder, ORIGIN).claimed(),
        pytest.raises(ConfigError, match="another process is writing to"),
        second.claimed(),
    ):
        pass
