"""Frozen batch norms within convolutions that train: the same outputs, the same gradients, the same parameters."""

import copy

import pytest
import timm
import torch
from torch import Tensor, nn

from frostline.model.folding import ScaledConv2d, with_scaled_convolutions
from frostline.model.frost_line import freeze_below
from frostline.model.layers import LayerGraph, trace_layers


@pytest.fixture(params=["tf_efficientnet_lite0", "mobilenetv2_100", "resnet50", "densenet121"])
def graph(request: pytest.FixtureRequest) -> LayerGraph:
    torch.manual_seed(0)
    module = timm.create_model(request.param, num_classes=0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values, low in ((norm.running_mean, -0.1), (norm.running_var, 0.5), (norm.weight, 0.5), (norm.bias, 0)):
                assert values is not None
                nn.init.uniform_(values, low, low + 0.5)
    return trace_layers(module, 64)


def gradients_of(network: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The outputs, and the gradients of the mean of their squares by name of the parameter."""
    network.zero_grad()
    output = network(x)
    output.square().mean().backward()
    return output.detach(), {
        name: each.grad.clone() for name, each in network.named_parameters() if each.grad is not None
    }


def test_outputs_and_gradients_are_those_of_the_network_as_it_was(graph: LayerGraph) -> None:
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    frozen = freeze_below(graph, 30, "freeze")
    whole = graph.module.eval().double()
    body = copy.deepcopy(freeze_below(graph, 30, "freeze").body).double()
    activations = frozen.trunk(x)
    expected, expected_gradients = gradients_of(whole, x)
    actual, gradients = gradients_of(body, activations)
    torch.testing.assert_close(actual, expected)
    assert gradients
    torch.testing.assert_close(gradients, expected_gradients)


def test_a_norm_that_adapts_stays(graph: LayerGraph) -> None:
    adapting = freeze_below(graph, 30, "adapt")
    left = [each for each in adapting.body.modules() if isinstance(each, nn.BatchNorm2d)]
    assert left
    assert (
        with_scaled_convolutions(copy.deepcopy(adapting.body), ()).state_dict().keys()
        == adapting.body.state_dict().keys()
    )


def test_only_norms_that_come_before_their_convolution_are_left(graph: LayerGraph) -> None:
    modules = list(freeze_below(graph, "all", "freeze").body.modules())
    left = [each for each in modules if isinstance(each, nn.BatchNorm2d)]
    assert any(isinstance(each, ScaledConv2d) for each in modules)
    assert bool(left) == isinstance(graph.module, timm.models.DenseNet)


def test_weights_are_those_of_the_network(graph: LayerGraph) -> None:
    body = freeze_below(graph, 30, "freeze").body
    shared = dict(graph.module.named_parameters())
    assert all(shared[name] is each for name, each in body.named_parameters())


@pytest.mark.parametrize("side", [7, 8, 14, 15])
@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("kernel", [3, 5])
def test_padding_by_size_is_that_of_timm(side: int, groups: int, kernel: int) -> None:
    torch.manual_seed(0)
    conv = timm.layers.Conv2dSame(8, 8, kernel, stride=2, groups=groups, bias=False).double()
    norm = nn.BatchNorm2d(8).double().eval()
    x = torch.randn(3, 8, side, side, dtype=torch.float64)
    expected, expected_gradients = gradients_of(nn.Sequential(conv, norm.requires_grad_(False)), x)
    actual, gradients = gradients_of(ScaledConv2d(conv, norm), x)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(gradients["weight"], expected_gradients["0.weight"])
