"""What happened in each epoch of a training, as a table that a person can open."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from frostline.results.rows import load_rows, save_rows


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One epoch: losses are means over pictures (nats), accuracies fractions, times in seconds."""

    epoch: int
    """Counted from 1; 0 is the closed-form start, before the first step."""
    train_loss: float
    """Mean loss over the epoch's augmented pictures, as it was optimised."""
    train_accuracy: float
    val_loss: float
    """Plain cross-entropy on the validation pictures."""
    val_accuracy: float
    """The epoch with the highest one is kept."""
    learning_rate: float
    """Base learning rate at the end of the epoch."""
    seconds: float
    pictures_per_second: float
    """Training pictures over the time of their part of the epoch."""


def best_of(history: Sequence[EpochRecord]) -> EpochRecord:
    """The epoch that is kept: the one with the highest validation accuracy; of several, the lowest validation loss.

    The loss alone misleads where labels are smoothed: it falls with sharper answers, which smoothing trains away.
    """
    return max(history, key=lambda record: (record.val_accuracy, -record.val_loss))


def save_history(records: Sequence[EpochRecord], path: Path) -> None:
    """Write one row an epoch as CSV."""
    save_rows(records, EpochRecord, path)


def load_history(path: Path) -> list[EpochRecord]:
    """Read what `save_history` wrote. Raises `DataError` where it is damaged."""
    return load_rows(path, EpochRecord)
