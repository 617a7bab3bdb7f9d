"""The plots of docs/benchmarks.md."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from figures import Entry, grouped, missing_epochs, reached, total_seconds
from growth import fit_growth
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from frostline.results.drawing.canvas import BLUE, ORANGE, canvas

LABELS = {
    "keras": "Keras script",
    "fastai": "fastai fine_tune",
    "torch": "PyTorch loop",
    "sklearn": "scikit-learn probe",
}
"""How other tools are called; frostline's own names stand for themselves."""

COLOURS = {
    "frostline quick": "#74b3e0",
    "frostline quick, MobileNetV2": "#a5c8e4",
    "frostline fast": BLUE,
    "frostline fast, MobileNetV2": "#4c8fc4",
    "frostline 1 epoch, MobileNetV2": "#1c7ed6",
    "frostline best": "#5f3dc4",
    "frostline best, MobileNetV2": "#9775fa",
    "frostline classic": "#0b3d66",
    "sklearn": "#868e96",
    "fastai": "#2b8a3e",
    "keras": ORANGE,
    "torch": "#ae3ec9",
}
"""By tool, in the order of the table and the legend."""


def plot_comparison(runs: Sequence[Entry], path: Path) -> None:
    """Validation accuracy against wall time, a line for each tool's first run.

    A dotted line goes on to the end of a whole training, where few epochs of it were run.
    """
    first = {name: group[0] for (name,), group in grouped(runs, "tool").items()}
    with canvas(path, 9.0, 4.5, "constrained") as figure:
        axes = figure.subplots()
        for name in COLOURS:
            if name in first:
                _draw_tool(axes, name, first[name])
        axes.set_xscale("log")
        _label_decades(axes.xaxis)
        axes.set_xlabel("minutes from the start of the process")
        axes.set_ylabel("validation accuracy")
        figure.legend(loc="outside right upper")


def _draw_tool(axes: Axes, name: str, run: Entry) -> None:
    seconds, accuracies = zip(*reached(run), strict=True)
    minutes = [value / 60 for value in seconds]
    label, colour = LABELS.get(name, name), COLOURS[name]
    if missing_epochs(run) > 0:
        label = f"{label}, {len(seconds)} of {run['whole_epochs']} epochs"
        axes.plot([minutes[-1], total_seconds(run) / 60], accuracies[-1:] * 2, ":|", color=colour, linewidth=1.2)
    axes.plot(minutes, accuracies, marker="o", markersize=4, color=colour, label=label)


def plot_growth(entries: Sequence[Entry], path: Path) -> None:
    """Wall time of whole runs against pictures and against input size, with the fitted curves."""
    with canvas(path, 8.0, 3.6, "constrained") as figure:
        left, right = figure.subplots(1, 2)
        for axes, axis, words in (
            (left, "pictures", "training and validation pictures"),
            (right, "size", "side of the input in pixels"),
        ):
            chosen = [entry for entry in entries if entry["axis"] == axis]
            for number, ((options,), group) in enumerate(grouped(chosen, "options").items()):
                _draw_growth(axes, [(entry[axis], entry["seconds"]) for entry in group], options, number)
            _scale(axes, sorted({entry[axis] for entry in chosen}), words)
        left.set_ylabel("wall time in seconds")
        left.legend(loc="upper left")


def _draw_growth(axes: Axes, points: list[tuple[float, float]], label: str, number: int) -> None:
    amounts, seconds = zip(*points, strict=True)
    colour = (BLUE, ORANGE, "#2b8a3e", "#ae3ec9")[number % 4]
    axes.plot(amounts, seconds, "o", markersize=5, color=colour, label=label)
    if len(set(amounts)) > 2:
        along = np.geomspace(min(amounts), max(amounts), 100)
        axes.plot(along, fit_growth(amounts, seconds)(along), color=colour, linewidth=1.2)


def _scale(axes: Axes, amounts: Sequence[int], words: str) -> None:
    """Logarithmic both ways, with a tick at each amount."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    _label_decades(axes.yaxis)
    axes.xaxis.set_major_locator(FixedLocator(amounts))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(_plain)
    axes.set_xlabel(words)


def _label_decades(axis: Axis) -> None:
    """Ticks at 1, 2 and 5 times the powers of ten, in plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(_plain)


def _plain(value: float, _: object) -> str:
    return f"{value:,g}"
