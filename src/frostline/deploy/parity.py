"""The parity gate: an exported classifier run by its real runtime beside the classifier that it was made from."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.data.dataset import Picture
from frostline.deploy.proof_pictures import ProofPictures
from frostline.model.classifier import Answering, ImageClassifier
from frostline.model.exported import ExportedClassifier
from frostline.progress import phase

BATCH = 64
"""Pictures that are read and answered at once."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """What an export must reach."""

    agreement: float
    """Least share of the pictures with the same most probable class."""
    difference: float
    """Most that a probability may differ; it finds what is wrong on few pictures too."""
    lost_accuracy: float
    """Most accuracy, as a share of the pictures, that may be lost."""


REQUIRED = {"float32": Requirement(0.999, 0.02, 0.001), "int8": Requirement(0.985, 1.0, 0.005)}
"""By precision. What rounding of pixels does to a probability in float32 was 0.01 at most (docs/benchmarks.md)."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How close two classifiers' answers about the same pictures are."""

    top1: float
    """Share of the pictures with the same most probable class."""
    largest_difference: float
    """Of any class's probability for any picture."""

    @classmethod
    def of(cls, first: NDArray[np.float32], second: NDArray[np.float32]) -> "Agreement":
        """Compare probabilities, both (pictures, classes)."""
        same = (first.argmax(axis=1) == second.argmax(axis=1)).mean()
        return cls(float(same), float(np.abs(first - second).max()))


@dataclass(frozen=True, slots=True)
class Measured:
    """One of the two classifiers."""

    accuracy: float
    pictures_per_second: float
    """From the file to the answer, in batches, once it is warm."""
    bytes: int
    """Of its files."""


@dataclass(frozen=True)
class Parity:
    """What the gate saw."""

    format: str
    precision: str
    runtime: str
    """With its version."""
    compared: str
    """The pictures, in words."""
    pictures: int
    fitted: Agreement
    """Of pictures that were fitted before, as `ExportedClassifier.predict` does."""
    whole: Agreement
    """Of pictures that were given as they are, one at a time, which the artefact fits itself."""
    classifier: Measured
    exported: Measured
    required: Requirement

    def failures(self) -> Iterator[str]:
        """Why the export does not pass, a phrase each."""
        for way, found in (("fitted before", self.fitted), ("as they are", self.whole)):
            if found.top1 < self.required.agreement:
                wanted = f"at least {self.required.agreement:.1%} needed"
                yield f"the same answer for {found.top1:.2%} of the pictures {way}, {wanted}"
            if found.largest_difference > self.required.difference:
                yield (
                    f"a probability differs by {found.largest_difference:.3f} on pictures {way}, "
                    f"at most {self.required.difference} allowed"
                )
        lost = self.classifier.accuracy - self.exported.accuracy
        if lost > self.required.lost_accuracy:
            yield f"{100 * lost:.2f} points of accuracy lost, at most {100 * self.required.lost_accuracy:.1f} allowed"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        failures = list(self.failures())
        return {"passed": not failures, "failures": failures, **asdict(self)}


def measure_parity(
    classifier: ImageClassifier,
    exported: ExportedClassifier,
    form: str,
    sizes: tuple[int, int],
    proof: ProofPictures,
) -> Parity:
    """Run both on the same pictures, each read anew from its source. `sizes` are the bytes of their files.

    Raises `DataError` for a class that the classifier does not know, and for pictures that cannot be read.
    """
    targets = classifier.match_classes(proof.dataset)[proof.dataset.targets[proof.compared]]
    expected, seconds = _run(classifier, proof, "classifier")
    fitted, exported_seconds = _run(exported, proof, "exported")
    whole = _run_whole(exported, proof)
    runtime = exported.runtime
    precision = exported.description.precision

    def measured(probabilities: NDArray[np.float32], seconds: float, size: int) -> Measured:
        accuracy = float((probabilities.argmax(axis=1) == targets).mean())
        return Measured(accuracy, len(targets) / seconds, size)

    return Parity(
        form,
        precision,
        f"{runtime.name} {runtime.version}",
        proof.described,
        len(targets),
        Agreement.of(expected, fitted),
        Agreement.of(expected, whole),
        measured(expected, seconds, sizes[0]),
        measured(fitted, exported_seconds, sizes[1]),
        REQUIRED[precision],
    )


def _run(classifier: ImageClassifier, proof: ProofPictures, name: str) -> tuple[NDArray[np.float32], float]:
    """Probabilities, (pictures, classes), and the seconds that they took."""
    answer = classifier.answering(expected=1_000_000)
    _warm_up(answer, classifier.preprocessing.size)
    started = time.perf_counter()
    batches = classifier.read_dataset(proof.dataset, proof.compared, name, BATCH)
    probabilities = [answer(squares).probabilities for squares in batches]
    return np.concatenate(probabilities), time.perf_counter() - started


def _warm_up(answer: Answering, size: int) -> None:
    """Let a runtime make what it makes when it is first used."""
    blank: Sequence[Picture] = [np.zeros((size, size, 3), np.uint8)] * BATCH
    answer(blank)


def _run_whole(exported: ExportedClassifier, proof: ProofPictures) -> NDArray[np.float32]:
    """Probabilities, (pictures, classes), of decoded pictures that only the artefact fits."""
    found = []
    with phase("exported, whole pictures", len(proof.compared)) as advance:
        for index in proof.compared:
            picture = proof.dataset.picture(int(index), min_side=exported.preprocessing.size)
            found.append(exported.answer_whole(picture).probabilities)
            advance(1)
    return np.concatenate(found)


def folder_bytes(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
