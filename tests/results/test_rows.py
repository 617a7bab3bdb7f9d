"""Tables of dataclasses come back as they were; a damaged one is named with its row."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from frostline.errors import DataError
from frostline.results.rows import load_rows, save_rows


@dataclass(frozen=True)
class Row:
    index: int
    name: str
    share: float
    known: bool = True


ROWS = [Row(1, "a", 0.1), Row(2, 'comma, "quote"\nline', 1 / 3, known=False), Row(-3, "🥭 שלום", 1e-300)]
HEADER = "index,name,share,known\n"


@pytest.mark.parametrize("rows", [[], ROWS[:1], ROWS])
def test_saved_rows_come_back(tmp_path: Path, rows: list[Row]) -> None:
    save_rows(rows, Row, tmp_path / "rows.csv")
    assert load_rows(tmp_path / "rows.csv", Row) == rows


def test_the_columns_are_the_fields(tmp_path: Path) -> None:
    save_rows(ROWS[:1], Row, tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text(encoding="utf-8") == f"{HEADER}1,a,0.1,True\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "columns"),
        ("epoch,loss\n1,2\n", "columns"),
        (HEADER + "1,a,0.5,True\nx,a,0.5,True\n", "row 2: index"),
        (HEADER + "1,a,half,True\n", "row 1: share"),
        (HEADER + "1,a\n", "row 1: share"),
        (HEADER + "1,a,0.5,True,more\n", "row 1"),
    ],
)
def test_a_damaged_table_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as raised:
        load_rows(path, Row)
    assert str(path) in str(raised.value)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(DataError, match=r"rows\.csv"):
        load_rows(path, Row)
