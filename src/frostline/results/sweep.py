"""What a search over options came to: its trials, the retrained best, and how far the best can be believed."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from frostline.errors import DataError
from frostline.files import atomic_write


@dataclass(frozen=True)
class SweepTrial:
    """One trial; its figures are of its best epoch, and None where no epoch ended."""

    number: int
    options: Mapping[str, Any]
    """What was drawn."""
    given: bool
    """Whether these are the options that the search began with, and not drawn."""
    pruned: bool
    problem: str | None
    """Why it could not be trained, such as a loss that is not finite."""
    val_accuracy: float | None
    val_loss: float | None
    best_epoch: int | None
    epochs: int
    """Epochs that were trained, and so compared on the validation pictures."""
    seconds: float
    worker: str


@dataclass(frozen=True)
class Retrained:
    """The run with the best options."""

    folder: str
    val_accuracy: float
    test_accuracy: float | None
    test_low: float | None
    test_high: float | None
    """The 95% interval of the test accuracy; None where there are no test pictures."""
    test_pictures: int


@dataclass(frozen=True)
class SweepFigures:
    """A whole search."""

    dataset: str
    space: Mapping[str, Any]
    """What was searched, as a space file has it."""
    train_pictures: int
    """Training pictures of a trial."""
    all_train_pictures: int
    """Training pictures of the retrained run."""
    val_pictures: int
    trials: tuple[SweepTrial, ...]
    best: int
    """Number of the trial with the best options."""
    optimism: float
    """See `expected_optimism`."""
    retrained: Retrained | None

    @property
    def best_trial(self) -> SweepTrial:
        """The trial with the best options."""
        return next(trial for trial in self.trials if trial.number == self.best)

    @property
    def compared(self) -> int:
        """How many accuracies on the validation pictures were compared: one for each epoch of each trial."""
        return sum(trial.epochs for trial in self.trials)

    def ranked(self) -> list[SweepTrial]:
        """The trials, the best first, those that were pruned after those that were not."""
        return sorted(self.trials, key=lambda trial: (trial.pruned, *_from_best(trial.val_accuracy, trial.val_loss)))

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SweepFigures":
        """What `to_dict` gave."""
        retrained = values["retrained"]
        return cls(
            **{
                **values,
                "trials": tuple(SweepTrial(**trial) for trial in values["trials"]),
                "retrained": None if retrained is None else Retrained(**retrained),
            }
        )

    def save(self, path: Path) -> None:
        """Write everything as JSON."""
        with atomic_write(path) as file:
            json.dump(self.to_dict(), file, indent=2)
            file.write("\n")

    @classmethod
    def load(cls, path: Path) -> "SweepFigures":
        """Read what `save` wrote. Raises `DataError` where it is missing or damaged."""
        try:
            return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path} cannot be read ({error})") from error


def option_text(value: Any) -> str:
    """The value of an option in few characters; `default` where it is left open."""
    if value is None:
        return "default"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _from_best(accuracy: float | None, loss: float | None) -> tuple[float, float]:
    return (math.inf if accuracy is None else -accuracy, math.inf if loss is None else loss)


def best_trial(trials: tuple[SweepTrial, ...]) -> SweepTrial | None:
    """The trial with the highest validation accuracy; of several, that with the lowest loss. None where all failed.

    It is the rule by which a run keeps its epoch, see `best_of`. A trial that was pruned is not chosen.
    """
    whole = [trial for trial in trials if not trial.pruned and trial.val_accuracy is not None]
    return min(whole, key=lambda trial: _from_best(trial.val_accuracy, trial.val_loss), default=None)


def expected_optimism(compared: int, accuracy: float, pictures: int) -> float:
    """How much higher than the truth the highest of so many accuracies on the same pictures is expected, at most.

    It is the expected maximum of `compared` independent normal deviates (David & Nagaraja 2003, Order Statistics,
    chapter 4), times the standard error of an `accuracy` on so many pictures (Agresti & Coull 1998, so that it is not 0
    where all are right). Accuracies on the same pictures are positively correlated, and not all trials are equally good
    in truth: both make the expected maximum lower (Slepian 1962).
    """
    share = (accuracy * pictures + 2) / (pictures + 4)
    return expected_maximum(compared) * math.sqrt(share * (1 - share) / (pictures + 4))


def expected_maximum(count: int) -> float:
    """The expected maximum of so many independent standard normal deviates; 0 for one.

    >>> round(expected_maximum(2), 4), round(expected_maximum(40), 3)
    (0.5642, 2.161)
    """
    from scipy.integrate import quad
    from scipy.stats import norm

    def density(x: float) -> float:
        return float(x * count * norm.pdf(x) * norm.cdf(x) ** (count - 1))

    return float(quad(density, -10, 10, limit=200)[0])
