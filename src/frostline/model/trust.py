"""What a classifier knows of its own answers: how sure it may be, and how far a picture is from what it learnt on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from frostline.files import atomic_write
from frostline.results.calibration import Scaling

_NORMAL_SHARE = 0.99
"""Part of the validation pictures that is not far from the training pictures."""

_ROUNDING = 1e-4
"""Distances that are closer are the same: directions are kept as float16, and engines round by the size of a batch."""

_FILE = "training_features.safetensors"


@dataclass(frozen=True, eq=False)
class TrainingFeatures:
    """Features of training pictures, and how far from them a picture must be to be flagged.

    The distance is one minus the cosine to the nearest of them (Sun et al. 2022, arXiv:2204.06507, with one neighbour):
    0 for the same features. What else was tried is in docs/log.md.
    """

    directions: NDArray[np.float16]
    """Features of unit length, (training pictures, features)."""
    threshold: float = float("inf")
    """Distance beyond which a picture is far."""

    @classmethod
    def fit(cls, features: NDArray[np.float32]) -> "TrainingFeatures":
        """Keep the directions of features, (training pictures, features)."""
        return cls(_directions(features).astype(np.float16))

    def with_threshold(self, distances: NDArray[np.float32]) -> "TrainingFeatures":
        """Set the threshold such that 99% of pictures with these distances are not far."""
        return replace(self, threshold=float(np.quantile(distances, _NORMAL_SHARE, method="higher")) + _ROUNDING)

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far pictures with these features, (N, features), are from the nearest training picture, (N,)."""
        cosines = torch.from_numpy(_directions(features)) @ self._columns
        nearest: NDArray[np.float32] = (1 - cosines.amax(dim=1)).numpy()
        return nearest

    @cached_property
    def _columns(self) -> Tensor:
        """The directions as float32, (features, training pictures); torch has the threads of the network's engine."""
        return torch.from_numpy(self.directions.astype(np.float32)).T


@dataclass(frozen=True, eq=False)
class Trust:
    """What was learnt from pictures that the network was not trained on."""

    scaling: Scaling = field(default_factory=Scaling)
    """Makes logits probabilities."""
    unsure_below: float | None = None
    """Confidence below which the answer is `unsure`; None: never."""
    training: TrainingFeatures | None = None

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities of logits, both (pictures, classes)."""
        return self.scaling.probabilities(logits)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the training features to a classifier's folder; returns the rest, for JSON."""
        threshold = None
        if self.training is not None:
            threshold = self.training.threshold
            with atomic_write(folder / _FILE, "wb") as file:
                file.write(to_bytes({"directions": torch.from_numpy(self.training.directions)}))
        return {"scaling": asdict(self.scaling), "unsure_below": self.unsure_below, "far_beyond": threshold}

    @classmethod
    def load(cls, values: Mapping[str, Any], folder: Path) -> "Trust":
        """Read what `save` wrote; raises what its readers do."""
        training = None
        if values["far_beyond"] is not None:
            training = TrainingFeatures(load_file(folder / _FILE)["directions"].numpy(), float(values["far_beyond"]))
        unsure_below = values["unsure_below"]
        return cls(Scaling(**values["scaling"]), None if unsure_below is None else float(unsure_below), training)


def _directions(features: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.sqrt(np.einsum("nf,nf->n", features, features))[:, np.newaxis]
    directions: NDArray[np.float32] = features / np.maximum(lengths, np.finfo(np.float32).tiny)
    return directions
