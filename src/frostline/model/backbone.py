"""A timm network without its classifier, filled with pretrained weights, and what its input must be like."""

import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from frostline._timm import timm
from frostline.errors import ModelError, did_you_mean
from frostline.model.weights import LoadedWeights, WeightsOrigin, find_weights, where_available

COUNTED_BACKBONES = 25
"""`list_backbones` counts parameters for at most so many: it has to lay out each network to do so."""


@dataclass(frozen=True)
class Backbone:
    """A pretrained network in evaluation mode: pictures (N, 3, size, size), normalised, to features (N, features)."""

    name: str
    module: nn.Module
    depths: tuple[int, ...]
    """How many features come from each depth of the network, one behind the other, the last at the end."""
    size: int
    """Side of the square input, in pixels."""
    native_size: int
    """The side that the weights were trained at."""
    mean: tuple[float, float, float]
    """Of RGB in 0..1, as the weights were trained."""
    std: tuple[float, float, float]
    weights: WeightsOrigin

    @property
    def features(self) -> int:
        """Width of the features."""
        return sum(self.depths)


@dataclass(frozen=True, slots=True)
class BackboneInfo:
    """One row of the list of backbones."""

    name: str
    parameters: int | None
    """Without the classifier; None where it was not counted."""
    size: int
    weights: str
    """Where pretrained weights can be had now."""


def load_backbone(
    name: str,
    *,
    weights: str | Path | None = None,
    size: int | None = None,
    weights_dir: Path | None = None,
) -> Backbone:
    """Build a timm network without its classifier and fill it with pretrained weights.

    `name` is timm's, with or without a tag (`resnet50`, `resnet50.a1_in1k`); `weights` is as in `find_weights`;
    `size` is the side of the input in pixels, by default the network's own. A network whose weights depend on the
    input size, such as a vision transformer, has them resampled to `size` by timm.

    Raises `ModelError` if the name is unknown, the weights are missing or another network's, or the size does not fit.
    """
    pretrained = _pretrained_cfg(name)
    loaded = find_weights(name, weights, weights_dir)
    module: nn.Module = timm.create_model(name, pretrained=False, num_classes=0)
    if loaded.state_dict is not None:
        _fill(module, name, loaded)
    module.eval()
    height, width = pretrained.input_size[1:]
    size = width if size is None else size
    if pretrained.fixed_input_size and (height, width) != (size, size):
        _resize(module, name, size, width)
    mean, std = (pretrained.mean, pretrained.std)
    if loaded.package is not None:
        mean, std = loaded.package.mean, loaded.package.std
    features = _count_features(module, name, size, width)
    return Backbone(name, module, (features,), size, width, _rgb(mean), _rgb(std), loaded.origin)


def native_input(name: str) -> tuple[int, bool]:
    """The side in pixels that a network's weights were trained at, and whether the network is tied to that size.

    Raises `ModelError` if the name is unknown.
    """
    pretrained = _pretrained_cfg(name)
    return pretrained.input_size[-1], pretrained.fixed_input_size


def list_backbones(search: str = "", *, weights_dir: Path | None = None) -> list[BackboneInfo]:
    """The timm networks whose name contains `search` (`*` and `?` match as in file names), in natural order.

    Parameters are counted where at most `COUNTED_BACKBONES` match.
    """
    pattern = search if any(sign in search for sign in "*?[") else f"*{search}*"
    names = timm.list_models(pattern)
    counted = len(names) <= COUNTED_BACKBONES
    return [
        BackboneInfo(
            name,
            count_parameters(name) if counted else None,
            timm.models.get_pretrained_cfg(name).input_size[-1],
            where_available(name, weights_dir),
        )
        for name in names
    ]


def count_parameters(name: str) -> int:
    """Parameters of a timm network without its classifier; lays the network out without allocating it."""
    with torch.device("meta"):
        module = timm.create_model(name, pretrained=False, num_classes=0)
    return sum(parameter.numel() for parameter in module.parameters())


