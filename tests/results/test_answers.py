"""Answers as text, cells and JSON: whole, in order, and written as they come."""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from frostline.results.answers import Answer, Writer, csv_header, csv_row, printable, write_json, write_text

CAT = Answer("a/cat.jpg", "cat", (("cat", 0.75), ('großer, "Hund"', 0.25)))
MAYBE = Answer("c.jpg", "unsure", (("cat", 0.5), ("dog", 0.5)), far=True)
BAD = Answer("b.jpg", error="the file is empty (0 bytes)")
WRITERS = [write_text, write_json]


def written(writer: Writer, answers: list[Answer], classes: int = 2) -> tuple[str, int]:
    file = io.StringIO()
    errors = writer(answers, file, classes)
    return file.getvalue(), errors


def test_text() -> None:
    text, errors = written(write_text, [CAT, MAYBE, BAD])
    assert text.splitlines() == [
        'a/cat.jpg\tcat 0.7500  großer, "Hund" 0.2500',
        "c.jpg\tunsure: cat 0.5000  dog 0.5000  (far from the training pictures)",
        "b.jpg\terror: the file is empty (0 bytes)",
    ]
    assert errors == 1


def test_cells() -> None:
    assert csv_header(2) == ["path", "answer", "class", "probability", "class_2", "probability_2", "far", "error"]
    assert [csv_row(answer, 2) for answer in (CAT, MAYBE, BAD)] == [
        ["a/cat.jpg", "cat", "cat", "0.750000", 'großer, "Hund"', "0.250000", "no", ""],
        ["c.jpg", "unsure", "cat", "0.500000", "dog", "0.500000", "yes", ""],
        ["b.jpg", "", "", "", "", "", "", "the file is empty (0 bytes)"],
    ]


def test_a_path_that_is_no_text_is_printable() -> None:
    assert printable(Path("größer/\t.jpg")) == "größer/\t.jpg"
    assert printable(os.fsdecode(b"a\xff.jpg")) == "a\\xff.jpg"


def test_json() -> None:
    text, errors = written(write_json, [CAT, BAD])
    assert json.loads(text) == [
        {
            "path": "a/cat.jpg",
            "answer": "cat",
            "top": [{"class": "cat", "probability": 0.75}, {"class": 'großer, "Hund"', "probability": 0.25}],
            "far": False,
        },
        {"path": "b.jpg", "error": "the file is empty (0 bytes)"},
    ]
    assert text.isascii()
    assert errors == 1


def test_nothing_is_whole_too() -> None:
    assert written(write_text, []) == ("", 0)
    assert written(write_json, []) == ("[]\n", 0)


@pytest.mark.parametrize("writer", WRITERS)
def test_each_answer_is_written_before_the_next_is_asked_for(writer: Writer) -> None:
    file = io.StringIO()

    def answers() -> Iterator[Answer]:
        yield CAT
        assert "a/cat.jpg" in file.getvalue()
        yield BAD
        assert "b.jpg" in file.getvalue()

    assert writer(answers(), file, 2) == 1


@pytest.mark.parametrize("writer", WRITERS)
def test_each_answer_reaches_a_pipe_at_once(writer: Writer) -> None:
    raw = io.BytesIO()

    def answers() -> Iterator[Answer]:
        yield CAT
        assert b"a/cat.jpg" in raw.getvalue()

    writer(answers(), io.TextIOWrapper(raw, "utf-8"), 2)
