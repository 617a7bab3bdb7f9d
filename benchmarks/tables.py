"""Tables and spreads in Markdown."""

from collections.abc import Iterable, Sequence
from statistics import mean, median, stdev


def spread(values: Iterable[float], form: str) -> str:
    """The median, and lowest to highest where they differ."""
    known = list(values)
    low, middle, high = (format(value, form) for value in (min(known), median(known), max(known)))
    return middle if low == high else f"{middle} ({low} to {high})"


def mean_and_deviation(values: Sequence[float]) -> str:
    """The mean, and the standard deviation where there are several."""
    deviation = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
    return f"{mean(values):.1f}{deviation}"


def mean_and_range(values: Sequence[float], form: str = ".1f") -> str:
    """The mean, and lowest to highest where there are several."""
    ends = f" ({min(values):{form}} to {max(values):{form}})" if len(values) > 1 else ""
    return f"{mean(values):{form}}{ends}"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown, with an empty line after it."""
    lines = ["".join(f"| {cell} " for cell in line) + "|" for line in (columns, *rows)]
    return "\n".join([lines[0], "|---" * len(columns) + "|", *lines[1:], ""])
