"""Charts for a page: each drawn twice, for light and for dark screens, as images that hold all that they need."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from frostline.results.calibration import Calibration, coverage_curve, measure_answered
from frostline.results.drawing.canvas import DARK, LIGHT, Palette, draw_svg
from frostline.results.drawing.plots import draw_accuracy, draw_learning_rate, draw_loss, draw_ring
from frostline.results.history import EpochRecord
from frostline.results.predictions import Predictions

_SIZE = (4.6, 3.1)
"""Inches."""


@dataclass(frozen=True)
class Chart:
    """One drawing."""

    text: str
    """What it shows, for those who do not see it."""
    light: str
    """A URI that holds the image."""
    dark: str


def make_chart(draw: Callable[[Axes, Palette], None], text: str, size: tuple[float, float] = _SIZE) -> Chart:
    """A chart of this size in inches of what `draw` draws into its axes in the colours that it is given."""
    return Chart(text, *(svg_uri(draw_svg(draw, *size, palette)) for palette in (LIGHT, DARK)))


def svg_uri(svg: bytes) -> str:
    """A URI that holds an image."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"


def curve_charts(history: Sequence[EpochRecord]) -> list[Chart]:
    """Loss, accuracy and learning rate over the epochs; none without one beside the start."""
    if not any(record.epoch for record in history):
        return []
    return [
        make_chart(partial(draw_loss, history=history), "Training and validation loss over the epochs"),
        make_chart(partial(draw_accuracy, history=history), "Training and validation accuracy over the epochs"),
        make_chart(partial(draw_learning_rate, history=history), "Learning rate over the epochs"),
    ]


def reliability_chart(before: Calibration, after: Calibration) -> Chart:
    """Accuracy against confidence, before and after calibration."""

    def draw(axes: Axes, palette: Palette) -> None:
        axes.plot([0, 1], [0, 1], color=palette.grey, linewidth=1, linestyle=(0, (4, 3)))
        for calibration, colour, label in ((before, palette.orange, "before"), (after, palette.blue, "after")):
            bins = [each for each in calibration.bins if each.pictures]
            pictures = sum(each.pictures for each in bins)
            sizes = [6 + 90 * each.pictures / pictures for each in bins]
            confidence, accuracy = [each.confidence for each in bins], [each.accuracy for each in bins]
            axes.plot(confidence, accuracy, color=colour, linewidth=0.8, alpha=0.4)
            axes.scatter(confidence, accuracy, sizes, color=colour, label=label, zorder=3, linewidths=0)
        _percent_axes(axes, "confidence", "accuracy")
        axes.set_title("Reliability")
        axes.legend(loc="upper left")

    return make_chart(draw, "Accuracy against confidence, before and after calibration")


def coverage_chart(predictions: Predictions, threshold: float | None) -> Chart:
    """Accuracy of the surest pictures against how many they are, and where a threshold lies."""

    def draw(axes: Axes, palette: Palette) -> None:
        coverage, accuracy, _ = coverage_curve(predictions)
        few = np.unique(np.linspace(0, len(coverage) - 1, 400).astype(int))
        axes.plot(coverage[few], accuracy[few], color=palette.blue)
        if threshold is not None:
            found = measure_answered(predictions, threshold)
            if found.accuracy is not None:
                draw_ring(axes, palette, found.coverage, found.accuracy)
                text = f"{found.accuracy:.1%} of {found.coverage:.1%}"
                axes.set_title(text, loc="right", color=palette.blue, fontsize=9)
        axes.set_xlim(0, 1.02)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
        axes.set_xlabel("coverage: pictures that are answered")
        axes.set_ylabel("accuracy of those")
        axes.set_title("Unsure")

    return make_chart(draw, "Accuracy of the answered pictures against coverage")


def _percent_axes(axes: Axes, x: str, y: str) -> None:
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel=x, ylabel=y)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
