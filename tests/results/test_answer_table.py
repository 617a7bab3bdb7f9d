"""A table that is stopped goes on where it was, row for row as if it had not been, or says why it cannot."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from frostline.errors import ConfigError, DataError
from frostline.results.answer_table import PIECE, Origin, save_answers
from frostline.results.answers import Answer

ORIGIN = Origin("abc", 2, "none", ("new",))
PATHS = [Path(f"new/{number}, größer.jpg") for number in range(3 * PIECE + 20)]


class StoppedError(Exception):
    """Ends a run."""


def answer_each(pictures: Iterable[Path], expected: int) -> Iterator[Answer]:
    """Every tenth picture cannot be read."""
    for path in pictures:
        number = int(path.stem.split(",")[0])
        if number % 10:
            yield Answer(str(path), "cat", (("cat", number / len(PATHS)), ("dog\n", 0.25)), number % 3 == 0)
        else:
            yield Answer(str(path), error='it is "empty"')


def stopping_after(rows: int) -> Callable[[Iterable[Path], int], Iterator[Answer]]:
    def answer_some(pictures: Iterable[Path], expected: int) -> Iterator[Answer]:
        yield from islice(answer_each(pictures, expected), rows)
        raise StoppedError

    return answer_some


def stop(path: Path, rows: int, paths: list[Path] = PATHS) -> Path:
    """Leave a table of which so many rows were answered; returns the file of its rows."""
    with pytest.raises(StoppedError):
        save_answers(path, ORIGIN, iter(paths), stopping_after(rows))
    return path.with_name(f"{path.name}.partial")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table as it is without a stop."""
    path = tmp_path_factory.mktemp("whole") / "new.csv"
    assert save_answers(path, ORIGIN, iter(PATHS), answer_each) == len(PATHS[::10])
    assert list(path.parent.iterdir()) == [path]
    return path.read_bytes()


def test_a_table_has_a_row_for_each_picture(whole: bytes) -> None:
    header, *rows = csv.reader(io.StringIO(whole.decode(), newline=""))
    assert header == ["path", "answer", "class", "probability", "class_2", "probability_2", "far", "error"]
    assert [row[0] for row in rows] == list(map(str, PATHS))
    assert rows[0] == [str(PATHS[0]), "", "", "", "", "", "", 'it is "empty"']
    assert rows[3] == [str(PATHS[3]), "cat", "cat", f"{3 / len(PATHS):.6f}", "dog\n", "0.250000", "yes", ""]


def test_without_pictures_it_is_a_header(tmp_path: Path) -> None:
    assert save_answers(tmp_path / "new.csv", replace(ORIGIN, classes=1), iter(()), answer_each) == 0
    assert (tmp_path / "new.csv").read_text() == "path,answer,class,probability,far,error\n"


@pytest.mark.parametrize("rows", [PIECE, 2 * PIECE + 5])
def test_a_stopped_table_goes_on_after_its_last_whole_piece(
    whole: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: int
) -> None:
    table = tmp_path / "new.csv"
    partial = stop(table, rows)
    kept = rows // PIECE * PIECE
    assert capsys.readouterr().err == f"{kept} rows are in {partial}: the same command with --continue goes on\n"
    assert not table.exists()
    asked: list[tuple[Path, int]] = []

    def note_and_answer(pictures: Iterable[Path], expected: int) -> Iterator[Answer]:
        first, *others = pictures
        asked.append((first, expected))
        return answer_each([first, *others], expected)

    assert save_answers(table, ORIGIN, iter(PATHS), note_and_answer, go_on=True) == len(PATHS[::10])
    assert asked == [(PATHS[kept], kept + PIECE)]
    assert table.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [table]


@pytest.mark.parametrize("size", [*range(1, 400, 57), 12_345, 12_346, 12_347, 12_348, 20_000, -1])
def test_a_torn_end_is_cut_off(whole: bytes, tmp_path: Path, size: int) -> None:
    partial = stop(tmp_path / "new.csv", 2 * PIECE)
    partial.write_bytes(whole[:size])
    assert save_answers(tmp_path / "new.csv", ORIGIN, iter(PATHS), answer_each, go_on=True) == len(PATHS[::10])
    assert (tmp_path / "new.csv").read_bytes() == whole


def test_all_rows_but_no_rename(whole: bytes, tmp_path: Path) -> None:
    stop(tmp_path / "new.csv", PIECE).write_bytes(whole)
    save_answers(tmp_path / "new.csv", ORIGIN, iter(PATHS), answer_each, go_on=True)
    assert (tmp_path / "new.csv").read_bytes() == whole


