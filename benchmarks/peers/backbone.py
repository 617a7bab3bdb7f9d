"""The pretrained backbone of the peers that use torch: timm's mobilenetv2_100 with the shared weights."""

import sys
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

sys.path.append(str(Path(__file__).parents[2] / "src"))
from frostline._torchvision import ensure_importable

ensure_importable()  # torchvision's operators are missing beside a CPU build of torch

import timm  # noqa: E402

create_model = timm.create_model
"""timm's own, whatever takes its place later."""

_CLASSIFIER = {"classifier.weight", "classifier.bias"}


def make_backbone(weights: Path, name: str = "mobilenetv2_100", **settings: Any) -> nn.Module:
    """The backbone without its classifier, from normalised pictures to pooled features."""
    backbone = create_model(name, **{**settings, "pretrained": False, "num_classes": 0})
    fill(backbone, weights)
    return backbone


def fill(network: nn.Module, weights: Path) -> None:
    """Set all of a network but its classifier to the shared weights."""
    tensors = {name: tensor for name, tensor in load_file(weights).items() if name not in _CLASSIFIER}
    keys = network.load_state_dict(tensors, strict=False)
    if keys.unexpected_keys or set(keys.missing_keys) - _CLASSIFIER:
        raise SystemExit(f"{weights} does not hold the weights of this network: {keys}")
