"""The errors that frostline raises on purpose, each with the exit code of the command line.

Every message is one line that says what is wrong, where, and what to do about it.
"""

from collections.abc import Iterable
from difflib import get_close_matches

_MOST_NAMED = 10


class FrostlineError(Exception):
    """Something that the user can mend; the command line prints it without a traceback."""

    exit_code = 1


class ConfigError(FrostlineError):
    """An option, a flag or a configuration file is wrong."""

    exit_code = 2


class DataError(FrostlineError):
    """The pictures, their folder or their labels are wrong."""

    exit_code = 3


class ModelError(FrostlineError):
    """The backbone, its weights or a saved classifier is wrong."""

    exit_code = 4


class ExportError(FrostlineError):
    """An exported classifier does not agree with the one that it was made from."""

    exit_code = 5


def some_of(items: Iterable[str]) -> str:
    """The first ten of some items, for one line of a message, and how many more there are."""
    listed = list(items)
    rest = len(listed) - _MOST_NAMED
    return ", ".join(listed[:_MOST_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint at the closest known words, to stand at the end of an error; empty where none is close."""
    close = get_close_matches(word.lower(), list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""
