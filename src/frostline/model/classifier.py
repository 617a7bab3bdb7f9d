"""A trained classifier: preprocessing, network and class names in one object and in one folder."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from frostline import __version__
from frostline.data.dataset import Dataset, Picture
from frostline.data.decode import UnreadablePictureError, decode_picture, list_unreadable
from frostline.errors import DataError, ModelError
from frostline.files import atomic_write
from frostline.model.engines import PatientEngine, TorchEngine
from frostline.model.network import Architecture, build_network
from frostline.model.preprocessing import Preprocessing
from frostline.progress import phase
from frostline.results.predictions import Predictions

_Item = TypeVar("_Item")

FORMAT_VERSION = 1
"""Of the folder that `ImageClassifier.save` writes."""

_DESCRIPTION = "classifier.json"
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the classifier says about one picture."""

    path: str
    probabilities: NDArray[np.float32]
    """Shape (classes,); sums to one."""
    class_names: tuple[str, ...]

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.class_names[int(self.probabilities.argmax())]

    @property
    def confidence(self) -> float:
        """Probability of the most probable class."""
        return float(self.probabilities.max())

    def top(self, count: int = 1) -> list[tuple[str, float]]:
        """The `count` most probable classes with their probabilities, most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.class_names[index], float(self.probabilities[index])) for index in order]


class ImageClassifier:
    """Tells what a picture shows. Loads without the training data, and carries its own preprocessing."""

    def __init__(
        self,
        architecture: Architecture,
        network: nn.Module,
        preprocessing: Preprocessing,
        class_names: Sequence[str],
        origin: dict[str, Any] | None = None,
    ) -> None:
        self.architecture = architecture
        self.network = network.eval()
        self.preprocessing = preprocessing
        self.class_names = tuple(class_names)
        self.origin = origin or {}
        """Where it comes from: pretrained weights, dataset."""

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
        return self._probabilities([self.preprocessing.fit(picture) for picture in pictures], self.logits)

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
                rows = iter(self._probabilities(readable, engine) if readable else ())
                for given, picture in zip(chunk, fitted, strict=True):
                    if isinstance(picture, UnreadablePictureError):
                        yield picture
                    else:
                        path = "" if isinstance(given, np.ndarray) else str(given)
                        yield Prediction(path, next(rows), self.class_names)

    def predict_dataset(
        self, dataset: Dataset, indices: NDArray[np.int64], name: str = "predict", batch_size: int = 128
    ) -> Predictions:
        """Classify some of a dataset's pictures, read anew from their source.

        The dataset's classes are matched by name. Raises `DataError` for a class that the classifier does not know, and
        one that lists every picture that cannot be read.
        """
        targets = self._match_classes(dataset)[dataset.targets[indices]]
        engine = self._engine(expected=len(indices))
        rows = [np.empty((0, len(self.class_names)), np.float32)]
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
                    rows.append(
                        self._probabilities([item for item in read_now if isinstance(item, np.ndarray)], engine)
                    )
                advance(len(chunk))
        if unreadable:
            raise DataError(list_unreadable(dataset.source, unreadable, "mend or remove them"))
        paths = tuple(dataset.samples[int(index)].path for index in indices)
        return Predictions(paths, targets, np.concatenate(rows), self.class_names)

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
            network = build_network(architecture, preprocessing.size, len(class_names))
        except (ModelError, KeyError, TypeError, ValueError) as error:
            raise _damaged(folder / _DESCRIPTION, error) from error
        try:
            network.load_state_dict(load_file(folder / _WEIGHTS))
        except (OSError, SafetensorError) as error:
            raise _damaged(folder / _WEIGHTS, error) from error
        except RuntimeError as error:
            raise ModelError(f"{folder / _WEIGHTS} does not fit the network of {_DESCRIPTION} beside it") from error
        return cls(architecture, network, preprocessing, class_names, origin)

    def _engine(self, expected: int = 0) -> PatientEngine:
        """Runs the network as it is now."""
        size = self.preprocessing.size
        return PatientEngine(self.network, (3, size, size), self.device, expected)

    def _probabilities(self, fitted: Sequence[Picture], logits_of: Callable[[Tensor], Tensor]) -> NDArray[np.float32]:
        sides = torch.tensor([len(picture) for picture in fitted])
        buffer = torch.zeros(len(fitted), int(sides.max()), int(sides.max()), 3, dtype=torch.uint8)
        for row, picture in zip(buffer, fitted, strict=True):
            row[: len(picture), : len(picture)] = torch.from_numpy(picture)
        logits = logits_of(self.preprocessing(buffer.to(self.device), sides))
        probabilities: NDArray[np.float32] = logits.softmax(1).cpu().numpy()
        return probabilities

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
