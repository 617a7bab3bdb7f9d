"""A plan for a run of limited time: the best settings that this machine gets through in the limit."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.splits import Splits
from frostline.errors import ConfigError
from frostline.model.backbone import native_input
from frostline.model.frost_line import TRAINABLE_SHARE
from frostline.model.layers import trace_layers
from frostline.recipes import RECIPES
from frostline.training.baseline import BASELINE_PICTURES
from frostline.training.calibrate import TRAINING_PICTURES
from frostline.training.cross_fit import FOLDS
from frostline.training.defaults import FEW_PICTURES, FEWEST_EPOCHS, MOST_EPOCHS, default_size
from frostline.training.growing import epoch_sizes
from frostline.training.rates import Rates, measure_rates
from frostline.training.setup import choose_augmentation, load_configured_backbone
from frostline.training.start import PROBE_PICTURES

_FILL = 0.92
"""Part of the time left that the estimates may take; the rest is for their error."""

_GUESS_ERROR = 1.3
"""Settings are measured only where the guess at their time is at most this many times the time left."""

_DRAW_SECONDS = 4.0
"""For what does not depend on the number of pictures: drawing and saving."""


@dataclass(frozen=True)
class Rung:
    """Settings that a plan chooses between."""

    scale: float
    """Of the default input size; pictures are not enlarged beyond the backbone's own."""
    trainable_share: float
    """Of the backbone's layers."""
    pictures_seen: int = 0
    """Training pictures, counted in every epoch, without which a lower rung is better."""

    def fewest_epochs(self, pictures: int) -> int:
        """The epochs of so many training pictures that are worth it."""
        return max(1, min(-(-self.pictures_seen // max(pictures, 1)), FEWEST_EPOCHS))


LADDER = (
    Rung(8 / 7, TRAINABLE_SHARE, 180_000),
    Rung(1, TRAINABLE_SHARE, 180_000),
    Rung(6 / 7, TRAINABLE_SHARE, 180_000),
    Rung(6 / 7, TRAINABLE_SHARE * 3 / 5, 45_000),
    Rung(6 / 7, 0),
    Rung(5 / 7, 0),
    Rung(4 / 7, 0),
)
"""From the best to the quickest (docs/log.md). With no layer to train, the closed-form start is all."""


@dataclass(frozen=True)
class Plan:
    """Options for a run of limited time, with the seconds that each phase is estimated to take."""

    config: TrainConfig
    deadline: float
    """When the run is to end, on the clock of `time.monotonic`."""
    seconds: Mapping[str, float]
    """By phase, named as in a run's `seconds`."""
    epoch_seconds: float
    most_epochs: int
    """What it may become where getting ready takes less than planned."""

    @property
    def total(self) -> float:
        """Seconds of all phases."""
        return sum(self.seconds.values())

    @property
    def end_of_training(self) -> float:
        """When training is to end, on the same clock, so that time is left for what follows it."""
        return self.deadline - self.seconds["evaluate"] - self.seconds["draw"]

    @property
    def rounded_seconds(self) -> dict[str, float]:
        """`seconds` as a run's `seconds` are."""
        return {name: round(seconds, 3) for name, seconds in self.seconds.items()}

    def fitting_epochs(self) -> int:
        """How many epochs fit into the time that is left for training now, at least one and at most `most_epochs`."""
        return max(1, min(self.most_epochs, int((self.end_of_training - time.monotonic()) / self.epoch_seconds)))

    def __str__(self) -> str:
        """What is planned and what it is estimated to take, in one line."""
        phases = ", ".join(f"{name} {seconds:,.0f} s" for name, seconds in self.seconds.items() if seconds >= 0.5)
        return f"{_describe(self.config)}; estimated: {phases}; {self.total:,.0f} s in all"


def make_plan(dataset: Dataset, splits: Splits, config: TrainConfig, deadline: float) -> Plan:
    """Measure the machine, and choose the best settings with which a run ends by the deadline.

    `deadline` is on the clock of `time.monotonic`. Options that were given stay as they are; those left open are
    chosen from `LADDER`. Raises `ConfigError` where nothing fits, and what `measure_rates` raises.
    """
    rates: Rates | None = None
    quickest: Plan | None = None
    for candidate, fewest_epochs, most_epochs in _candidates(dataset, len(splits.train), config):
        if rates is not None:
            guess = _plan(candidate, fewest_epochs, rates.at(candidate), splits, deadline)
            if guess.total > _GUESS_ERROR * _left(deadline):
                quickest = guess
                continue
        rates = measure_rates(dataset, splits, candidate)
        quickest = _plan(candidate, fewest_epochs, rates, splits, deadline)
        limit = _FILL * _left(deadline)
        if quickest.total <= limit:
            counts = range(fewest_epochs, most_epochs + 1)
            plans = [_plan(candidate, epochs, rates, splits, deadline) for epochs in counts]
            plan = max((plan for plan in plans if plan.total <= limit), key=lambda plan: plan.total)
            return replace(plan, most_epochs=most_epochs) if _keeps_all_views(plan.config) else plan
    assert quickest is not None, "the ladder is empty"
    raise ConfigError(_too_short(config, quickest))


def _candidates(dataset: Dataset, pictures: int, config: TrainConfig) -> Iterator[tuple[TrainConfig, int, int]]:
    """The settings of `LADDER` with the options that were given, each with the fewest and the most epochs.

    `pictures` is how many there are to train on.
    """
    given = {name for name in config.model_fields_set if getattr(config, name) is not None}
    layers = _count_layers(dataset, config)
    native_size, is_fixed = native_input(config.backbone)
    usual_size = default_size(config, dataset)
    seen = []
    for rung in LADDER:
        trainable = config.trainable_layers if "trainable_layers" in given else round(rung.trainable_share * layers)
        probe_alone = trainable == 0 and config.starts_with_probe
        wanted: dict[str, Any] = {
            "size": native_size if is_fixed else min(round(usual_size * rung.scale / 16) * 16, native_size),
            "trainable_layers": trainable,
            "features": "depths" if probe_alone and not is_fixed else "last",
        }
        chosen = {name: value for name, value in wanted.items() if name not in given}
        candidate = config.model_copy(update={**chosen, "time_limit": None})
        if candidate not in seen:
            seen.append(candidate)
            most = 0 if probe_alone else _most_epochs(config)
            fewest = min(rung.fewest_epochs(pictures), most)
            yield candidate, *((fewest, most) if config.epochs is None else (config.epochs, config.epochs))


def _most_epochs(config: TrainConfig) -> int:
    """Those of the recipe, where it has any."""
    return RECIPES.get(config.recipe or "", {}).get("epochs") or MOST_EPOCHS


def _count_layers(dataset: Dataset, config: TrainConfig) -> int:
    backbone, _ = load_configured_backbone(dataset, config)
    return len(trace_layers(backbone.module, backbone.size).layers)


def _plan(config: TrainConfig, epochs: int, rates: Rates, splits: Splits, deadline: float) -> Plan:
    """What a run with these options and this many epochs takes at these rates."""
    train, val, test = len(splits.train), len(splits.val), len(splits.test)
    augmentation = choose_augmentation(config)
    kept = config.cache and config.views != "fresh" and not augmentation.mixes
    views = int(config.views) if kept and augmentation.varies else 1
    sizes = Counter(epoch_sizes(config, epochs))
    looked_at = sum(_work(config, size) * count for size, count in sizes.items()) / epochs if epochs else 1.0
    each_epoch = 0.0 if kept else train / rates.trunk
    epoch_seconds = looked_at * (each_epoch + train / rates.train) + val / rates.body
    filled = sum(_work(config, size) * min(views, count) for size, count in sizes.items())
    probed = min(train, PROBE_PICTURES) if config.starts_with_probe else 0
    fits = 2 * (1 + FOLDS) if not epochs and train + val <= FEW_PICTURES else 1
    looks = 1 if config.tta == "none" else 2
    passes = 1 / rates.decode + 1 / rates.trunk + 1 / rates.body
    own_probe = 0 if config.starts_with_probe else min(train, BASELINE_PICTURES)
    baseline = (test or val) * passes + own_probe * (1 / rates.trunk + 1 / rates.body + 1 / rates.probe)
    evaluated = looks * (val + test) * passes + min(train, TRAINING_PICTURES) / rates.body
    seconds = {
        "prepare": rates.setup_seconds + (train + val + test) / rates.decode,
        "trunk": ((max(filled, 1) * train if kept else probed) + val) / rates.trunk,
        **({"probe": (probed + val) / rates.body + fits * probed / rates.probe} if probed else {}),
        **({"baseline": rates.setup_seconds + baseline} if epochs else {}),
        "train": epochs * epoch_seconds,
        "evaluate": 2 * rates.setup_seconds + evaluated,
        "draw": _DRAW_SECONDS,
    }
    return Plan(config.model_copy(update={"epochs": epochs}), deadline, seconds, epoch_seconds, most_epochs=epochs)


def _work(config: TrainConfig, size: int) -> float:
    """What a picture of this size costs, measured by one of full size."""
    assert config.size is not None
    return (size / config.size) ** 2


def _keeps_all_views(config: TrainConfig) -> bool:
    """Whether further epochs would see views that are kept already."""
    assert config.epochs is not None
    return config.views == "fresh" or config.epochs >= config.views


def _left(deadline: float) -> float:
    return deadline - time.monotonic()


def _describe(config: TrainConfig) -> str:
    if not config.epochs:
        return f"a linear probe at {config.size} px"
    layers = "all layers" if config.trainable_layers == "all" else f"the last {config.trainable_layers} layers"
    return f"{config.epochs} epochs of {layers} at {config.size} px"


def _too_short(config: TrainConfig, quickest: Plan) -> str:
    assert config.time_limit is not None
    limit = config.time_limit.total_seconds()
    needed = (limit - _left(quickest.deadline) + quickest.total) / _FILL
    return (
        f"time_limit {limit:g}s is too short on this machine: {quickest}; "
        f"give at least {-(-needed // 10) * 10:.0f}s, fewer pictures or a smaller backbone"
    )
