"""A trained classifier: preprocessing, network and class names in one object and in one folder."""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from frostline import __version__
from frostline.data.dataset import Dataset, Picture
from frostline.data.decode import UnreadablePictureError, decode_picture, list_unreadable
from frostline.errors import DataError, ModelError
from frostline.files import atomic_write
from frostline.model.engines import PatientEngine, TorchEngine
from frostline.model.network import Architecture, Network, WithFeatures, build_network
from frostline.model.prediction import Prediction
from frostline.model.preprocessing import Preprocessing
from frostline.model.trust import Trust
from frostline.progress import phase
from frostline.results.predictions import Predictions

_Item = TypeVar("_Item")

FORMAT_VERSION = 1
"""Of the folder that `ImageClassifier.save` writes."""

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


class ImageClassifier:
    """Tells what a picture shows. Loads without the training data, and carries its own preprocessing."""

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
    def device(self) -> torch.device:
        """Where the network computes."""
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> "ImageClassifier":
        """Move the network to a device; returns the classifier itself."""
        self.network.to(device)
        return self

    def logits(self, pixels: Tensor) -> Tensor:
        """From normalised pixels, float32 (N, 3, size, size), to logits, float32 (N, classes)."""
        return TorchEngine(self.network)(pixels.to(self.device))

    def probabilities(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        """Class probabilities of decoded pictures of any size, shape (pictures, classes)."""
        fitted = [self.preprocessing.fit(picture) for picture in pictures]
        return self.trust.probabilities(self.logits(self._pixels(fitted)).cpu().numpy())

    def predict(self, pictures: Iterable[str | Path | Picture], batch_size: int = 32) -> list[Prediction]:
        """Classify picture files, or decoded pictures (uint8 RGB, (height, width, 3)), in the order given.

        Raises `DataError` at the first file that cannot be read; `predict_each` goes on instead.
        """
        if isinstance(pictures, (str, Path)):
            raise TypeError(f"predict takes a list of pictures: give [{str(pictures)!r}]")
        predictions = []
        for prediction in self.predict_each(pictures, batch_size):
            if isinstance(prediction, UnreadablePictureError):
                raise prediction
            predictions.append(prediction)
        return predictions

    def predict_each(
        self, pictures: Iterable[str | Path | Picture], batch_size: int = 32
    ) -> Iterator[Prediction | UnreadablePictureError]:
        """Classify pictures one batch after another, in the order given; an unreadable one gives its error."""
        engine = self._engine()
        with ThreadPoolExecutor() as pool:
            for chunk in _chunks(pictures, batch_size):
                fitted = list(pool.map(self._fit_or_error, chunk))
                readable = [picture for picture in fitted if isinstance(picture, np.ndarray)]
                answers = iter(self._answer(engine(self._pixels(readable)))) if readable else iter(())
                for given, picture in zip(chunk, fitted, strict=True):
                    if isinstance(picture, UnreadablePictureError):
                        yield picture
                    else:
                        path = "" if isinstance(given, np.ndarray) else str(given)
                        yield replace(next(answers), path=path)

    def predict_dataset(
        self, dataset: Dataset, indices: NDArray[np.int64], name: str = "predict", batch_size: int = 128
    ) -> Predictions:
        """Classify some of a dataset's pictures, read anew from their source.

        The dataset's classes are matched by name. Raises `DataError` for a class that the classifier does not know, and
        one that lists every picture that cannot be read.
        """
        return self.predictions_of(self.score_dataset(dataset, indices, name, batch_size))

    def predictions_of(self, scores: Scores) -> Predictions:
        """The probabilities that the classifier gives for scores of its own, by its `trust` as it is now."""
        probabilities = self.trust.probabilities(scores.logits)
        return Predictions(scores.paths, scores.targets, probabilities, self.class_names, scores.distances)

    def score_dataset(
        self, dataset: Dataset, indices: NDArray[np.int64], name: str = "predict", batch_size: int = 128
    ) -> Scores:
        """Run some of a dataset's pictures through the network; see `predict_dataset`."""
        targets = self._match_classes(dataset)[dataset.targets[indices]]
        engine = self._engine(expected=len(indices))
        logits = [np.empty((0, len(self.class_names)), np.float32)]
        distances = [np.empty(0, np.float32)]
        unreadable: list[tuple[str, str]] = []

        def read(index: np.int64) -> Picture | UnreadablePictureError:
            try:
                return self.preprocessing.fit(dataset.picture(int(index), min_side=self.preprocessing.size))
            except UnreadablePictureError as error:
                return error

        with phase(name, len(indices)) as advance, ThreadPoolExecutor() as pool:
            for chunk in _chunks(indices, batch_size):
                read_now = list(pool.map(read, chunk))
                errors = [item for item in read_now if isinstance(item, UnreadablePictureError)]
                unreadable += [(error.path, error.reason) for error in errors]
                if not unreadable:
                    pixels = self._pixels([item for item in read_now if isinstance(item, np.ndarray)])
                    features, of_batch = self._split(engine(pixels))
                    logits.append(of_batch)
                    if self.trust.training is not None:
                        distances.append(self.trust.training.distances(features))
                advance(len(chunk))
        if unreadable:
            raise DataError(list_unreadable(dataset.source, unreadable, "mend or remove them"))
        paths = tuple(dataset.samples[int(index)].path for index in indices)
        measured = np.concatenate(distances) if self.trust.training is not None else None
        return Scores(paths, targets, np.concatenate(logits), measured)

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

    @classmethod
    def load(cls, path: str | Path) -> "ImageClassifier":
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
        return cls(architecture, network, preprocessing, class_names, origin, trust)

    def _engine(self, expected: int = 0) -> PatientEngine:
        """Runs the network as it is now, from pixels to what `_split` takes."""
        size = self.preprocessing.size
        return PatientEngine(WithFeatures(self.network), (3, size, size), self.device, expected)

    def _split(self, outputs: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features, (pictures, features), and logits, (pictures, classes), of what the engine gives."""
        rows = outputs.cpu().numpy()
        classes = len(self.class_names)
        return rows[:, :-classes], rows[:, -classes:]

    def _answer(self, outputs: Tensor) -> Iterator[Prediction]:
        features, logits = self._split(outputs)
        probabilities = self.trust.probabilities(logits)
        unsure = self.trust.unsure(probabilities)
        training = self.trust.training
        distances = [None] * len(logits) if training is None else training.distances(features).tolist()
        for row, is_unsure, distance in zip(probabilities, unsure.tolist(), distances, strict=True):
            far = training is not None and distance > training.threshold
            yield Prediction("", row, self.class_names, is_unsure, distance, far)

    def _pixels(self, fitted: Sequence[Picture]) -> Tensor:
        """Normalised pixels, float32 (N, 3, size, size), of fitted pictures."""
        sides = torch.tensor([len(picture) for picture in fitted])
        buffer = torch.zeros(len(fitted), int(sides.max()), int(sides.max()), 3, dtype=torch.uint8)
        for row, picture in zip(buffer, fitted, strict=True):
            row[: len(picture), : len(picture)] = torch.from_numpy(picture)
        return self.preprocessing(buffer.to(self.device), sides)

    def _fit_or_error(self, picture: str | Path | Picture) -> Picture | UnreadablePictureError:
        try:
            if isinstance(picture, np.ndarray):
                return self.preprocessing.fit(picture)
            return self.preprocessing.fit(read_picture(Path(picture), self.preprocessing.size))
        except UnreadablePictureError as error:
            return error

    def _match_classes(self, dataset: Dataset) -> NDArray[np.int64]:
        """The classifier's index of each of the dataset's classes."""
        known = {name: index for index, name in enumerate(self.class_names)}
        unknown = [name for name in dataset.class_names if name not in known]
        if unknown:
            raise DataError(
                f"the classifier does not know {', '.join(unknown)} of {dataset.source}; "
                f"its classes are {', '.join(self.class_names)}"
            )
        return np.array([known[name] for name in dataset.class_names], dtype=np.int64)


def read_picture(path: Path, min_side: int | None = None) -> Picture:
    """Decode one picture file. Raises `UnreadablePictureError`."""
    try:
        with path.open("rb") as file:
            return decode_picture(file, str(path), min_side=min_side)
    except OSError as error:
        raise UnreadablePictureError(str(path), error.strerror or str(error)) from error


def find_classifier(path: Path) -> Path:
    """The classifier's folder, given that or the folder of its run. Raises `ModelError` where there is none."""
    for folder in (path, path / "classifier"):
        if (folder / _DESCRIPTION).is_file():
            return folder
    if not path.exists():
        raise ModelError(f"no such run or classifier: {path}")
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


def _chunks(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
