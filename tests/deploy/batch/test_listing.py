"""Folders, patterns, tables and addresses all come down to the same pictures in the same order."""

import sys
from collections.abc import Mapping
from pathlib import Path

import fsspec
import pyarrow
import pyarrow.parquet
import pytest

from frostline.data.inputs import expand_inputs
from frostline.deploy.batch.listing import Files, Pictures, Rows, digest_pictures, list_pictures
from frostline.deploy.batch.storage import read_files
from frostline.errors import ConfigError, DataError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Names whose order is natural, and files that are no pictures."""
    folder = tmp_path / "tree"
    names = (
        "10.jpg",
        "9.jpg",
        "b/2.png",
        "b/10.png",
        "a b/1.jpg",
        ".hidden.jpg",
        ".cache/1.jpg",
        "notes.txt",
        "x[1].jpg",
    )
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def write_table(path: Path, columns: Mapping[str, object]) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=2)
    return path


def names_of(*names: str, listed: tuple[str, ...] = (), path_column: str | None = None) -> list[str]:
    return [name for pictures in list_pictures(names, listed, path_column) for name in pictures.names]


def test_a_folder_is_listed_as_without_ray(tree: Path) -> None:
    assert names_of(str(tree)) == [str(path) for path in expand_inputs([str(tree)], ())]


def test_an_address_is_listed_as_the_folder_is(tree: Path) -> None:
    address = tree.as_uri()
    assert names_of(address) == [f"file://{path}" for path in names_of(str(tree))]
    assert names_of(f"{address}/b/*.png") == [f"file://{tree}/b/{name}" for name in ("2.png", "10.png")]
    assert names_of(f"{address}/9.jpg", f"{address}/gone.jpg") == [f"file://{tree}/{n}" for n in ("9.jpg", "gone.jpg")]


def test_what_has_no_pictures_is_an_error(tree: Path) -> None:
    (tree / "empty").mkdir()
    for name in (f"{tree}/empty", f"{tree.as_uri()}/*.txt", f"{tree}/*.gif", ""):
        with pytest.raises(DataError):
            names_of(name)
    with pytest.raises(DataError, match="there are no pictures"):
        names_of("-")


def test_standard_input_may_name_addresses() -> None:
    assert names_of("-", listed=("a.jpg\n", "./b.jpg\n", "\n", "s3://c/d.jpg\n")) == ["a.jpg", "b.jpg", "s3://c/d.jpg"]


def test_a_table_names_pictures_beside_it_elsewhere_and_by_address(tmp_path: Path) -> None:
    cells = ["a/1.jpg", "/there/2.jpg", "s3://c/3.jpg"]
    table = write_table(tmp_path / "t.parquet", {"label": ["x", "y", "z"], "path": cells})
    assert names_of(str(table)) == [f"{tmp_path}/a/1.jpg", "/there/2.jpg", "s3://c/3.jpg"]
    assert names_of(table.as_uri())[0] == f"file://{tmp_path}/a/1.jpg"


def test_the_column_of_paths_can_be_named(tmp_path: Path) -> None:
    table = str(write_table(tmp_path / "t.parquet", {"file": ["1.jpg"], "year": [1999]}))
    assert names_of(table, path_column="file") == [f"{tmp_path}/1.jpg"]
    with pytest.raises(DataError, match=r"t.parquet has no column 'path' .* name the column by --path-column"):
        names_of(table)
    with pytest.raises(DataError, match="a cell of the column 'year' holds no path"):
        names_of(table, path_column="year")


@pytest.mark.parametrize("kind", [bytes, dict])
def test_a_table_may_hold_the_pictures(tmp_path: Path, kind: type) -> None:
    cells = [b"1", b"2", b"3"] if kind is bytes else [{"bytes": b"1"}, {"bytes": b"2"}, {"bytes": None}]
    for number in (10, 9):
        write_table(tmp_path / f"{number}.parquet", {"image": cells})
    expected = [Rows(f"{tmp_path}/{number}.parquet", "image", 0, 3) for number in (9, 10)]
    assert list_pictures([str(tmp_path)], ()) == expected
    assert expected[0].names[2] == f"{tmp_path}/9.parquet/00002"


def test_a_damaged_table_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
    for name in (str(tmp_path / "t.parquet"), str(tmp_path / "gone.parquet")):
        with pytest.raises(DataError, match=r"cannot read the parquet file .*\.parquet: [^\n]*$"):
            list_pictures([name], ())


@pytest.mark.parametrize("pictures", [Files(tuple("abcdefg")), Rows("t", "c", 0, 7)])
def test_pieces_hold_every_picture_once(pictures: Pictures) -> None:
    pieces: list[Pictures] = list(pictures.cut(3))
    assert [len(piece) for piece in pieces] == [3, 3, 1]
    assert tuple(name for piece in pieces for name in piece.names) == pictures.names


def test_the_digest_tells_other_names_and_another_order() -> None:
    others: list[Pictures] = [
        Files(("a", "b")),
        Files(("b", "a")),
        Files(("ab",)),
        Rows("a", "b", 0, 1),
        Rows("a", "b", 0, 2),
    ]
    assert len({digest_pictures([pictures]) for pictures in others}) == len(others)
    assert digest_pictures([Files(("a",)), Files(("b",))]) == digest_pictures([Files(("a", "b"))])


def test_a_store_is_asked_for_many_pictures_and_each_error_stays_with_its_own(tree: Path) -> None:
    with fsspec.open("memory://pictures/1.jpg", "wb") as file:
        file.write(b"one")
    uri = tree.as_uri()
    given = [f"{uri}/9.jpg", "memory://pictures/1.jpg", f"{uri}/gone.jpg", f"{uri}/x[1].jpg", "nosuch://a/b"]
    nine, one, gone, magic, unknown = read_files(given)
    assert (nine, one, magic) == (b"9.jpg", b"one", b"x[1].jpg")
    assert isinstance(gone, FileNotFoundError)
    assert isinstance(unknown, DataError)


def test_what_fsspec_cannot_open_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    for address, kind, reason in (
        ("s3://bucket/photos", ConfigError, "a package is missing: .*s3fs"),
        ("nosuch://bucket", DataError, "nosuch"),
        ("simplecache::s3://bucket", DataError, "is a chain of addresses"),
    ):
        with pytest.raises(kind, match=reason) as caught:
            list_pictures([address], ())
        assert "\n" not in str(caught.value)
