"""What answers parts of the pictures, on whatever machine: a classifier from the bytes of its files, loaded once."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from frostline.data.decode import UnreadablePictureError
from frostline.data.parquet import import_pyarrow
from frostline.deploy.batch.listing import Files, Pictures, Rows
from frostline.deploy.batch.parts import Origin, encode_part
from frostline.deploy.batch.reading import fit_encoded, read_encoded
from frostline.model.classifier import ImageClassifier, classifier_files
from frostline.model.exported import find_export
from frostline.model.prediction import Prediction
from frostline.results.answers import Answer, printable

BATCH = 128
"""Pictures in a batch; a part is a whole number of them."""


@dataclass(frozen=True)
class Job:
    """What holds for all parts."""

    origin: Origin
    expected: int
    """Pictures in all parts."""
    base: Path
    """The folder that relative paths start from."""


class Worker:
    """Answers parts, one after the other."""

    def __init__(self, classifier: ImageClassifier, job: Job) -> None:
        self._classifier = classifier.with_tta(job.origin.tta)
        self._job = job
        self._answer = self._classifier.answering(job.expected)

    def answer(self, pictures: Pictures) -> list[Answer]:
        """An answer to each of the pictures, in their order."""
        fit = partial(fit_encoded, self._classifier)
        encoded = read_encoded(pictures, self._job.base)
        items = self._classifier.predict_read(self._answer, fit, encoded, BATCH)
        classes = self._job.origin.classes
        return [_answer(name, item, classes) for name, (_, item) in zip(pictures.names, items, strict=True)]


class RayWorker:
    """A `Worker` as Ray makes it, in a process of its own; calls take and give tables of parts."""

    def __init__(self, files: Any, job: Job) -> None:
        """`files` is Ray's reference to what `pack_classifier` made."""
        import ray

        self._origin = job.origin
        self._worker = Worker(unpack_classifier(ray.get(files)), job)

    def __call__(self, parts: Any) -> Any:
        """From rows of `describe_part`, `number`, `file`, and how many `pictures` and `errors` are in it."""
        rows = [self._finish(row["number"], row["pictures"]) for row in parts.to_pylist()]
        return import_pyarrow().Table.from_pylist(rows)

    def _finish(self, number: int, described: str) -> dict[str, Any]:
        answers = self._worker.answer(read_description(described))
        errors = sum(answer.error is not None for answer in answers)
        content = encode_part(answers, self._origin, number)
        return {"number": number, "file": content, "pictures": len(answers), "errors": errors}


def pack_classifier(path: Path) -> dict[str, bytes]:
    """The files of a classifier by their names. Raises `ModelError` where there are none."""
    return {file.name: file.read_bytes() for file in classifier_files(path)}


def unpack_classifier(files: Mapping[str, bytes]) -> ImageClassifier:
    """Load a classifier from its files. They are on disk meanwhile, and no longer."""
    with TemporaryDirectory(prefix="frostline-", ignore_cleanup_errors=True) as place:
        written = [Path(place, name) for name in files]
        for path, content in zip(written, files.values(), strict=True):
            path.write_bytes(content)
        artefact = next((path for path in written if find_export(path) is not None), None)
        return ImageClassifier.load(artefact or place)


def describe_part(number: int, pictures: Pictures) -> dict[str, Any]:
    """A part of the pictures as a row for Ray."""
    return {"number": number, "pictures": json.dumps(asdict(pictures))}


def read_description(text: str) -> Pictures:
    """The pictures of a row that `describe_part` made."""
    values = json.loads(text)
    return Rows(**values) if "table" in values else Files(tuple(values["names"]))


def _answer(name: str, item: Prediction | UnreadablePictureError, classes: int) -> Answer:
    path = printable(name)
    if isinstance(item, UnreadablePictureError):
        return Answer(path, error=item.reason)
    return Answer(path, item.answer, tuple(item.top(classes)), item.far)
