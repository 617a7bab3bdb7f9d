"""What a machine does in a second: each part of a run, measured on some of the pictures."""

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.decode import UnreadablePictureError
from frostline.data.machine import usable_cores
from frostline.data.pixels import read_pixels
from frostline.data.splits import Splits
from frostline.model.frost_line import count_trainable
from frostline.model.layers import Layer
from frostline.results.history import EpochRecord
from frostline.training.batches import ActivationBatches, Batch
from frostline.training.checkpoints import Checkpoints
from frostline.training.distributed import ALONE, Ranks
from frostline.training.fit import Stage, fit
from frostline.training.probe import fit_probe
from frostline.training.setup import Model, build_model, load_configured_backbone, make_batches, make_stage

_PICTURES = 256
"""Training pictures that the machine is measured on."""

_SECONDS = 1.0
"""How long a part is measured at least."""

_PROBE_NUMBERS = 16_000_000
"""Features in all that the linear probe is fitted to: more than caches hold. Its time grows in proportion."""


@dataclass(frozen=True)
class Rates:
    """Pictures a second of each part of a run, with one backbone, input size and frost line."""

    decode: float
    trunk: float
    """From pixels to activations, through a view."""
    body: float
    """From activations to logits, without training."""
    train: float
    """From activations through a step of the optimiser."""
    probe: float
    """Fitting the linear probe to features."""
    setup_seconds: float
    """For loading the backbone and making its engine."""
    size: int
    """Side of the network's input in pixels."""
    multiplications: tuple[float, ...]
    """Of each layer, for one picture."""
    trainable_layers: int

    def at(self, config: TrainConfig) -> "Rates":
        """A guess at the rates with the size and the frost line of these options, by the multiplications."""
        size = config.size or self.size
        guess = replace(
            self,
            size=size,
            multiplications=tuple((size / self.size) ** 2 * count for count in self.multiplications),
            trainable_layers=count_trainable(config.trainable_layers, len(self.multiplications)),
        )
        (below, above), (guess_below, guess_above) = self._sides(), guess._sides()
        more = guess_above / above
        return replace(guess, trunk=self.trunk * below / guess_below, body=self.body / more, train=self.train / more)

    def _sides(self) -> tuple[float, float]:
        """Multiplications below and above the frost line."""
        first = max(len(self.multiplications) - self.trainable_layers, 0)
        return sum(self.multiplications[:first]) + 1, sum(self.multiplications[first:]) + 1


def measure_rates(dataset: Dataset, splits: Splits, config: TrainConfig) -> Rates:
    """Measure the machine for some seconds with these options. Raises `ConfigError`, `DataError` or `ModelError`."""
    started = time.monotonic()
    backbone, config = load_configured_backbone(dataset, config)
    model = build_model(dataset, backbone, config)
    setup_seconds = time.monotonic() - started
    sample, decode = _readable_sample(dataset, splits, model)
    pixels, _ = read_pixels(sample, size=backbone.size, resize_mode=config.resize_mode)
    everything = np.arange(len(sample))
    batches = make_batches(model, sample, pixels, Splits(everything, everything, everything[:0]), config)
    trunk = _per_second(len(sample), lambda: batches.activations.read(everything, 1).sum().item())
    body, train = _tail_rates(model, batches, make_stage(model, dataset.targets[splits.train], config))
    return Rates(
        decode=decode,
        trunk=trunk,
        body=body,
        train=train,
        probe=_probe_rate(backbone.features, len(dataset.class_names)),
        setup_seconds=setup_seconds,
        size=backbone.size,
        multiplications=tuple(map(_multiplications, model.frozen.layers)),
        trainable_layers=len(model.frozen.layers) - model.frozen.first_trainable,
    )


def _readable_sample(dataset: Dataset, splits: Splits, model: Model) -> tuple[Dataset, float]:
    """Some training pictures that can be read, and how many are read in a second."""
    count = min(_PICTURES, len(splits.train))
    drawn = np.random.default_rng(0).choice(splits.train, count, replace=False)
    preprocessing = model.classifier.preprocessing

    def is_readable(index: np.int64) -> bool:
        try:
            preprocessing.fit(dataset.picture(int(index), min_side=preprocessing.size))
        except UnreadablePictureError:
            return False
        return True

    started = time.monotonic()
    with ThreadPoolExecutor(usable_cores()) as pool:
        readable = list(pool.map(is_readable, drawn))
    rate = count / (time.monotonic() - started)
    return dataset.subset(drawn[readable]), rate


def _tail_rates(model: Model, batches: ActivationBatches, stage: Stage) -> tuple[float, float]:
    """Pictures a second through the tail, without and with training: those of the second of two epochs."""
    sample = _Repeated(tuple(batches.train(0)), tuple(batches.val()), batches.train_pictures)
    records: list[EpochRecord] = []
    with tempfile.TemporaryDirectory() as folder:
        fit(model.tail, sample, replace(stage, epochs=2, patience=None), Checkpoints(Path(folder)), records.append)
    train = records[-1].pictures_per_second
    return sample.val_pictures / (records[-1].seconds - sample.train_pictures / train), train


@dataclass(frozen=True)
class _Repeated:
    """The same batches in every epoch, in memory."""

    train_batches: tuple[Batch, ...]
    val_batches: tuple[Batch, ...]
    train_pictures: int
    ranks: Ranks = ALONE

    @property
    def val_pictures(self) -> int:
        return self.train_pictures

    @property
    def steps_per_epoch(self) -> int:
        return len(self.train_batches)

    def train(self, epoch: int) -> Iterator[Batch]:
        return iter(self.train_batches)

    def val(self) -> Iterator[Batch]:
        return iter(self.val_batches)


def _probe_rate(features: int, classes: int) -> float:
    rows = max(_PROBE_NUMBERS // features, 2 * classes)
    rng = np.random.default_rng(0)
    values = rng.standard_normal((rows, features), dtype=np.float32)
    np.cumsum(values, axis=1, out=values)  # correlated, as a network's features are: else few iterations are enough
    targets = rng.permutation(np.arange(rows) % classes)
    started = time.monotonic()
    fit_probe(values, targets)
    return rows / (time.monotonic() - started)


def _per_second(count: int, work: Callable[[], object]) -> float:
    """How many things are done in a second, where `work` does `count` of them; its first time is not counted."""
    work()
    started = time.monotonic()
    rounds = 0
    while time.monotonic() - started < _SECONDS:
        work()
        rounds += 1
    return count * rounds / (time.monotonic() - started)


def _multiplications(layer: Layer) -> float:
    """Of one picture: each weight of a convolution is used once for every place of its output."""
    return float(layer.parameters * prod(layer.output_shape[1:]))
