"""The training curves of a run as a picture."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from frostline.results.drawing.canvas import LIGHT, Palette, canvas, write_message
from frostline.results.history import EpochRecord, best_of

_FEW_EPOCHS = 40
"""Up to this many, each epoch is a dot on the line."""


def plot_curves(history: Sequence[EpochRecord], path: Path) -> None:
    """Draw loss and accuracy of every epoch, training against validation, and the learning rate, as PNG.

    The epoch that is kept is marked.
    """
    if not history:
        write_message(path, "No epoch was finished, so there are no curves.")
        return
    with canvas(path, 12.0, 3.8, "constrained") as figure:
        panels = figure.subplots(1, 3, width_ratios=[4, 4, 2.4])
        for axes, draw in zip(panels, (draw_loss, draw_accuracy, draw_learning_rate), strict=True):
            draw(axes, LIGHT, history)


def draw_loss(axes: Axes, palette: Palette, history: Sequence[EpochRecord]) -> None:
    """The loss of every epoch, training against validation."""
    best = best_of(history)
    _draw(axes, history, "train_loss", "training", palette.grey)
    _draw(axes, history, "val_loss", "validation", palette.blue)
    _mark_best(axes, palette, best.epoch, best.val_loss, f"{best.val_loss:.3f}")
    axes.legend()
    axes.set_ylim(bottom=0)
    _finish_panel(axes, "Loss", history)


def draw_accuracy(axes: Axes, palette: Palette, history: Sequence[EpochRecord]) -> None:
    """The accuracy of every epoch, training against validation."""
    best = best_of(history)
    _draw(axes, history, "train_accuracy", "training", palette.grey)
    _draw(axes, history, "val_accuracy", "validation", palette.blue)
    _mark_best(axes, palette, best.epoch, best.val_accuracy, f"{best.val_accuracy:.1%}")
    axes.set_ylim(top=min(axes.get_ylim()[1], 1.005))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    _finish_panel(axes, "Accuracy", history)


def draw_learning_rate(axes: Axes, palette: Palette, history: Sequence[EpochRecord]) -> None:
    """The base learning rate at the end of every epoch."""
    _draw(axes, history, "learning_rate", "learning rate", palette.grey)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(_small_number))
    _finish_panel(axes, "Learning rate", history)


def _draw(axes: Axes, history: Sequence[EpochRecord], field: str, label: str, colour: str) -> None:
    """One line of one field of the records over the epochs."""
    marker = "o" if len(history) <= _FEW_EPOCHS else None
    values = [getattr(record, field) for record in history]
    axes.plot([record.epoch for record in history], values, label=label, marker=marker, markersize=3.5, color=colour)


def _mark_best(axes: Axes, palette: Palette, epoch: int, value: float, text: str) -> None:
    """A vertical line and a ring where the kept epoch is, and what it reached, above the panel."""
    axes.axvline(epoch, color=palette.blue, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    draw_ring(axes, palette, epoch, value)
    axes.set_title(f"best epoch {epoch}: validation {text}", loc="right", color=palette.blue, fontsize=9)


def draw_ring(axes: Axes, palette: Palette, x: float, y: float) -> None:
    """Mark one point."""
    axes.plot([x], [y], marker="o", markersize=8, markerfacecolor=palette.paper, markeredgecolor=palette.blue, zorder=3)


def _finish_panel(axes: Axes, title: str, history: Sequence[EpochRecord]) -> None:
    """Title and whole epochs on the horizontal axis."""
    first, last = history[0].epoch, history[-1].epoch
    space = max(0.5, 0.03 * (last - first))
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.set_xlim(first - space, last + space)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _small_number(value: float, _position: int) -> str:
    """A learning rate in few characters: 8e-5, 0.001, 0."""
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa
