"""A classifier that torch runs, with its network at hand: what training makes, in one object and in one folder."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from frostline import __version__
from frostline.data.dataset import Dataset, Picture
from frostline.errors import ModelError
from frostline.files import atomic_write
from frostline.model.classifier import Answering, Answers, ImageClassifier
from frostline.model.engines import PatientEngine, TorchEngine
from frostline.model.exported import find_export
from frostline.model.network import Architecture, Network, WithFeatures, build_network
from frostline.model.preprocessing import Preprocessing
from frostline.model.resampling import pixels_of
from frostline.model.trust import Trust
from frostline.results.predictions import Predictions

FORMAT_VERSION = 1
"""Of the folder that `NetworkClassifier.save` writes."""

_DESCRIPTION = "classifier.json"
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True, eq=False)
class Scores:
    """What the network gives for the pictures of a dataset, before it is made probabilities."""

    paths: tuple[str, ...]
    targets: NDArray[np.int64]
    """The classifier's index of each picture's class, shape (pictures,)."""
    logits: NDArray[np.float32]
    """Shape (pictures, classes)."""
    distances: NDArray[np.float32] | None
    """See `Trust.distances`, shape (pictures,)."""


class NetworkClassifier(ImageClassifier):
    """An `ImageClassifier` with preprocessing, network and class names."""

    def __init__(
        self,
        architecture: Architecture,
        network: Network,
        preprocessing: Preprocessing,
        class_names: Sequence[str],
        origin: dict[str, Any] | None = None,
        trust: Trust | None = None,
    ) -> None:
        self.architecture = architecture
        self.network = network.eval()
        self.preprocessing = preprocessing
        self.class_names = tuple(class_names)
        self.origin = origin or {}
        """Where it comes from: pretrained weights, dataset."""
        self.trust = trust or Trust()
        """What is known of its answers from pictures that it was not trained on."""

    @property
    def unsure_below(self) -> float | None:
        """See `ImageClassifier`."""
        return self.trust.unsure_below

    @property
    def far_beyond(self) -> float | None:
        """See `ImageClassifier`."""
        return None if self.trust.training is None else self.trust.training.threshold

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> "NetworkClassifier":
        """Move the network to a device; returns the classifier itself."""
        self.network.to(device)
        return self

    def logits(self, pixels: Tensor) -> Tensor:
        """From normalised pixels, float32 (N, 3, size, size), to logits, float32 (N, classes)."""
        return TorchEngine(self.network)(pixels.to(self.device))

    def answering(self, expected: int = 0) -> Answering:
        """See `ImageClassifier`; runs the network as it is now."""
        engine = self._engine(expected)

        def answer(squares: Sequence[Picture]) -> Answers:
            features, logits = self._split(engine(pixels_of(self.preprocessing, squares, self.device)))
            return Answers(self.trust.probabilities(logits), self._distances(features))

        return answer

    def score_dataset(
        self, dataset: Dataset, indices: NDArray[np.int64], name: str = "predict", batch_size: int = 128
    ) -> Scores:
        """Run some of a dataset's pictures through the network; see `predict_dataset`."""
        targets = self.match_classes(dataset)[dataset.targets[indices]]
        engine = self._engine(expected=len(indices))
        logits = [np.empty((0, len(self.class_names)), np.float32)]
        distances = [np.empty(0, np.float32)]
        for squares in self.read_dataset(dataset, indices, name, batch_size):
            features, of_batch = self._split(engine(pixels_of(self.preprocessing, squares, self.device)))
            logits.append(of_batch)
            measured = self._distances(features)
            if measured is not None:
                distances.append(measured)
        paths = tuple(dataset.samples[int(index)].path for index in indices)
        all_distances = None if self.trust.training is None else np.concatenate(distances)
        return Scores(paths, targets, np.concatenate(logits), all_distances)

    def predictions_of(self, scores: Scores) -> Predictions:
        """The probabilities that the classifier gives for scores of its own, by its `trust` as it is now."""
        probabilities = self.trust.probabilities(scores.logits)
        return Predictions(scores.paths, scores.targets, probabilities, self.class_names, scores.distances)

    def save(self, folder: Path) -> None:
        """Write the classifier to a folder: `model.safetensors` and `classifier.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        with atomic_write(folder / _WEIGHTS, "wb") as file:
            file.write(to_bytes(weights))
        description = {
            "format_version": FORMAT_VERSION,
            "frostline": __version__,
            "backbone": self.architecture.backbone,
            "head": {
                "width": self.architecture.head_width,
                "activation": self.architecture.head_activation,
                "dropout": self.architecture.dropout,
            },
            "features": self.architecture.features,
            "preprocessing": self.preprocessing.to_dict(),
            "class_names": list(self.class_names),
            "origin": self.origin,
            "trust": self.trust.save(folder),
        }
        with atomic_write(folder / _DESCRIPTION) as file:
            json.dump(description, file, indent=2, ensure_ascii=False)

    @staticmethod
    def load(path: str | Path) -> "NetworkClassifier":
        """Read a classifier from its folder, or from the folder of a run.

        Raises `ModelError` where there is none, or it is damaged or of another format version.
        """
        folder = find_classifier(Path(path))
        description = _read_description(folder / _DESCRIPTION)
        try:
            head = description["head"]
            architecture = Architecture(
                description["backbone"], head["width"], head["activation"], head["dropout"], description["features"]
            )
            preprocessing = Preprocessing.from_dict(description["preprocessing"])
            class_names, origin = tuple(description["class_names"]), dict(description["origin"])
            trust = Trust.load(description["trust"], folder)
            network = build_network(architecture, preprocessing.size, len(class_names))
        except (ModelError, KeyError, TypeError, ValueError) as error:
            raise _damaged(folder / _DESCRIPTION, error) from error
        try:
            network.load_state_dict(load_file(folder / _WEIGHTS))
        except (OSError, SafetensorError) as error:
            raise _damaged(folder / _WEIGHTS, error) from error
        except RuntimeError as error:
            raise ModelError(f"{folder / _WEIGHTS} does not fit the network of {_DESCRIPTION} beside it") from error
        return NetworkClassifier(architecture, network, preprocessing, class_names, origin, trust)

    def _engine(self, expected: int) -> PatientEngine:
        """Runs the network as it is now, from pixels to what `_split` takes."""
        size = self.preprocessing.size
        return PatientEngine(WithFeatures(self.network), (3, size, size), self.device, expected)

    def _split(self, outputs: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features, (pictures, features), and logits, (pictures, classes), of what the engine gives."""
        rows = outputs.cpu().numpy()
        classes = len(self.class_names)
        return rows[:, :-classes], rows[:, -classes:]

    def _distances(self, features: NDArray[np.float32]) -> NDArray[np.float32] | None:
        return None if self.trust.training is None else self.trust.training.distances(features)


def find_classifier(path: Path) -> Path:
    """The classifier's folder, given that or the folder of its run. Raises `ModelError` where there is none."""
    for folder in (path, path / "classifier"):
        if (folder / _DESCRIPTION).is_file():
            return folder
    if not path.exists():
        raise ModelError(f"no such run or classifier: {path}")
    if find_export(path) is not None:
        raise ModelError(f"{path} is an export, without its network: name the run or classifier that it was made from")
    unfinished = (path / "config.yaml").is_file()
    hint = f"; finish the run with `frostline train --resume {path}`" if unfinished else ""
    raise ModelError(f"{path} holds no classifier (no {_DESCRIPTION}){hint}")


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        version = description["format_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error
    if version != FORMAT_VERSION:
        raise ModelError(
            f"{path} has format version {version}, this frostline reads {FORMAT_VERSION}; update frostline"
        )
    return dict(description)


def _damaged(path: Path, error: Exception) -> ModelError:
    reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
    return ModelError(f"{path} cannot be used: {reason}; save the classifier anew")
