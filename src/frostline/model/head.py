"""The new layers on the backbone's features."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

Activation = Literal["relu", "gelu", "silu", "tanh"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)

_MODULES: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}


def make_head(
    features: int, classes: int, *, width: int = 256, activation: Activation = "relu", dropout: float = 0.2
) -> nn.Sequential:
    """Layers from pooled features (N, features) to logits (N, classes).

    Dense, batch norm, activation, dropout, dense; with `width` 0 only dropout and one dense layer.
    `dropout` is the probability that a value is set to zero in training.
    """
    if width == 0:
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(features, classes))
    return nn.Sequential(
        nn.Linear(features, width, bias=False),
        nn.BatchNorm1d(width),
        _MODULES[activation](),
        nn.Dropout(dropout),
        nn.Linear(width, classes),
    )


@torch.no_grad()
def set_linear(head: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """Set the dense layer of a head of `width` 0: weight (classes, features) and bias (classes,)."""
    (linear,) = (module for module in head.modules() if isinstance(module, nn.Linear))
    linear.weight.copy_(weight)
    linear.bias.copy_(bias)
