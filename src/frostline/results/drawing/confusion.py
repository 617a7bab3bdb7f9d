"""The confusion matrix as a picture, readable from two classes to many hundreds."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from numpy.typing import NDArray

from frostline.results.drawing.canvas import BLUE, FAINT, GRID, INK, ORANGE, canvas, write_line
from frostline.results.drawing.text import drawable
from frostline.results.metrics import Confusion, Metrics

MOST_CLASSES_WITH_COUNTS = 25
"""With more classes the cells hold no text, and the largest confusions are listed beside the matrix."""

_LABEL_COLUMNS = 22
_LIST_ENDS: tuple[tuple[float, Literal["left", "right"]], ...] = (
    (0.0, "left"),
    (0.38, "left"),
    (0.88, "right"),
    (1.0, "right"),
)
"""Where the columns of the list begin or end, as fractions of its width."""
_LINE = 15
"""Points from one line of the list to the next."""
_LIST_WIDTH = 5.2
_SMALLEST_LABEL = 0.1
"""Height of a label in inches below which only some classes are labelled."""
_SPLIT_WORDS = {"train": "the training", "val": "the validation", "test": "the test", "all": "all"}

_SHARE = PowerNorm(0.5, vmin=0, vmax=1)
"""Colour follows the square root of a share, so that a confusion of 2% is seen beside a diagonal of 95%."""
_RIGHT = LinearSegmentedColormap.from_list(
    "right", [(0, "white"), (0.5, "#d6e8f6"), (0.75, "#8ec1e6"), (0.9, BLUE), (1, "#08304f")]
).with_extremes(bad=GRID)
_WRONG = LinearSegmentedColormap.from_list(
    "wrong", [(0, "white"), (0.33, "#ffc29a"), (0.67, ORANGE), (1, "#7a2405")]
).with_extremes(bad=GRID)


def plot_confusion_matrix(metrics: Metrics, path: Path) -> None:
    """Draw the confusion matrix as PNG: rows are true classes, columns predicted ones.

    Colour is the share of a row's pictures, blue where they are right and orange where they are wrong; the row of a
    class without pictures is grey.
    """
    classes = len(metrics.per_class)
    counted = classes <= MOST_CLASSES_WITH_COUNTS
    cell = max(0.44, 2.6 / classes) if counted else min(max(0.11, 6.5 / classes), 14.0 / classes)
    side = cell * classes
    labels = [drawable(name, _LABEL_COLUMNS) for name in metrics.class_names]
    margin = 0.5 + 0.07 * max(map(len, labels))
    widths = [side, 0.4] if counted else [side, 0.4, _LIST_WIDTH]
    with canvas(path, sum(widths) + margin + 1.0, side + margin + 1.1, "constrained") as figure:
        figure.suptitle(_title(metrics), x=0.01, ha="left")
        matrix, scale, *rest = figure.subplots(1, len(widths), width_ratios=widths)
        _draw_matrix(matrix, metrics, cell, with_counts=counted)
        _label_axes(matrix, labels, cell)
        _draw_scale(scale)
        for listing in rest:
            _draw_list(listing, metrics.largest_confusions(limit=int(72 * side / _LINE) - 1))


def _title(metrics: Metrics) -> str:
    interval = f"{metrics.accuracy_low:.1%} to {metrics.accuracy_high:.1%}"
    return (
        f"Confusion matrix of {_SPLIT_WORDS[metrics.split]} pictures\n"
        f"{metrics.accuracy:.1%} of {metrics.pictures:,} right ({interval})"
    )


def _draw_matrix(axes: Axes, metrics: Metrics, cell: float, *, with_counts: bool) -> None:
    """Colour the cells, `cell` inches wide, by their share of the row, and write the counts into them."""
    counts = np.array(metrics.confusion_matrix, dtype=np.int64)
    support = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, support, out=np.full(counts.shape, np.nan), where=support > 0)
    level = _SHARE(np.ma.masked_invalid(shares))
    on_diagonal = np.eye(len(counts), dtype=bool)[..., np.newaxis]
    colours = np.where(on_diagonal, _RIGHT(level), _WRONG(level))
    axes.imshow(colours, aspect="auto", interpolation="nearest")
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color=GRID)
    for row in np.flatnonzero(support == 0).tolist():
        size = min(8.0, 72 * 0.6 * cell)
        axes.text(len(counts) / 2 - 0.5, row, "no pictures", ha="center", va="center", color=FAINT, fontsize=size)
    if with_counts:
        _write_counts(axes, counts, colours)


def _write_counts(axes: Axes, counts: NDArray[np.int64], colours: NDArray[np.float64]) -> None:
    """Write every count into its cell, white on dark colours; zeros stay in the background."""
    dark = colours[..., :3] @ np.array([0.299, 0.587, 0.114]) < 0.6
    size = min(10.0, 36.0 / len(str(counts.max())))
    for row, column in np.argwhere(np.broadcast_to(counts.any(axis=1, keepdims=True), counts.shape)):
        count = counts[row, column]
        colour = "white" if dark[row, column] else INK if count else "#cbd2d9"
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=size, in_layout=False)


def _label_axes(axes: Axes, labels: Sequence[str], cell: float) -> None:
    """Name the classes on both axes; where `cell` inches are too little for a name, name every second or so."""
    step = math.ceil(_SMALLEST_LABEL / cell)
    shown = range(0, len(labels), step)
    size = min(9.0, 72 * 0.75 * cell * step)
    flat = max(map(len, labels)) * size * 0.65 < 72 * cell
    axes.set_yticks(shown, [labels[index] for index in shown], fontsize=size)
    axes.set_xticks(shown, [labels[index] for index in shown], fontsize=size, rotation=0 if flat else 90)
    axes.tick_params(length=0 if step == 1 else 2, labelcolor=INK)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")


def _draw_scale(axes: Axes) -> None:
    """What the colours mean: a strip for right and one for wrong, with shares beside them."""
    level = np.linspace(0, 1, 256)
    strips = np.stack([_RIGHT(level), _WRONG(level)], axis=1)
    axes.imshow(strips, aspect="auto", interpolation="nearest", origin="lower", extent=(-0.5, 1.5, 0, 1))
    axes.axvline(0.5, color="white", linewidth=2)
    ticks = np.array([0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=8)
    axes.set_yticks(_SHARE(ticks), [f"{tick:.0%}" for tick in ticks])
    axes.set_xticks([0, 1], ["right", "wrong"], rotation=90)
    axes.set_ylabel("share of the true class")


def _draw_list(axes: Axes, confusions: Sequence[Confusion]) -> None:
    """The largest confusions as a table; a column of their own keeps names from right to left on their side."""
    axes.set_axis_off()
    axes.set_title("Largest confusions" if confusions else "No mistakes")
    _write_row(axes, 0, ("true class", "predicted class", "pictures", "share"), FAINT)
    for row, confusion in enumerate(confusions, start=1):
        names = (drawable(name, _LABEL_COLUMNS) for name in (confusion.true, confusion.predicted))
        _write_row(axes, row, (*names, f"{confusion.count:,}", f"{confusion.share:.0%}"), INK)


def _write_row(axes: Axes, row: int, cells: Sequence[str], colour: str) -> None:
    """Write one row of the table."""
    for (x, align), cell in zip(_LIST_ENDS, cells, strict=True):
        write_line(axes, cell, (x, 1), _LINE * row, colour=colour, size=8, align=align)
