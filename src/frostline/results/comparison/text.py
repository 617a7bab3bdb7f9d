"""A comparison of runs in words and figures: what its table and its page both say."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from frostline.results.comparison.comparison import ComparedRun, Comparison, Paired
from frostline.results.comparison.paired import SIGNIFICANT

_UNKNOWN = "not known"


class Row(NamedTuple):
    """One line of a table with a column for each run."""

    name: str
    cells: tuple[str, ...]


def verdicts(comparison: Comparison) -> list[str]:
    """A sentence for each run but the first: whether it is better, and how sure that is."""
    first, *others = comparison.runs
    kind = "" if comparison.split == "all" else f"{comparison.split} "
    noun = "picture" if comparison.pictures == 1 else "pictures"
    return [_verdict(first.name, run, f"{comparison.pictures:,} {kind}{noun}") for run in others]


def _verdict(first: str, run: ComparedRun, pictures: str) -> str:
    paired = run.against_first
    assert paired is not None, "only the first run is not measured against the first"
    chance = f"McNemar {probability(paired.p_value)}"
    difference = paired.accuracy
    if paired.p_value >= SIGNIFICANT:
        interval = f"95% interval {_points(difference.low)} to {_points(difference.high)}"
        return (
            f"{run.name} and {first} cannot be told apart on {pictures}: the difference is "
            f"{_points(difference.value)} points ({interval}; {chance})."
        )
    sign, word = (100, "better") if difference.value > 0 else (-100, "worse")
    low, high = sorted((sign * difference.low, sign * difference.high))
    return (
        f"{run.name} is {sign * difference.value:.1f} points {word} than {first} on {pictures} "
        f"(95% interval {low:z.1f} to {high:z.1f}; {chance})."
    )


def probability(p_value: float) -> str:
    """`p = 0.031`, `p < 0.0001`."""
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"


def figure_rows(comparison: Comparison) -> list[Row]:
    """The figures of every run on the common pictures, and what sets each apart from the first."""
    runs = comparison.runs

    def of_each(name: str, show: Callable[[ComparedRun], str]) -> Row:
        return Row(name, tuple(show(run) for run in runs))

    def against(name: str, show: Callable[[Paired], str]) -> Row:
        return of_each(name, lambda run: "" if run.against_first is None else show(run.against_first))

    return [
        of_each("accuracy", lambda run: f"{run.metrics.accuracy:.2%}"),
        of_each("95% interval", lambda run: f"{run.metrics.accuracy_low:.2%} to {run.metrics.accuracy_high:.2%}"),
        against("difference in points", lambda paired: f"{100 * paired.accuracy.value:+z.2f}"),
        against("95% interval", lambda paired: _interval(100 * paired.accuracy.low, 100 * paired.accuracy.high, 2)),
        against("McNemar's test", lambda paired: probability(paired.p_value)),
        against("right, where the first is wrong", lambda paired: f"{paired.pairs.second:,}"),
        against("wrong, where the first is right", lambda paired: f"{paired.pairs.first:,}"),
        of_each("loss", lambda run: f"{run.metrics.loss:.4f}"),
        against("difference of loss", lambda paired: f"{paired.loss.value:+z.4f}"),
        against("95% interval", lambda paired: _interval(paired.loss.low, paired.loss.high, 4)),
        of_each("balanced accuracy", lambda run: f"{run.metrics.balanced_accuracy:.2%}"),
        of_each("macro F1", lambda run: f"{run.metrics.macro_f1:.4f}"),
        of_each("its own val accuracy", lambda run: _known(run.val_accuracy, "{:.2%}")),
        of_each("time in all", lambda run: _known(run.seconds, "{:,.0f} s")),
        of_each("trainable parameters", lambda run: _known(run.trainable_parameters, "{:,}")),
    ]


def setting_rows(comparison: Comparison) -> Iterator[Row]:
    """The options that differ."""
    for setting in comparison.settings:
        yield Row(setting.name, tuple(_setting(value) for value in setting.values))


def _setting(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _points(fraction: float) -> str:
    return f"{100 * fraction:+z.1f}"


def _interval(low: float, high: float, digits: int) -> str:
    return f"{low:+z.{digits}f} to {high:+z.{digits}f}"


def _known(value: float | None, form: str) -> str:
    return _UNKNOWN if value is None else form.format(value)
