"""Class and file names, which can hold anything, as text that a plot can draw."""

import unicodedata
from collections.abc import Sequence
from functools import cache

from matplotlib.font_manager import findfont, fontManager, get_font

_OWN_FONT = "DejaVu Sans"
"""Comes with matplotlib, so it is on every machine; Latin, Greek, Cyrillic, Arabic, Hebrew and many symbols."""

_OTHER_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "Malgun Gothic"),
    *("WenQuanYi Zen Hei", "Noto Sans Devanagari", "Nirmala UI", "Noto Sans Thai", "Leelawadee UI"),
    *("Noto Emoji", "Segoe UI Emoji", "Symbola", "Arial Unicode MS"),
)
"""Fonts of Linux, macOS and Windows for what our own font lacks, where they are installed."""

_LONGEST_CHARACTER_NAME = 18
"""A longer Unicode name says less than it hides."""


@cache
def font_families() -> tuple[str, ...]:
    """The fonts to draw names with, in order of preference; all of them are installed."""
    installed = set(fontManager.get_font_names())
    return (_OWN_FONT, *(font for font in _OTHER_FONTS if font in installed))


def drawable(name: str, columns: int | None = None) -> str:
    """The name on one line, cut in the middle to `columns` letters' width, without a character that no font has.

    Such a character becomes its Unicode name where it is a short symbol's, `<mango>`, or else its code point,
    `<U+732B>`: a row of empty boxes would not tell two classes apart.
    """
    pieces = [_drawable_character(character) for character in " ".join(name.split())]
    return "".join(pieces if columns is None else _cut(pieces, columns))


def _drawable_character(character: str) -> str:
    if ord(character) in _code_points():
        return character
    category = unicodedata.category(character)
    if category == "Cf":  # a format character: it has no look of its own
        return ""
    symbol = unicodedata.name(character, "").lower() if category == "So" else ""
    return f"<{symbol}>" if 0 < len(symbol) <= _LONGEST_CHARACTER_NAME else f"<U+{ord(character):04X}>"


@cache
def _code_points() -> frozenset[int]:
    """What the fonts of `font_families` can draw together."""
    return frozenset[int]().union(*(get_font(findfont(family)).get_charmap() for family in font_families()))


def _cut(pieces: Sequence[str], columns: int) -> list[str]:
    """Leave pieces out of the middle until the rest and an ellipsis fit; endings tell numbered names apart."""
    widths = [sum(map(_columns, piece)) for piece in pieces]
    total = sum(widths)
    if total <= columns:
        return list(pieces)
    head = tail = 0
    left = columns - 1
    while True:
        from_head = widths[head] <= left and (head <= 2 * tail or widths[-1 - tail] > left)
        if not from_head and widths[-1 - tail] > left:
            break
        left -= widths[head] if from_head else widths[-1 - tail]
        head, tail = (head + 1, tail) if from_head else (head, tail + 1)
    return [*pieces[:head], "…", *pieces[len(pieces) - tail :]]


def _columns(character: str) -> int:
    """Width of a character in letters: 0 for a combining mark, 2 for an ideograph."""
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
