"""Tables and spreads in Markdown."""

from collections.abc import Iterable, Sequence
from statistics import median


def spread(values: Iterable[float], form: str) -> str:
    """The median, and lowest to highest where they differ."""
    known = list(values)
    low, middle, high = (format(value, form) for value in (min(known), median(known), max(known)))
    return middle if low == high else f"{middle} ({low} to {high})"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown, with an empty line after it."""
    lines = ["".join(f"| {cell} " for cell in line) + "|" for line in (columns, *rows)]
    return "\n".join([lines[0], "|---" * len(columns) + "|", *lines[1:], ""])
