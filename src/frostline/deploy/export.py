"""Export a classifier to one artefact, and let it out only where it agrees with the classifier."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from frostline.deploy import onnx_format, openvino_format, torchscript_format
from frostline.deploy.parity import REQUIRED, Parity, folder_bytes, measure_parity
from frostline.deploy.proof_pictures import ProofPictures
from frostline.errors import ConfigError, ExportError
from frostline.files import atomic_write
from frostline.model.exported import Description, ExportedClassifier, ExportFormat, Precision
from frostline.model.network_classifier import NetworkClassifier
from frostline.model.resampling import pixels_of
from frostline.model.runtimes import OpenVinoRuntime
from frostline.progress import say
from frostline.results.pages.render import render

NEEDED: dict[ExportFormat, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("openvino",),
    "torchscript": (),
}
"""Packages that make and run each format, besides torch."""

Save = Callable[[Path, str], None]
"""Writes an artefact to a folder, with its description."""


@dataclass(frozen=True)
class Exported:
    """An artefact in its place."""

    folder: Path
    parity: Parity


def require_exportable(form: ExportFormat, *, int8: bool) -> None:
    """Raise `ConfigError` where this format cannot be made here."""
    if int8 and form != "openvino":
        raise ConfigError(f"--int8 is for --format openvino, not for {form}")
    wanted = (*NEEDED[form], "nncf") if int8 else NEEDED[form]
    missing = [package for package in wanted if find_spec(package) is None]
    if missing:
        raise ConfigError(
            f"--format {form}{' --int8' if int8 else ''} needs {', '.join(missing)}: pip install 'frostline[export]'"
        )


def default_output(classifier: Path, form: ExportFormat, *, int8: bool) -> Path:
    """Where an artefact goes if nobody says: `exports/<format>` in the folder of the run or of the classifier."""
    return classifier / "exports" / (f"{form}-int8" if int8 else form)


def export(
    classifier: NetworkClassifier,
    form: ExportFormat,
    folder: Path,
    proof: ProofPictures,
    *,
    int8: bool = False,
    allow_disagreement: bool = False,
) -> Exported:
    """Write an artefact, `parity.json` and a README to a new folder, once the artefact has passed the gate.

    One that fails stays only where disagreement is allowed, and says of itself that it disagrees. Raises `ConfigError`
    where the folder exists or the format cannot be made here, and `ExportError` where the artefact fails; nothing is
    left of it then.
    """
    require_exportable(form, int8=int8)
    if folder.exists():
        raise ConfigError(f"{folder} is there already and nothing is replaced: remove it, or name another --output")
    description = _describe(classifier, "int8" if int8 else "float32")
    say(f"converting to {form}{' in int8' if int8 else ''}")
    save = _convert(classifier, form, _Inputs(classifier, proof) if int8 else None)
    with _new_folder(folder) as place:
        save(place, description.to_json())
        parity = _prove(classifier, form, place, proof)
        failures = "; ".join(parity.failures())
        if failures and not allow_disagreement:
            raise ExportError(f"the {form} export disagrees with the classifier and was not kept: {failures}")
        if failures:
            save(place, replace(description, disagrees=failures).to_json())
        _write_notes(place, form, description, parity)
    return Exported(folder, parity)


def run_in_memory(classifier: NetworkClassifier) -> ExportedClassifier:
    """A classifier in OpenVINO, the fastest on a CPU, with no file.

    Raises `RuntimeError` where it cannot run there, or gives other probabilities for some pictures of noise.
    """
    runtime = OpenVinoRuntime.of(openvino_format.convert(classifier))
    exported = ExportedClassifier(runtime, _describe(classifier, "float32"))
    size = classifier.preprocessing.size
    noise = list(np.random.default_rng(0).integers(0, 256, (4, size, size, 3), dtype=np.uint8))
    off = np.abs(exported.probabilities(noise) - classifier.probabilities(noise)).max()
    if not off <= REQUIRED["float32"].difference:
        raise RuntimeError(f"a probability differs by {off:.3f}")
    return exported


def _describe(classifier: NetworkClassifier, precision: Precision) -> Description:
    return Description(
        classifier.class_names,
        classifier.preprocessing,
        classifier.architecture.backbone,
        precision,
        classifier.unsure_below,
        classifier.far_beyond,
    )


@dataclass(frozen=True)
class _Inputs:
    """The network's input for the pictures that 8 bits are calibrated on, one after the other."""

    classifier: NetworkClassifier
    proof: ProofPictures

    def __iter__(self) -> Iterator[Tensor]:
        preprocessing = self.classifier.preprocessing
        for index in self.proof.calibration:
            picture = self.proof.dataset.picture(int(index), min_side=preprocessing.size)
            yield pixels_of(preprocessing, [preprocessing.fit(picture)], torch.device("cpu"))


def _convert(classifier: NetworkClassifier, form: ExportFormat, calibration: _Inputs | None) -> Save:
    if form == "onnx":
        return partial(onnx_format.save, onnx_format.convert(classifier))
    if form == "torchscript":
        return partial(torchscript_format.save, torchscript_format.convert(classifier))
    return partial(openvino_format.save, openvino_format.convert(classifier, calibration))


def _prove(classifier: NetworkClassifier, form: ExportFormat, place: Path, proof: ProofPictures) -> Parity:
    """Load the artefact as a user would, and measure it beside the classifier as it is saved."""
    with TemporaryDirectory() as saved:
        classifier.save(Path(saved))
        sizes = folder_bytes(Path(saved)), folder_bytes(place)
    return measure_parity(classifier, ExportedClassifier.load(place), form, sizes, proof)


def _write_notes(place: Path, form: ExportFormat, description: Description, parity: Parity) -> None:
    """Write what the gate saw, and how the artefact is used without frostline."""
    with atomic_write(place / "parity.json") as file:
        json.dump(parity.to_dict(), file, indent=2)
        file.write("\n")
    text = render("export.md", form=form, description=description, parity=parity, failures=list(parity.failures()))
    with atomic_write(place / "README.md") as file:
        file.write(text.rstrip() + "\n")


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside the one wanted, which takes its name when all has gone well and is removed otherwise."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent, ignore_cleanup_errors=True) as place:
        made = Path(place, folder.name)
        made.mkdir()
        yield made
        made.rename(folder)
