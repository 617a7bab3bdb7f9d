"""Answers about unlabelled pictures, written row by row as text, CSV or JSON."""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered about one picture, or why it could not be read."""

    path: str
    answer: str = ""
    """The most probable class, or `unsure`."""
    top: tuple[tuple[str, float], ...] = ()
    """Class names with probabilities, most probable first."""
    far: bool = False
    """Whether the picture is far from the training pictures."""
    error: str | None = None


Writer = Callable[[Iterable[Answer], IO[str], int], int]
"""Writes answers with so many classes each; returns how many pictures could not be read."""


def printable(path: str | Path) -> str:
    """A path as text; bytes that are none are escaped."""
    return os.fsencode(path).decode(errors="backslashreplace")


def csv_header(classes: int) -> list[str]:
    """Columns: path, answer, class and probability (numbered from 2 on where several are asked for), far, error."""
    numbers = ["" if place == 0 else f"_{place + 1}" for place in range(classes)]
    named = [f"{column}{number}" for number in numbers for column in ("class", "probability")]
    return ["path", "answer", *named, "far", "error"]


def csv_row(answer: Answer, classes: int) -> list[str]:
    """The cells of one answer under `csv_header`."""
    cells = [cell for name, probability in answer.top for cell in (name, f"{probability:.6f}")]
    padding = [""] * (2 * classes - len(cells))
    far = "" if answer.error else "yes" if answer.far else "no"
    return [answer.path, answer.answer, *cells, *padding, far, answer.error or ""]


def write_text(answers: Iterable[Answer], file: IO[str], classes: int) -> int:
    """One line a picture: path, class and probability, for each of its classes, and what to be careful of."""
    errors = 0
    for answer in answers:
        if answer.error is not None:
            errors += 1
            print(f"{answer.path}\terror: {answer.error}", file=file, flush=True)
        else:
            shown = "  ".join(f"{name} {probability:.4f}" for name, probability in answer.top)
            unsure = "" if answer.answer == answer.top[0][0] else f"{answer.answer}: "
            far = "  (far from the training pictures)" if answer.far else ""
            print(f"{answer.path}\t{unsure}{shown}{far}", file=file, flush=True)
    return errors


def write_json(answers: Iterable[Answer], file: IO[str], classes: int) -> int:
    """A list with one object a picture, written as the answers come, in ASCII: it is whole in any encoding."""
    errors = 0
    separator = "[\n"
    for answer in answers:
        row: dict[str, object] = {"path": answer.path}
        if answer.error is not None:
            errors += 1
            row["error"] = answer.error
        else:
            row["answer"] = answer.answer
            row["top"] = [{"class": name, "probability": probability} for name, probability in answer.top]
            row["far"] = answer.far
        print(separator + json.dumps(row), end="", file=file, flush=True)
        separator = ",\n"
    file.write("\n]\n" if separator == ",\n" else "[]\n")
    return errors