def _pretrained_cfg(name: str) -> Any:
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        hint = did_you_mean(architecture, timm.list_models()) or "; `frostline backbones` lists them"
        raise ModelError(f"unknown backbone {name!r}{hint}")
    tags = [tagged.partition(".")[2] for tagged in timm.list_models(architecture, include_tags=True)]
    if tag and tag not in tags:
        raise ModelError(
            f"unknown weights {tag!r} for {architecture}; timm has: {', '.join(filter(None, tags)) or 'none'}"
        )
    return timm.models.get_pretrained_cfg(name) or timm.models.PretrainedCfg()


def _fill(module: nn.Module, name: str, loaded: LoadedWeights) -> None:
    """Load every entry of the network from the state dict, or raise `ModelError` saying how the two differ."""
    found: Mapping[str, Tensor] = loaded.state_dict or {}
    expected = module.state_dict()
    if loaded.package is not None:
        found = dict(zip(expected, found.values(), strict=False))
    found = _without_classifier(found, expected, name)
    difference = _difference(expected, found)
    if difference:
        found = _without_classifier(_in_timm_names(module, found), expected, name)
    if difference and _difference(expected, found):
        raise ModelError(
            f"{loaded.origin.path}: not the weights of {name} ({difference});"
            f" name the backbone that they belong to, or give weights of {name}"
        )
    module.load_state_dict(found, strict=False)


def _without_classifier(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], name: str) -> Mapping[str, Tensor]:
    """Leave out the entries that only the whole network has, classifier included."""
    if found.keys() <= expected.keys():
        return found
    with torch.device("meta"):
        whole = timm.create_model(name, pretrained=False).state_dict()
    return {key: tensor for key, tensor in found.items() if key in expected or key not in whole}


def _in_timm_names(module: nn.Module, state_dict: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Bring an original checkpoint to timm's names with the function that timm keeps for a family of networks."""
    convert = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return state_dict
    try:
        return dict(convert(dict(state_dict), module))
    except (LookupError, AttributeError, TypeError, ValueError, RuntimeError, AssertionError):
        return state_dict


def _difference(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """How two state dicts differ, in a few words; empty if they fit. Batch counters may be missing: they are unused."""
    missing = [name for name in expected if name not in found and not name.endswith("num_batches_tracked")]
    if missing:
        return f"{len(missing)} of {len(expected)} entries are missing, first {missing[0]}"
    unexpected = [name for name in found if name not in expected]
    if unexpected:
        return f"{len(unexpected)} entries are too many, first {unexpected[0]}"
    for name, tensor in found.items():
        if tensor.shape != expected[name].shape:
            return f"{name} has the shape {tuple(tensor.shape)}, not {tuple(expected[name].shape)}"
    return ""


def _resize(module: nn.Module, name: str, size: int, native_size: int) -> None:
    """Let a network of fixed input size take squares of `size` pixels, resampling what depends on it."""
    set_input_size = getattr(module, "set_input_size", None)
    if set_input_size is None:
        raise ModelError(f"{name} takes pictures of {native_size} pixels only, not {size}")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="timm")
            set_input_size(img_size=(size, size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise _size_error(name, size, native_size, error) from error


def _count_features(module: nn.Module, name: str, size: int, native_size: int) -> int:
    """Width of the features, from one black picture: no attribute of timm's tells it for every network."""
    try:
        with torch.no_grad():
            features = module(torch.zeros(1, 3, size, size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise _size_error(name, size, native_size, error) from error
    if features.ndim != 2:
        raise ModelError(f"{name} gives features of shape {tuple(features.shape)}, not one row a picture")
    return int(features.shape[1])


def _size_error(name: str, size: int, native_size: int, error: Exception) -> ModelError:
    reason = " ".join(str(error).split())[:160].rstrip(".")
    return ModelError(f"{name} cannot take pictures of {size} pixels ({reason}); its own size is {native_size}")


def _rgb(values: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue
