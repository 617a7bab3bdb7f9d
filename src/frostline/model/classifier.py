"""What every trained classifier does, whatever runs it: pictures in, predictions out."""

import glob
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from frostline.config import TestTimeAugmentation
from frostline.data.dataset import Dataset, Picture
from frostline.data.decode import UnreadablePictureError, decode_picture, list_unreadable
from frostline.data.machine import usable_cores
from frostline.errors import DataError
from frostline.model.prediction import Prediction, are_unsure
from frostline.model.preprocessing import Preprocessing
from frostline.progress import phase
from frostline.results.predictions import Predictions

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_PARTS = 4
"""Parts of a batch that each thread is handed, so that all are busy to its end though some pictures take longer."""


class Answers(NamedTuple):
    """What a classifier computes for a batch of pictures."""

    probabilities: NDArray[np.float32]
    """Of the classes, shape (pictures, classes)."""
    distances: NDArray[np.float32] | None
    """To the nearest training picture, shape (pictures,); None where the classifier does not measure them."""


Answering = Callable[[Sequence[Picture]], Answers]
"""Answers fitted pictures, uint8 RGB squares of side at most `preprocessing.size`, all of one batch at once."""


class ImageClassifier(ABC):
    """Tells what a picture shows. Loads without the training data, and carries its own preprocessing."""

    class_names: tuple[str, ...]
    preprocessing: Preprocessing

    @staticmethod
    def load(path: str | Path) -> "ImageClassifier":
        """Read a classifier from its folder, from the folder of a run, or from what `frostline export` wrote.

        An exported classifier needs its runtime alone, neither torch nor timm. Raises `ModelError` where there is none,
        or it is damaged or of another format version.
        """
        from frostline.model.exported import ExportedClassifier, find_export

        if find_export(Path(path)) is not None:
            return ExportedClassifier.load(path)
        from frostline.model.network_classifier import NetworkClassifier

        return NetworkClassifier.load(path)

    def with_tta(self, tta: TestTimeAugmentation) -> "ImageClassifier":
        """The classifier with test-time augmentation: `flip` answers each picture together with its mirror image."""
        from frostline.model.flip import FlipAveraged

        return FlipAveraged(self) if tta == "flip" else self

    @property
    @abstractmethod
    def unsure_below(self) -> float | None:
        """Confidence below which the answer is `unsure`; None: never."""

    @property
    @abstractmethod
    def far_beyond(self) -> float | None:
        """Distance beyond which a picture is far from the training pictures; None where it is not measured."""

    @abstractmethod
    def answering(self, expected: int = 0) -> Answering:
        """What answers pictures, ready for so many that are known to come; one thread may call it at a time."""

    def probabilities(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        """Class probabilities of decoded pictures of any size, shape (pictures, classes)."""
        return self.answering()([self.preprocessing.fit(picture) for picture in pictures]).probabilities

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
        self, pictures: Iterable[str | Path | Picture], batch_size: int = 32, expected: int = 0
    ) -> Iterator[Prediction | UnreadablePictureError]:
        """Classify pictures one batch after another, in the order given; an unreadable one gives its error.

        While a batch is computed, the next one is read; no more than that is taken from `pictures` before it is needed.
        `expected` is how many are known to come, or have gone before.
        """
        for given, item in self.predict_read(self.answering(expected), self.fit_or_error, pictures, batch_size):
            if isinstance(item, UnreadablePictureError) or isinstance(given, np.ndarray):
                yield item
            else:
                yield replace(item, path=str(given))

    def predict_read(
        self,
        answer: Answering,
        read: Callable[[_Item], Picture | UnreadablePictureError],
        items: Iterable[_Item],
        batch_size: int,
    ) -> Iterator[tuple[_Item, Prediction | UnreadablePictureError]]:
        """What `answer` says about what `read` makes of each item, in the order given; see `predict_each`.

        Threads call `read`; it fits the pictures. The predictions are without a path.
        """
        for chunk, fitted in _one_ahead(read, _chunks(items, batch_size)):
            readable = [picture for picture in fitted if isinstance(picture, np.ndarray)]
            predictions = self.predictions(answer(readable)) if readable else iter(())
            for item, picture in zip(chunk, fitted, strict=True):
                yield item, picture if isinstance(picture, UnreadablePictureError) else next(predictions)

    def predictions(self, answers: Answers) -> Iterator[Prediction]:
        """What the classifier says about each picture of a batch, without its path."""
        distances = [None] * len(answers.probabilities) if answers.distances is None else answers.distances.tolist()
        unsure = are_unsure(answers.probabilities, self.unsure_below).tolist()
        for row, is_unsure, distance in zip(answers.probabilities, unsure, distances, strict=True):
            far = self.far_beyond is not None and distance is not None and distance > self.far_beyond
            yield Prediction("", row, self.class_names, is_unsure, distance, far)

    def predict_dataset(
        self, dataset: Dataset, indices: NDArray[np.int64], name: str = "predict", batch_size: int = 128
    ) -> Predictions:
        """Classify some of a dataset's pictures, read anew from their source.

        The dataset's classes are matched by name. Raises `DataError` for a class that the classifier does not know, and
        one that lists every picture that cannot be read.
        """
        targets = self.match_classes(dataset)[dataset.targets[indices]]
        answer = self.answering(expected=len(indices))
        batches = [answer(squares) for squares in self.read_dataset(dataset, indices, name, batch_size)]
        probabilities = np.concatenate([np.empty((0, len(self.class_names)), np.float32), *(p for p, _ in batches)])
        distances = [np.empty(0, np.float32), *(d for _, d in batches if d is not None)]
        measured = None if self.far_beyond is None else np.concatenate(distances)
        paths = tuple(dataset.samples[int(index)].path for index in indices)
        return Predictions(paths, targets, probabilities, self.class_names, measured)

    def match_classes(self, dataset: Dataset) -> NDArray[np.int64]:
        """The classifier's index of each of the dataset's classes. Raises `DataError` for one that it does not know."""
        known = {name: index for index, name in enumerate(self.class_names)}
        unknown = [name for name in dataset.class_names if name not in known]
        if unknown:
            raise DataError(
                f"the classifier does not know {', '.join(unknown)} of {dataset.source}; "
                f"its classes are {', '.join(self.class_names)}"
            )
        return np.array([known[name] for name in dataset.class_names], dtype=np.int64)

    def read_dataset(
        self, dataset: Dataset, indices: NDArray[np.int64], name: str, batch_size: int
    ) -> Iterator[list[Picture]]:
        """Fitted pictures of a dataset, batch by batch.

        `name` is that of the progress. Raises `DataError` at the end, which lists every picture that cannot be read; no
        batch comes any more from the first one on.
        """
        unreadable: list[tuple[str, str]] = []

        def read(index: np.int64) -> Picture | UnreadablePictureError:
            try:
                return self.preprocessing.fit(dataset.picture(int(index), min_side=self.preprocessing.size))
            except UnreadablePictureError as error:
                return error

        with phase(name, len(indices)) as advance, ThreadPoolExecutor() as pool:
            for chunk in _chunks(indices, batch_size):
                items = list(pool.map(read, chunk))
                unreadable += [(item.path, item.reason) for item in items if isinstance(item, UnreadablePictureError)]
                if not unreadable:
                    yield [item for item in items if isinstance(item, np.ndarray)]
                advance(len(chunk))
        if unreadable:
            raise DataError(list_unreadable(dataset.source, unreadable, "mend or remove them"))

    def fit_or_error(self, picture: str | Path | Picture) -> Picture | UnreadablePictureError:
        """A picture file, or a decoded picture, fitted; its error where it cannot be read."""
        try:
            if isinstance(picture, np.ndarray):
                return self.preprocessing.fit(picture)
            return self.preprocessing.fit(read_picture(Path(picture), self.preprocessing.size))
        except UnreadablePictureError as error:
            return error


