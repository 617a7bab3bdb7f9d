"""Answers about unlabelled pictures, written row by row as text, CSV or JSON."""

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO


@dataclass(frozen=True, slots=True)
class Answer:
    """The most probable classes of one picture, or why it could not be read."""

    path: str
    top: tuple[tuple[str, float], ...] = ()
    """Class names with probabilities, most probable first."""
    error: str | None = None


Writer = Callable[[Iterable[Answer], IO[str], int], int]
"""Writes answers with so many classes each; returns how many pictures could not be read."""


def write_text(answers: Iterable[Answer], file: IO[str], classes: int) -> int:
    """One line a picture: path, class and probability, for each of its classes."""
    errors = 0
    for answer in answers:
        if answer.error is not None:
            errors += 1
            print(f"{answer.path}\terror: {answer.error}", file=file, flush=True)
        else:
            shown = "  ".join(f"{name} {probability:.4f}" for name, probability in answer.top)
            print(f"{answer.path}\t{shown}", file=file, flush=True)
    return errors


def write_csv(answers: Iterable[Answer], file: IO[str], classes: int) -> int:
    """Columns: path, class and probability (numbered from 2 on where several are asked for), error."""
    writer = csv.writer(file, lineterminator="\n")
    numbers = ["" if place == 0 else f"_{place + 1}" for place in range(classes)]
    writer.writerow(
        ["path", *(f"{column}{number}" for number in numbers for column in ("class", "probability")), "error"]
    )
    errors = 0
    for answer in answers:
        cells = [cell for name, probability in answer.top for cell in (name, f"{probability:.6f}")]
        padding = [""] * (2 * classes - len(cells))
        writer.writerow([answer.path, *cells, *padding, answer.error or ""])
        errors += answer.error is not None
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
            row["top"] = [{"class": name, "probability": probability} for name, probability in answer.top]
        print(separator + json.dumps(row), end="", file=file, flush=True)
        separator = ",\n"
    file.write("\n]\n" if separator == ",\n" else "[]\n")
    return errors
