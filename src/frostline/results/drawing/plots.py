"""The training curves of a run as a picture."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from frostline.results.canvas import BLUE, GREY, canvas, write_message
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
    best = best_of(history)
    with canvas(path, 12.0, 3.8, "constrained") as figure:
        loss, accuracy, rate = figure.subplots(1, 3, width_ratios=[4, 4, 2.4])
        _draw(loss, history, "train_loss", "training", GREY)
        _draw(loss, history, "val_loss", "validation", BLUE)
        _draw(accuracy, history, "train_accuracy", "training", GREY)
        _draw(accuracy, history, "val_accuracy", "validation", BLUE)
        _draw(rate, history, "learning_rate", "learning rate", GREY)
        _mark_best(loss, best.epoch, best.val_loss, f"{best.val_loss:.3f}")
        _mark_best(accuracy, best.epoch, best.val_accuracy, f"{best.val_accuracy:.1%}")
        loss.legend()
        loss.set_ylim(bottom=0)
        rate.set_ylim(bottom=0)
        rate.yaxis.set_major_formatter(FuncFormatter(_small_number))
        accuracy.set_ylim(top=min(accuracy.get_ylim()[1], 1.005))
        accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
        for axes, title in ((loss, "Loss"), (accuracy, "Accuracy"), (rate, "Learning rate")):
            _finish_panel(axes, title, history[0].epoch, history[-1].epoch)


def _draw(axes: Axes, history: Sequence[EpochRecord], field: str, label: str, colour: str) -> None:
    """One line of one field of the records over the epochs."""
    marker = "o" if len(history) <= _FEW_EPOCHS else None
    values = [getattr(record, field) for record in history]
    axes.plot([record.epoch for record in history], values, label=label, marker=marker, markersize=3.5, color=colour)


def _mark_best(axes: Axes, epoch: int, value: float, text: str) -> None:
    """A vertical line and a ring where the kept epoch is, and what it reached, above the panel."""
    axes.axvline(epoch, color=BLUE, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.plot([epoch], [value], marker="o", markersize=8, markerfacecolor="white", markeredgecolor=BLUE, zorder=3)
    axes.set_title(f"best epoch {epoch}: validation {text}", loc="right", color=BLUE, fontsize=9)


def _finish_panel(axes: Axes, title: str, first: int, last: int) -> None:
    """Title and whole epochs on the horizontal axis."""
    space = max(0.5, 0.03 * (last - first))
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.set_xlim(first - space, last + space)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _small_number(value: float, _position: int) -> str:
    """A learning rate in few characters: 8e-5, 0.001, 0."""
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa
