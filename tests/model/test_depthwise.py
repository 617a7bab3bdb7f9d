import pytest
import torch
from torch import nn

from frostline.model.backbone import load_backbone
from frostline.model.depthwise import DepthwiseConv2d, with_quick_depthwise
from frostline.model.frost_line import freeze_below
from frostline.model.layers import trace_layers

GEOMETRIES = [
    (side, kernel, stride) for side in (1, 2, 3, 4, 5, 7, 12, 13) for kernel in (3, 5, 7) for stride in (1, 2)
]


def gradients(conv: nn.Module, x: torch.Tensor, pull: torch.Tensor) -> list[torch.Tensor]:
    x = x.clone().requires_grad_()
    output = conv(x)
    (output * pull).sum().backward()
    weight = next(conv.parameters())
    assert x.grad is not None
    assert weight.grad is not None
    found = [output.detach(), x.grad, weight.grad]
    weight.grad = None
    return found


@pytest.mark.parametrize(("side", "kernel", "stride"), GEOMETRIES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_outputs_and_gradients_are_those_of_torch(
    side: int, kernel: int, stride: int, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(24, 24, kernel, stride, kernel // 2, groups=24, bias=False)
    x = torch.randn(5, 24, side, side + 1).contiguous(memory_format=layout)
    pull = torch.randn_like(conv(x)).contiguous(memory_format=layout)
    expected = gradients(conv, x, pull)
    found = gradients(DepthwiseConv2d(conv), x, pull)
    assert torch.equal(found[0], expected[0])
    for gradient, reference in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-4, atol=1e-4)


def test_gradients_agree_with_finite_differences() -> None:
    torch.manual_seed(0)
    conv = DepthwiseConv2d(nn.Conv2d(2, 2, 5, 1, 2, groups=2, bias=False).double())
    for side in (3, 6):
        x = torch.randn(2, 2, side, side, dtype=torch.double, requires_grad=True)
        assert torch.autograd.gradcheck(conv, (x,))


def test_a_frozen_kernel_gets_no_gradient_and_its_input_does() -> None:
    conv = DepthwiseConv2d(nn.Conv2d(8, 8, 5, 1, 2, groups=8, bias=False))
    conv.weight.requires_grad_(False)
    x = torch.randn(2, 8, 3, 3, requires_grad=True)
    conv(x).sum().backward()
    assert conv.weight.grad is None
    assert x.grad is not None


def test_bfloat16_training_works_as_in_torch() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(24, 24, 5, 1, 2, groups=24, bias=False)
    x = torch.randn(5, 24, 3, 3)
    pull = torch.randn_like(x)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = gradients(DepthwiseConv2d(conv), x, pull), gradients(conv, x, pull)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_only_plain_depthwise_convolutions_are_replaced_and_keep_their_parameters() -> None:
    body = nn.Sequential(
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 8, 3, padding=1, groups=4, bias=False),
        nn.Conv2d(8, 8, (3, 1), padding=(1, 0), groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding="same", groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect", groups=8, bias=False),
        nn.Conv2d(8, 8, 1, bias=False),
        nn.Conv2d(1, 1, 3, bias=False),
    )
    names = list(body.state_dict())
    parameters = list(body.parameters())
    with_quick_depthwise(body)
    assert [type(module) is DepthwiseConv2d for module in body] == [True] + 8 * [False]
    assert list(body.state_dict()) == names
    assert all(now is before for now, before in zip(body.parameters(), parameters, strict=True))


def test_a_tail_trains_the_parameters_of_the_whole_network() -> None:
    backbone = load_backbone("tf_efficientnet_lite0", weights="none", size=64)
    frozen = freeze_below(trace_layers(backbone.module, 64), 40, "adapt")
    assert any(isinstance(module, DepthwiseConv2d) for module in frozen.body.modules())
    assert not any(isinstance(module, DepthwiseConv2d) for module in backbone.module.modules())
    shared = {id(parameter) for parameter in backbone.module.parameters()}
    assert all(id(parameter) in shared for parameter in frozen.body.parameters())
