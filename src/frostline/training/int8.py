"""The trunk in 8-bit integers: faster on a CPU, not quite the same activations, and what that costs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from frostline.model.engines import OpenVinoEngine, make_engine
from frostline.model.quantise import MOST_EXAMPLES
from frostline.progress import phase, say
from frostline.training.activations import Activations
from frostline.training.batches import ActivationBatches
from frostline.training.probe import fit_probe, loss_and_accuracy
from frostline.training.setup import Model
from frostline.training.start import features_of

_COMPARED = 2000
"""Training pictures, and validation pictures, that the cost is measured on at most."""

_COMPARED_WHOLE = 64
"""Validation pictures whose activations are compared number by number."""


@dataclass(frozen=True)
class Int8Cost:
    """What is lost where the tail learns from a trunk in int8, and is then used with the trunk in float32.

    Accuracies are those of a linear probe of the network before training, on validation pictures in float32.
    """

    accuracy: float
    """Where the probe is fitted behind the trunk in int8."""
    float32_accuracy: float
    """Where it is fitted behind the trunk in float32."""
    val_pictures: int
    activation_error: float
    """Norm of the error of a picture's activations over their own: the median over validation pictures."""

    def __str__(self) -> str:
        """One line for the user."""
        return (
            f"trunk in int8: a linear probe fitted behind it reaches {self.accuracy:.3f} of {self.val_pictures:,} "
            f"validation pictures in float32, one fitted in float32 {self.float32_accuracy:.3f}; "
            f"its activations are off by {self.activation_error:.1%}"
        )


def run_trunk_in_int8(model: Model, batches: ActivationBatches) -> tuple[ActivationBatches, Int8Cost]:
    """The same batches with the trunk in int8, calibrated on training pictures as they are; says what that costs.

    For the same pictures and seed it is the same trunk, bit for bit.
    """
    rng = np.random.default_rng(batches.seed)
    drawn = _draw(batches.train_indices, MOST_EXAMPLES, rng)
    say(f"calibrating the trunk in int8 on {len(drawn):,} training pictures")
    size = model.classifier.preprocessing.size
    engine = OpenVinoEngine(model.frozen.trunk, (3, size, size), _Inputs(batches.activations, drawn))
    quantised = replace(batches, activations=replace(batches.activations, engine=engine))
    cost = _compare(model, batches, quantised, rng)
    say(str(cost))
    return quantised, cost


@dataclass(frozen=True)
class _Inputs:
    """The network's input for some pictures, one after the other."""

    activations: Activations
    indices: NDArray[np.int64]

    def __iter__(self) -> Iterator[Tensor]:
        for index in self.indices:
            yield self.activations.views(index[None], 0)


def _compare(
    model: Model, batches: ActivationBatches, quantised: ActivationBatches, rng: np.random.Generator
) -> Int8Cost:
    targets = batches.targets
    val = _draw(batches.val_indices, _COMPARED, rng)
    of_each_class = np.unique(targets[batches.train_indices], return_index=True)[1]
    train = np.union1d(_draw(batches.train_indices, _COMPARED, rng), batches.train_indices[of_each_class])
    exact, rounded = (each.activations.read(val[:_COMPARED_WHOLE], 0).flatten(1) for each in (batches, quantised))
    body = make_engine(model.frozen.body, tuple(batches.activations.read(val[:1], 0).shape[1:]), model.device)
    with phase("trunk in int8", len(val) + 2 * len(train)) as advance:
        val_features = features_of(body, batches, val, advance)

        def accuracy(fitted_on: ActivationBatches) -> float:
            probe = fit_probe(features_of(body, fitted_on, train, advance), targets[train], depths=model.depths)
            return loss_and_accuracy(probe.logits(val_features), targets[val])[1]

        return Int8Cost(
            accuracy=accuracy(quantised),
            float32_accuracy=accuracy(batches),
            val_pictures=len(val),
            activation_error=float(((rounded - exact).norm(dim=1) / exact.norm(dim=1).clamp_min(1e-12)).median()),
        )


def _draw(indices: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """So many of these pictures in random order, or all of them where there are fewer."""
    return rng.permutation(indices)[:count]
