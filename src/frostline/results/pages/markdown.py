"""Any text as Markdown that shows it as it is."""

import re
import unicodedata
from collections.abc import Iterable

_NAMED = 12
"""Names that a sentence lists at most."""

_INVISIBLE = {"Cc", "Cs"}
"""Unicode's categories of control characters and of halves of a character."""


def as_markdown(text: str) -> str:
    """The text on one line, such that Markdown shows it as it is, in a table too, and no HTML is in it."""
    visible = "".join(character for character in one_line(text) if unicodedata.category(character) not in _INVISIBLE)
    escaped = re.sub(r"[\\`*_\[\]#|~$:@]|^[-+=]", r"\\\g<0>", visible)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def one_line(text: str) -> str:
    """The text with each run of white space, line ends too, as one space."""
    return " ".join(text.split())


def some_names(names: Iterable[str]) -> str:
    """Names for a sentence, as Markdown, 12 at most and how many more there are."""
    listed = list(names)
    more = len(listed) - _NAMED
    return ", ".join(map(as_markdown, listed[:_NAMED])) + (f" and {more:,} more" if more > 0 else "")
