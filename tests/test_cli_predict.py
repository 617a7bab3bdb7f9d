"""A big prediction that is stopped, by the user or by force, goes on to the same table."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from frostline.cli_predict import TABLE_BATCH
from frostline.model.classifier import Answers, ImageClassifier
from frostline.model.prediction import Prediction
from frostline.results.answer_table import PIECE

Cli = Callable[..., subprocess.CompletedProcess[str]]
RUN = Path("runs/photos-test_efficientnet-1")
COUNT = 3 * PIECE + 100


@pytest.fixture(scope="module")
def listed(finished: Path) -> bytes:
    """A list of pictures, one of which cannot be read."""
    photos = sorted((finished / "photos").rglob("*.jpg"))
    given = [photos[number * 7 % len(photos)] for number in range(COUNT)]
    given[30] = finished / "gone.jpg"
    return "".join(f"{path}\n" for path in given).encode()


@pytest.fixture(scope="module")
def whole(cli: Cli, finished: Path, listed: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of a run that nothing stops."""
    table = tmp_path_factory.mktemp("whole") / "new.csv"
    done = cli("predict", finished / RUN, "-", "--csv", table, stdin=listed)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines()[-1] == "frostline: 1 picture could not be read; each is a row with its error"
    assert list(table.parent.iterdir()) == [table]
    return table.read_bytes()


@contextmanager
def predicting(run: Path, listed: bytes, table: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for the end of its list, when it has written the first rows."""
    command = [sys.executable, "-m", "frostline", "predict", str(run), "-", "--csv", str(table)]
    partial = table.with_name("new.csv.partial")
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(listed[: listed.rindex(b"\n", 0, -1) + 1])
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not (partial.exists() and partial.read_bytes().count(b"\n") > 2 * PIECE):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        try:
            yield process
        finally:
            process.kill()


class Killed(NamedTuple):
    """What a process left that was killed by force."""

    folder: Path
    """With all but the table."""
    seconds: list[subprocess.CompletedProcess[str]]
    """What others said that wanted to write the same table at the same time."""


@pytest.fixture(scope="module")
def killed(cli: Cli, finished: Path, listed: bytes, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    table = tmp_path_factory.mktemp("killed") / "new.csv"
    with predicting(finished / RUN, listed, table) as process:
        command = ("predict", finished / RUN, "-", "--csv", table)
        seconds = [cli(*command, *more, stdin=listed) for more in ([], ["--continue"])]
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert not table.exists()
    return Killed(table.parent, seconds)


@pytest.fixture
def table(killed: Killed, tmp_path: Path) -> Path:
    """That table, which does not exist yet, in a copy of its folder."""
    return Path(shutil.copytree(killed.folder, tmp_path / "table")) / "new.csv"


@pytest.mark.parametrize("torn", [b"", b'"torn, b', b"/photos/a.jpg,apple,app"])
def test_a_killed_prediction_goes_on_to_the_same_table(
    cli: Cli, finished: Path, listed: bytes, whole: bytes, table: Path, torn: bytes
) -> None:
    with table.with_name("new.csv.partial").open("ab") as file:
        file.write(torn)
    done = cli("predict", finished / RUN, "-", "--csv", table, "--continue", stdin=listed)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines()[-1] == "frostline: 1 picture could not be read; each is a row with its error"
    assert table.read_bytes() == whole
    assert list(table.parent.iterdir()) == [table]


def test_a_stopped_prediction_is_not_overwritten(cli: Cli, finished: Path, listed: bytes, table: Path) -> None:
    done = cli("predict", finished / RUN, "-", "--csv", table, stdin=listed)
    assert (done.returncode, done.stdout) == (2, "")
    partial = table.with_name("new.csv.partial")
    expected = f"{partial} has the rows of a stopped run: add --continue, or remove {partial} to start anew"
    assert done.stderr == f"frostline: {expected}\n"


def test_only_the_same_prediction_goes_on(cli: Cli, finished: Path, listed: bytes, table: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(finished / RUN / "classifier", tmp_path / "other"))
    description = other / "classifier.json"
    description.write_text(description.read_text(encoding="utf-8").replace('"sky"', '"sea"'), encoding="utf-8")
    photos = finished / "photos"
    for arguments, stdin, code, message in (
        ([other, "-"], listed, 2, "has rows of another classifier: give the same again, or remove "),
        ([finished / RUN, "-", "--top-k", 2], listed, 2, "has rows of another --top-k: "),
        ([finished / RUN, "-", "--tta", "flip"], listed, 2, "has rows of another --tta: "),
        ([finished / RUN, photos], b"", 2, "has rows of other names of pictures: "),
        ([finished / RUN, "-"], listed.replace(b"gone", b"lost"), 3, f"gone.jpg and is {finished / 'lost.jpg'} now; "),
    ):
        done = cli("predict", *arguments, "--csv", table, "--continue", stdin=stdin)
        assert (done.returncode, done.stdout) == (code, "")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert table.with_name("new.csv.partial").exists()


def test_a_second_process_is_refused(killed: Killed) -> None:
    for done in killed.seconds:
        assert (done.returncode, done.stdout) == (2, "")
        table = killed.folder / "new.csv"
        expected = f"frostline: another process is writing {table}: wait for it, or name another file\n"
        assert done.stderr == expected


def test_ctrl_c_says_how_to_go_on_and_a_folder_does(
    cli: Cli, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    photos = sorted((finished / "photos").rglob("*.jpg"))
    for number in range(COUNT):
        link = folder / str(number // 100) / f"{number}.jpg"
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(photos[number % len(photos)], link)
    command = ("predict", finished / RUN, folder, "--csv")
    assert cli(*command, tmp_path / "whole.csv").returncode == 0

    left = iter(range(PIECE + 40))

    def interrupted(self: ImageClassifier, answers: Answers) -> Iterator[Prediction]:
        for prediction in predictions(self, answers):
            if next(left, None) is None:
                raise KeyboardInterrupt
            yield prediction

    predictions = ImageClassifier.predictions
    with monkeypatch.context() as patch:
        patch.setattr(ImageClassifier, "predictions", interrupted)
        stopped = cli(*command, tmp_path / "new.csv")
    assert stopped.returncode == 130
    note = f"{PIECE} rows are in {tmp_path / 'new.csv'}.partial: the same command with --continue goes on"
    assert stopped.stderr.endswith(f"{note}\n\nfrostline: stopped by Ctrl-C\n")
    done = cli(*command, tmp_path / "new.csv", "--continue")
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "new.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_pieces_are_whole_batches() -> None:
    assert PIECE % TABLE_BATCH == 0


def test_continue_is_for_tables(cli: Cli, finished: Path) -> None:
    done = cli("predict", finished / RUN, finished / "photos", "--continue")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "frostline: --continue goes on with a table: give the --csv that was stopped\n"
