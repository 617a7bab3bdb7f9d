import unicodedata
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from frostline.results.drawing.text import drawable, font_families

NAMES = [
    "cat_$x$_and_$y$",
    "🐱 cat 😀",
    "猫",
    "شجرة القيقب",
    "קנגורו גדול",
    "हिन्दी",
    "🥭 🫠 👩‍👩‍👧 🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    "tab\there\nnew line\x07",
    "\\alpha_{2}",
    "undecodable \udcff",
    "x" * 300,
]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_can_be_drawn_without_a_warning(tmp_path: Path, name: str) -> None:
    figure = Figure()
    figure.text(0, 0.5, drawable(name), parse_math=False, fontfamily=list(font_families()))
    figure.savefig(tmp_path / "name.png")


@pytest.mark.parametrize("name", ["plain", "cat_$x$_and_$y$", "\\alpha_{2}", "Käse", "שלום"])
def test_names_with_a_font_stay_as_they_are(name: str) -> None:
    assert drawable(name) == name
    assert drawable(name, len(name)) == name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("columns", [6, 22])
def test_a_cut_name_fits(name: str, columns: int) -> None:
    letters = [character for character in drawable(name, columns) if not unicodedata.combining(character)]
    assert len(letters) <= columns


def test_both_ends_of_a_long_name_are_kept() -> None:
    assert drawable("a_class_with_a_long_name_01", 12) == "a_class…e_01"
    assert drawable("a_class_with_a_long_name_01", 12) != drawable("a_class_with_a_long_name_02", 12)


def test_names_are_one_line() -> None:
    assert drawable(" two\n lines\t") == "two lines"


def test_characters_without_a_font_tell_classes_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frostline.results.drawing.text._code_points", lambda: frozenset(range(128)))
    assert drawable("🥭") == "<mango>"
    assert drawable("猫 1") == "<U+732B> 1"
    assert drawable("\u200dx\udcff") == "x<U+DCFF>"
