"""Progressive resizing: the first epochs see smaller pictures, which cost less and vary what the network sees.

Howard 2018 (fast.ai's DAWNBench entry); Tan and Le 2021, arXiv:2104.00298, on why it pays.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from frostline.config import TrainConfig
from frostline.errors import ConfigError
from frostline.model.backbone import native_input
from frostline.model.engines import make_engine
from frostline.training.batches import ActivationBatches, Batch, Batches
from frostline.training.distributed import Ranks
from frostline.training.setup import Model, keep_activations

_STEP = 16
"""Sizes are so many pixels apart, or twice as many, and so on."""

_GROWING_SHARE = 0.6
"""Part of the epochs in which pictures grow; the others see them at full size."""


@dataclass(frozen=True)
class GrowingBatches:
    """Batches of each epoch's own size; validation pictures are at full size, as they will be in use."""

    of_epochs: tuple[ActivationBatches, ...]

    @property
    def _full(self) -> ActivationBatches:
        return self.of_epochs[-1]

    @property
    def ranks(self) -> Ranks:
        """See `Batches`."""
        return self._full.ranks

    @property
    def train_pictures(self) -> int:
        """See `Batches`."""
        return self._full.train_pictures

    @property
    def val_pictures(self) -> int:
        """See `Batches`."""
        return self._full.val_pictures

    @property
    def steps_per_epoch(self) -> int:
        """See `Batches`."""
        return self._full.steps_per_epoch

    def train(self, epoch: int) -> Iterator[Batch]:
        """See `Batches.train`."""
        return self.of_epochs[epoch].train(epoch)

    def val(self) -> Iterator[Batch]:
        """See `Batches.val`."""
        return self._full.val()


def require_growth(config: TrainConfig) -> None:
    """Raise `ConfigError` where pictures cannot grow as the options say; their `size` is settled."""
    if config.start_size is None:
        return
    assert config.size is not None
    if native_input(config.backbone)[1]:
        raise ConfigError(f"start_size: {config.backbone} sees pictures of {config.size} px only; leave it out")
    if config.start_size >= config.size:
        raise ConfigError(f"start_size {config.start_size} is not below size {config.size}: lower it, or leave it out")
    if config.trunk_precision == "int8":
        raise ConfigError("start_size and trunk_precision int8 do not go together: leave out one of them")


def epoch_sizes(config: TrainConfig, epochs: int) -> list[int]:
    """The side of the pictures in each epoch, in pixels: it grows evenly in the first of them."""
    assert config.size is not None
    if config.start_size is None or epochs < 2:
        return [config.size] * epochs
    steps = (config.size - config.start_size) / _STEP / min(_GROWING_SHARE * epochs, epochs - 1)
    grown = [min(config.size, config.start_size + _STEP * round(steps * epoch)) for epoch in range(epochs - 1)]
    return [*grown, config.size]


def growing(model: Model, batches: ActivationBatches, config: TrainConfig, epochs: int) -> Batches:
    """The batches of a training of so many epochs, given those of full size; fills the cache for the other sizes."""
    of_epochs: list[ActivationBatches] = []
    for size, group in groupby(epoch_sizes(config, epochs)):
        stop = len(of_epochs) + len(list(group))
        of_size = batches
        if size != config.size:
            seen = range(len(of_epochs), stop)
            of_size = keep_activations(model, _resized(model, batches, size), config, seen, probe=False)
        of_epochs += [of_size] * (stop - len(of_epochs))
    return GrowingBatches(tuple(of_epochs)) if config.start_size and of_epochs else batches


def full_size_epochs(config: TrainConfig, epochs: int) -> range:
    """The epochs, counted from 0, that see pictures at full size."""
    assert config.size is not None
    return range(epochs - epoch_sizes(config, epochs).count(config.size), epochs)


def _resized(model: Model, batches: ActivationBatches, size: int) -> ActivationBatches:
    """The training batches at another size, nothing of them kept."""
    activations = batches.activations
    preprocessing = replace(activations.augmenter.preprocessing, size=size)
    resized = replace(
        activations,
        augmenter=replace(activations.augmenter, preprocessing=preprocessing),
        engine=make_engine(model.frozen.trunk, (3, size, size), model.device, model.precision, batches.batch_size),
        kept={},
    )
    return replace(batches, activations=resized, val_indices=batches.val_indices[:0])
