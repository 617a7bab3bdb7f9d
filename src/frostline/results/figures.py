"""The figures of a whole run: what `metrics.json` holds."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from frostline.data.dataset import SplitName
from frostline.errors import DataError
from frostline.files import atomic_write
from frostline.results.calibration import Answered, Calibration, Scaling
from frostline.results.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Accuracy:
    """An accuracy with how sure it is."""

    accuracy: float
    accuracy_low: float
    """Lower end of its 95% interval (Wilson, 1927)."""
    accuracy_high: float


@dataclass(frozen=True, slots=True)
class SplitTrust:
    """Whether the probabilities of one split can be trusted."""

    before: Calibration
    """Of the probabilities as the network gives them."""
    after: Calibration
    """Of those that the classifier answers with."""
    answered: Answered | None
    """What becomes of the split at the threshold for `unsure`; None where the classifier has none."""
    far: float
    """Share of its pictures that are flagged as far from the training pictures."""


@dataclass(frozen=True, slots=True)
class TrustFigures:
    """What was measured on validation pictures for the answers to come, and what it does to each split."""

    scaling: Scaling
    unsure_below: float | None
    """Confidence below which the answer is `unsure`; None where none was wanted."""
    far_beyond: float
    """Distance from the training pictures beyond which a picture is flagged."""
    splits: Mapping[SplitName, SplitTrust]


@dataclass(frozen=True)
class RunFigures:
    """What a run came to."""

    figures_of: SplitName
    """The split that the headline is of: test, else val."""
    val: Metrics
    test: Metrics | None
    class_names: tuple[str, ...]
    train_counts: tuple[int, ...]
    """Training pictures of each class."""
    majority: Accuracy
    """Answering the largest training class always."""
    probe: Accuracy | None
    """The linear probe of the pretrained features; None where it is the classifier itself, or nobody asked."""
    flip_tta: Mapping[SplitName, Accuracy] | None
    """With each answer averaged with that of the mirror image; None where that was not wanted."""
    trust: TrustFigures
    best_epoch: int
    epochs: int
    interrupted: bool
    layers: int
    """Of the backbone."""
    trained_layers: int
    trainable_parameters: Mapping[str, int]
    """Of the backbone and of the head."""
    seconds: Mapping[str, float]
    """By phase."""
    planned_seconds: Mapping[str, float] | None
    int8_trunk: Mapping[str, Any] | None
    val_folds: int | None = None
    """Where the head learnt from the validation pictures too: so many parts of the pictures were each judged by a head
    of the other parts, and the figures of `val` are of these answers. Else None."""

    @property
    def headline(self) -> Metrics:
        """The figures of the test pictures, else of the validation pictures."""
        return self.test or self.val

    def save(self, path: Path) -> None:
        """Write them as JSON."""
        with atomic_write(path) as file:
            json.dump(asdict(self), file, indent=2, ensure_ascii=False)
            file.write("\n")

    @classmethod
    def load(cls, path: Path) -> "RunFigures":
        """Read what `save` wrote. Raises `DataError` where it is missing or damaged."""
        try:
            return _adapter().validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else _first(error)
            raise DataError(f"{path} cannot be read: {reason}") from error


@cache
def _adapter() -> TypeAdapter[RunFigures]:
    return TypeAdapter(RunFigures)


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    place = ".".join(map(str, problem["loc"]))
    return f"{place}: {problem['msg']}" if place else problem["msg"]