def test_to_go_on_without_a_stopped_table_is_to_start(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "new.csv.partial.json").write_text("of a run that was killed before its first row")
    save_answers(tmp_path / "new.csv", ORIGIN, iter(PATHS), answer_each, go_on=True)
    assert (tmp_path / "new.csv").read_bytes() == whole


def test_a_run_without_rows_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "new.csv").write_text("old")
    stop(tmp_path / "new.csv", PIECE - 1)
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]
    assert (tmp_path / "new.csv").read_text() == "old"
    assert capsys.readouterr().err == ""


def test_a_link_stays_a_link(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "new.csv").symlink_to(tmp_path / "elsewhere" / "real.csv")
    save_answers(tmp_path / "new.csv", ORIGIN, iter(PATHS), answer_each)
    assert (tmp_path / "new.csv").is_symlink()
    assert (tmp_path / "elsewhere" / "real.csv").read_bytes() == whole


def refused(path: Path, error: type[Exception], paths: list[Path], origin: Origin = ORIGIN, *, go_on: bool) -> str:
    """The one line in which a run is refused; it leaves the files as they are."""
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(error) as caught:
        save_answers(path, origin, iter(paths), answer_each, go_on=go_on)
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_stopped_rows_are_not_overwritten(tmp_path: Path) -> None:
    partial = stop(tmp_path / "new.csv", PIECE)
    message = refused(tmp_path / "new.csv", ConfigError, PATHS, go_on=False)
    assert message == f"{partial} has the rows of a stopped run: add --continue, or remove {partial} to start anew"


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        (replace(ORIGIN, classifier="xyz"), "has rows of another classifier: give the same again, or remove"),
        (replace(ORIGIN, classes=1), "has rows of another --top-k: give"),
        (replace(ORIGIN, tta="flip"), "has rows of another --tta: give"),
        (replace(ORIGIN, inputs=("old",)), "has rows of other names of pictures: give"),
    ],
)
def test_rows_of_another_origin_are_refused(tmp_path: Path, origin: Origin, message: str) -> None:
    stop(tmp_path / "new.csv", PIECE)
    assert message in refused(tmp_path / "new.csv", ConfigError, PATHS, origin, go_on=True)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"classifier": "abc", "classes": 2, "inputs": 3}'])
def test_rows_of_an_unknown_origin_are_refused(tmp_path: Path, content: str | None) -> None:
    stop(tmp_path / "new.csv", PIECE)
    about = tmp_path / "new.csv.partial.json"
    about.unlink() if content is None else about.write_text(content)
    assert f"cannot read {about}, which says" in refused(tmp_path / "new.csv", ConfigError, PATHS, go_on=True)


def test_rows_under_another_header_are_refused(tmp_path: Path) -> None:
    partial = stop(tmp_path / "new.csv", PIECE)
    partial.write_bytes(partial.read_bytes().replace(b"far", b"near", 1))
    assert "has other columns than" in refused(tmp_path / "new.csv", ConfigError, PATHS, go_on=True)


def test_changed_inputs_are_refused_and_the_first_is_named(tmp_path: Path) -> None:
    stop(tmp_path / "new.csv", 2 * PIECE)
    new = Path("new/x.jpg")
    for paths, number, now in (
        ([*PATHS[:300], new, *PATHS[300:]], 300, new),
        ([*PATHS[:9], *PATHS[10:]], 9, PATHS[10]),
        (PATHS[:400], 400, "none"),
    ):
        message = refused(tmp_path / "new.csv", DataError, paths, go_on=True)
        assert f": picture {number + 1} was {PATHS[number]} and is {now} now; remove " in message


def test_the_inputs_are_taken_as_they_are_needed(tmp_path: Path) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield PATHS[taken % 100]

    with pytest.raises(StoppedError):
        save_answers(tmp_path / "new.csv", ORIGIN, endless(), stopping_after(2 * PIECE))
    assert taken == 2 * PIECE


def test_one_process_at_a_time(tmp_path: Path) -> None:
    table = tmp_path / "new.csv"

    def answer_and_try_again(pictures: Iterable[Path], expected: int) -> Iterator[Answer]:
        for go_on in (False, True):
            message = refused(table, ConfigError, PATHS, go_on=go_on)
            assert message == f"another process is writing {table}: wait for it, or name another file"
        return answer_each(pictures, expected)

    save_answers(table, ORIGIN, iter(PATHS), answer_and_try_again)
    assert list(tmp_path.iterdir()) == [table]
