"""A CSV file of answers that can be stopped and continued: rows gather beside it, and it appears when it is whole."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from frostline.config import TestTimeAugmentation
from frostline.errors import ConfigError, DataError
from frostline.files import atomic_write, claimed
from frostline.progress import phase, say
from frostline.results.answers import Answer, csv_header, csv_row, printable

PIECE = 256
"""Rows that are written at once.

Only whole pieces are kept of a stopped table. The pictures after them then come in the same batches as without the
stop, if the size of a batch divides this.
"""

AnswerEach = Callable[[Iterable[Path], int], Iterable[Answer]]
"""Answers pictures in the order given, told of how many it is known that they come or went before."""


@dataclass(frozen=True)
class Origin:
    """What all rows of a table depend on."""

    classifier: str
    """A digest of its files."""
    classes: int
    """Classes that are given for each picture."""
    tta: TestTimeAugmentation
    """Test-time augmentation; see `ImageClassifier.with_tta`."""
    inputs: tuple[str, ...]
    """What the user named."""


_ORIGIN_NAMES = {
    "classifier": "another classifier",
    "classes": "another --top-k",
    "tta": "another --tta",
    "inputs": "other names of pictures",
}


def save_answers(
    path: Path, origin: Origin, inputs: Iterator[Path], answer_each: AnswerEach, *, go_on: bool = False
) -> int:
    """Write a row for each of the `inputs`; returns how many of them could not be read.

    Until the last row is there they are in `<path>.partial`, and `<path>.partial.json` has their origin. Both outlast a
    stop. With `go_on`, the rows that are there stay, and those of the other inputs follow.

    Raises `ConfigError` where there are rows without `go_on`, or with another origin, and where another process writes
    the same table; `DataError` where the rows are not about the first inputs.
    """
    table = _Table(path.resolve() if path.is_symlink() else path, origin)
    with table.claimed():
        remaining = table.go_on(inputs) if go_on else table.start(inputs)
        try:
            table.fill(remaining, answer_each)
        except BaseException:
            table.leave()
            raise
        table.finish()
    return table.errors


class _Table:
    """The files that become a table, and what they hold."""

    def __init__(self, path: Path, origin: Origin) -> None:
        self._path = path
        self._partial, self._about, self._lock = (
            path.with_name(f"{path.name}.partial{suffix}") for suffix in ("", ".json", ".lock")
        )
        self._origin = origin
        self._header = csv_header(origin.classes)
        self._rows = 0
        self.errors = 0
        """Rows about pictures that could not be read."""

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other processes away."""
        refusal = f"another process is writing {self._path}: wait for it, or name another file"
        with ExitStack() as held:
            with self._naming_the_table():
                held.enter_context(claimed(self._lock, refusal))
            yield

    def start(self, inputs: Iterator[Path]) -> Iterator[Path]:
        """Make the files, without rows; returns the inputs."""
        if self._partial.exists():
            raise ConfigError(f"{self._partial} has the rows of a stopped run: add --continue, or {self._anew}")
        with self._naming_the_table():
            with atomic_write(self._about) as file:
                json.dump(asdict(self._origin), file, indent=1)
            self._partial.touch()
        return inputs

    def go_on(self, inputs: Iterator[Path]) -> Iterator[Path]:
        """Keep the rows in whole pieces, if there are any; returns the inputs after them."""
        if not self._partial.exists():
            return self.start(inputs)
        self._check_origin()
        with self._naming_the_table(), self._partial.open("r+b") as file:
            rows = _whole_rows(file, len(self._header))
            if next(rows, (self._header, 0))[0] != self._header:
                raise ConfigError(f"{self._partial} has other columns than this frostline writes: {self._anew}")
            kept = 0
            while piece := list(islice(rows, PIECE)):
                paths = list(islice(inputs, len(piece)))
                self._check_paths([row[0] for row, _ in piece], [printable(path) for path in paths])
                if len(piece) < PIECE:
                    inputs = chain(paths, inputs)
                    break
                self._rows += PIECE
                self.errors += sum(row[-1] != "" for row, _ in piece)
                kept = piece[-1][1]
            file.truncate(kept)
        return inputs

    def fill(self, inputs: Iterator[Path], answer_each: AnswerEach) -> None:
        """Add a row for each of the inputs."""
        known = list(islice(inputs, PIECE))
        answers = iter(answer_each(chain(known, inputs), self._rows + len(known)))
        if not self._rows:
            self._append([self._header])
        with phase("predict", None) as advance:
            while piece := list(islice(answers, PIECE)):
                self._append(csv_row(answer, self._origin.classes) for answer in piece)
                self._rows += len(piece)
                self.errors += sum(answer.error is not None for answer in piece)
                advance(len(piece))

    def finish(self) -> None:
        """Put the table in its place."""
        with self._naming_the_table():
            with self._partial.open("ab") as file:
                os.fsync(file.fileno())
            self._partial.replace(self._path)
        self._about.unlink()

    def leave(self) -> None:
        """Say how to go on with the rows; without any, the files are removed."""
        if self._rows:
            say(f"{self._rows:,} rows are in {self._partial}: the same command with --continue goes on")
        else:
            self._partial.unlink()
            self._about.unlink()

    @property
    def _anew(self) -> str:
        return f"remove {self._partial} to start anew"

    def _check_origin(self) -> None:
        """Raise `ConfigError` where the rows depend on something else."""
        try:
            about = json.loads(self._about.read_text(encoding="utf-8"))
            before = Origin(**{**about, "inputs": tuple(about["inputs"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"cannot read {self._about}, which says what the rows depend on: {self._anew}") from error
        for name, what in _ORIGIN_NAMES.items():
            if getattr(before, name) != getattr(self._origin, name):
                raise ConfigError(f"{self._partial} has rows of {what}: give the same again, or {self._anew}")

    def _check_paths(self, before: Sequence[str], now: Sequence[str]) -> None:
        """Raise `DataError` where the next rows, which are about the paths `before`, are not about those of `now`."""
        for number, path in enumerate(before):
            if number == len(now) or now[number] != path:
                there = now[number] if number < len(now) else "none"
                raise DataError(
                    f"the inputs have changed: picture {self._rows + number + 1:,} was {path} and is {there} now; "
                    f"{self._anew}"
                )

    def _append(self, rows: Iterable[Sequence[str]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        with self._naming_the_table(), self._partial.open("ab") as file:
            file.write(text.getvalue().encode(errors="backslashreplace"))

    @contextmanager
    def _naming_the_table(self) -> Iterator[None]:
        """Let an `OSError` name the table, which the user knows."""
        try:
            yield
        except OSError as error:
            error.filename = str(self._path)
            raise


def _whole_rows(file: BinaryIO, width: int) -> Iterator[tuple[list[str], int]]:
    """Rows of a CSV file, each with the position after it, up to one that is torn."""
    position = 0

    def lines() -> Iterator[str]:
        nonlocal position
        for line in file:
            if not line.endswith(b"\n"):
                return
            position += len(line)
            yield line.decode(errors="replace")

    with suppress(csv.Error):
        for row in csv.reader(lines(), strict=True):
            if len(row) != width:
                return
            yield row, position
