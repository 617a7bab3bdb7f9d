"""What a user names becomes picture files, in the order of the names."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from natsort import natsorted

from frostline.data import inputs
from frostline.data.inputs import expand_inputs
from frostline.errors import DataError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with pictures (empty files do for this) and other files."""
    for name in ("2.jpg", "10.jpg", "1.png", "notes.txt", ".hidden.jpg", "deep/er/3.jpg", "deep/a.jpg"):
        path = tmp_path / "new" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "empty").mkdir()
    return tmp_path / "new"


def names(found: Iterator[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in found]


def test_a_folder_stands_for_the_pictures_below_it_in_natural_order(pictures: Path) -> None:
    expected = ["1.png", "2.jpg", "10.jpg", "deep/a.jpg", "deep/er/3.jpg"]
    assert names(expand_inputs([str(pictures)], []), pictures) == expected


@pytest.mark.parametrize("run", [1, 7, 10_000])
def test_natural_order_is_that_of_whole_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: int) -> None:
    monkeypatch.setattr(inputs, "_RUN", run)
    draw = random.Random(0)
    words = ["a", "A", "a-b", "a b", "ab", "a.b", "1", "2", "10", "1a", "a1", "a10b2", "-1", "1.5", "é", "e", "³", "z~"]
    paths = {"/".join(draw.choices(words, k=depth)) + ".jpg" for depth in (1, 1, 2, 3, 4) for _ in range(40)}
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert names(expand_inputs([str(tmp_path)], []), tmp_path) == natsorted(paths)


def test_names_of_the_same_numbers_are_ordered_by_their_characters(tmp_path: Path) -> None:
    given = ["1/b.jpg", "01/a.jpg", "1/a.jpg", "1.jpg", "001.jpg", "2.jpg"]
    for path in given:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    expected = ["001.jpg", "1.jpg", "01/a.jpg", "1/a.jpg", "1/b.jpg", "2.jpg"]
    assert names(expand_inputs([str(tmp_path)], []), tmp_path) == expected


def test_a_folder_is_opened_when_its_turn_comes(pictures: Path) -> None:
    found = expand_inputs([str(pictures)], [])
    (pictures / "deep" / "er" / "4.jpg").touch()
    assert [next(found).name for _ in range(4)] == ["1.png", "2.jpg", "10.jpg", "a.jpg"]
    (pictures / "deep" / "er" / "5.jpg").touch()
    assert [path.name for path in found] == ["3.jpg", "4.jpg", "5.jpg"]


def test_a_folder_that_is_gone_when_its_turn_comes_is_named(pictures: Path) -> None:
    found = expand_inputs([str(pictures)], [])
    (pictures / "deep").rename(pictures / "..away")
    with pytest.raises(DataError, match=r"cannot open the folder .*deep: No such file or directory"):
        list(found)


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may open any folder")
def test_a_folder_that_may_not_be_opened_is_named(pictures: Path) -> None:
    (pictures / "deep").chmod(0)
    with pytest.raises(DataError, match=r"cannot open the folder .*deep: Permission denied"):
        list(expand_inputs([str(pictures)], []))
    (pictures / "deep").chmod(0o700)


def test_what_belongs_to_the_system_and_what_is_no_file_is_left_out(pictures: Path) -> None:
    for folder in ("__MACOSX", ".thumbnails"):
        (pictures / folder).mkdir()
        (pictures / folder / "1.jpg").touch()
    os.mkfifo(pictures / "pipe.jpg")
    found = names(expand_inputs([str(pictures)], []), pictures)
    assert found == ["1.png", "2.jpg", "10.jpg", "deep/a.jpg", "deep/er/3.jpg"]


def test_links_are_followed_but_never_round_in_circles(pictures: Path) -> None:
    (pictures / "deep" / "er" / "again").symlink_to(pictures)
    (pictures / "deep" / "self").symlink_to(".")
    (pictures / "other").symlink_to(pictures / "deep" / "er")
    (pictures / "gone.jpg").symlink_to("nothing.jpg")
    found = names(expand_inputs([str(pictures)], []), pictures)
    assert found == ["1.png", "2.jpg", "10.jpg", "deep/a.jpg", "deep/er/3.jpg", "gone.jpg", "other/3.jpg"]


def test_the_order_is_that_of_the_names_and_repeats_are_kept(pictures: Path) -> None:
    given = [str(pictures / "deep"), str(pictures / "2.jpg"), "-", str(pictures / "2.jpg")]
    listed = [f"{pictures}/10.jpg\n", "\n", f"{pictures}/gone.jpg\r\n", f"{pictures}/1.png"]
    expected = ["deep/a.jpg", "deep/er/3.jpg", "2.jpg", "10.jpg", "gone.jpg", "1.png", "2.jpg"]
    assert names(expand_inputs(given, listed), pictures) == expected


def test_a_pattern_is_in_natural_order(pictures: Path) -> None:
    assert names(expand_inputs([f"{pictures}/*.jpg"], []), pictures) == ["2.jpg", "10.jpg"]
    assert "deep/er/3.jpg" in names(expand_inputs([f"{pictures}/**/*.jpg"], []), pictures)


def test_a_file_may_look_like_a_pattern(pictures: Path) -> None:
    (pictures / "[1].jpg").touch()
    assert names(expand_inputs([f"{pictures}/[1].jpg"], []), pictures) == ["[1].jpg"]


def test_a_file_named_by_the_user_is_taken_whatever_its_name(pictures: Path) -> None:
    given = [str(pictures / name) for name in ("notes.txt", "gone.jpg")]
    assert names(expand_inputs(given, []), pictures) == ["notes.txt", "gone.jpg"]


def test_a_name_need_not_be_utf_8(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.jpg")
    (tmp_path / name).touch()
    assert [path.name for path in expand_inputs([str(tmp_path)], [])] == [name]


def test_the_list_is_read_as_it_is_needed() -> None:
    def endless() -> Iterator[str]:
        while True:
            yield "a.jpg\n"

    assert next(expand_inputs(["-"], endless())) == Path("a.jpg")


@pytest.mark.parametrize(
    ("name", "message"),
    [("empty", "empty holds no pictures"), ("new/*.gif", "no file matches .*gif"), ("", "an empty name")],
)
def test_nothing_to_classify_is_an_error_at_once(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.chdir(pictures.parent)
    with pytest.raises(DataError, match=message):
        expand_inputs([str(pictures), name], [])


def test_a_list_separated_by_nul_is_an_error() -> None:
    with pytest.raises(DataError, match="one file name a line"):
        list(expand_inputs(["-"], ["a.jpg\0b.jpg\0"]))