def classifier_files(path: Path) -> list[Path]:
    """The files that `ImageClassifier.load` reads, all in one folder. Raises `ModelError` where there are none."""
    from frostline.model.exported import find_export

    export = find_export(path)
    if export is not None:
        return sorted(export[1].parent.glob(f"{glob.escape(export[1].stem)}.*"))
    from frostline.model.network_classifier import find_classifier

    folder = find_classifier(path)
    return sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")])


def digest_classifier(path: Path) -> str:
    """A digest (SHA-256) of the files that `ImageClassifier.load` reads: as long as it is the same, so are the answers.

    Raises `ModelError` where there is no classifier.
    """
    digest = hashlib.sha256()
    for file in classifier_files(path):
        with file.open("rb") as stream:
            digest.update(file.name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def read_picture(path: Path, min_side: int | None = None) -> Picture:
    """Decode one picture file. Raises `UnreadablePictureError`."""
    try:
        with path.open("rb") as file:
            return decode_picture(file, str(path), min_side=min_side)
    except OSError as error:
        raise UnreadablePictureError(str(path), error.strerror or str(error)) from error


def _one_ahead(
    function: Callable[[_Item], _Result], chunks: Iterable[list[_Item]]
) -> Iterator[tuple[list[_Item], list[_Result]]]:
    """Yield chunks with what the function gives for their items, while threads work on the chunk after it.

    A thread takes several items at a time: to hand over one alone costs as much as to decode a tiny picture.
    """
    threads = usable_cores()

    def work(items: list[_Item]) -> list[_Result]:
        return [function(item) for item in items]

    with ThreadPoolExecutor(threads) as pool:
        begun = (
            (chunk, pool.map(work, _chunks(chunk, max(1, len(chunk) // (_PARTS * threads)))))
            for chunk in chain(chunks, [[]])
        )
        for (chunk, results), _ in pairwise(begun):
            yield chunk, list(chain.from_iterable(results))


def _chunks(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
