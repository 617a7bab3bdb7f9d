"""The head has the layers that it says, in that order."""

import pytest
import torch
from torch import nn

from frostline.model.head import ACTIVATIONS, Activation, make_head


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_wide_head(activation: Activation) -> None:
    head = make_head(20, 3, width=8, activation=activation, dropout=0.4)
    kinds = [type(layer).__name__.lower() for layer in head]
    assert kinds == ["linear", "batchnorm1d", activation, "dropout", "linear"]
    assert head(torch.rand(5, 20)).shape == (5, 3)
    assert isinstance(head[3], nn.Dropout)
    assert head[3].p == 0.4


def test_width_zero_is_a_linear_head() -> None:
    head = make_head(20, 3, width=0, dropout=0.0)
    assert [type(layer) for layer in head] == [nn.Dropout, nn.Linear]
    features = torch.rand(5, 20)
    linear = head[1]
    assert torch.equal(head(features), linear(features))
    assert sum(parameter.numel() for parameter in head.parameters()) == 20 * 3 + 3
