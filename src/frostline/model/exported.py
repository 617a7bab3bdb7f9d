"""A classifier that `frostline export` wrote: one artefact with everything in it, which a runtime runs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from frostline import __version__
from frostline.data.dataset import Picture
from frostline.errors import ModelError
from frostline.model.classifier import Answering, Answers, ImageClassifier
from frostline.model.preprocessing import Preprocessing
from frostline.model.runtimes import OnnxRuntime, OpenVinoRuntime, Runtime, TorchScriptRuntime
from frostline.progress import say

FORMAT_VERSION = 1
"""Of what is in an artefact beside its network; see `Description`."""

ExportFormat = Literal["onnx", "openvino", "torchscript"]
Precision = Literal["float32", "int8"]

FILES: dict[ExportFormat, str] = {"onnx": "model.onnx", "openvino": "model.xml", "torchscript": "model.pt"}
"""The artefact's file; OpenVINO's has its weights beside it, in `model.bin`."""

RUNTIMES: dict[ExportFormat, type[Runtime]] = {
    "onnx": OnnxRuntime,
    "openvino": OpenVinoRuntime,
    "torchscript": TorchScriptRuntime,
}


@dataclass(frozen=True)
class Description:
    """What an artefact says about itself, as JSON in its own metadata."""

    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    backbone: str
    precision: Precision
    unsure_below: float | None
    far_beyond: float | None
    disagrees: str | None = None
    """How it failed the parity gate; None where it passed."""

    def to_json(self) -> str:
        """What `from_json` reads, in ASCII."""
        values = asdict(self) | {"preprocessing": self.preprocessing.to_dict()}
        return json.dumps({"format_version": FORMAT_VERSION, "frostline": __version__, **values})

    @classmethod
    def from_json(cls, text: str, file: Path) -> "Description":
        """Read what `to_json` made. Raises `ModelError`, which names the `file`, for anything else."""
        try:
            values: dict[str, Any] = json.loads(text)
            version = values.pop("format_version")
            if version != FORMAT_VERSION:
                raise ModelError(
                    f"{file} has format version {version}, this frostline reads {FORMAT_VERSION}; update frostline"
                )
            del values["frostline"]
            read = cls(**values)
            return replace(
                read,
                class_names=tuple(read.class_names),
                preprocessing=Preprocessing.from_dict(values["preprocessing"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{file} was not made by frostline export: {error}; export the classifier anew") from error


class ExportedClassifier(ImageClassifier):
    """An `ImageClassifier` without a network of its own: its runtime takes pictures and gives answers."""

    def __init__(self, runtime: Runtime, description: Description) -> None:
        self.runtime = runtime
        self.description = description
        self.class_names = description.class_names
        self.preprocessing = description.preprocessing

    @staticmethod
    def load(path: str | Path) -> "ExportedClassifier":
        """Read an artefact, or the one in a folder.

        Raises `ModelError` where there is none, it is damaged, or its runtime is not installed.
        """
        found = find_export(Path(path))
        if found is None:
            raise ModelError(f"{path} holds no exported classifier; make one with frostline export")
        form, file = found
        runtime = RUNTIMES[form](file)
        if runtime.metadata is None:
            raise ModelError(f"{file} was not made by frostline export: it does not say what its classes are")
        description = Description.from_json(runtime.metadata, file)
        if description.disagrees is not None:
            say(f"note: {file} does not agree with the classifier that it was made from: {description.disagrees}")
        return ExportedClassifier(runtime, description)

    @property
    def unsure_below(self) -> float | None:
        """See `ImageClassifier`."""
        return self.description.unsure_below

    @property
    def far_beyond(self) -> float | None:
        """See `ImageClassifier`."""
        return self.description.far_beyond

    def answering(self, expected: int = 0) -> Answering:
        """See `ImageClassifier`."""
        return self._answer

    def answer_whole(self, picture: Picture) -> Answers:
        """Answer one decoded picture of any size as it is, fitted by the artefact itself."""
        return Answers(*self.runtime(picture[np.newaxis]))

    def _answer(self, squares: Sequence[Picture]) -> Answers:
        """Answer squares of one side at a time, which is all that one call of a runtime takes."""
        sides = np.array([len(square) for square in squares])
        probabilities = np.empty((len(squares), len(self.class_names)), np.float32)
        distances: NDArray[np.float32] | None = None
        if self.far_beyond is not None:
            distances = np.empty(len(squares), np.float32)
        for side in np.unique(sides):
            rows = np.flatnonzero(sides == side)
            probabilities[rows], measured = self.runtime(np.stack([squares[int(row)] for row in rows]))
            if distances is not None and measured is not None:
                distances[rows] = measured
        return Answers(probabilities, distances)


def find_export(path: Path) -> tuple[ExportFormat, Path] | None:
    """The format and the file of an artefact, given that or its folder; None where there is none."""
    for form, name in FILES.items():
        if path.is_file() and path.suffix == Path(name).suffix:
            return form, path
        if (path / name).is_file():
            return form, path / name
    return None
