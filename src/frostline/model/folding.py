"""Frozen batch norms folded into the convolutions before them, where those are frozen too and where they train."""

import copy
from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from frostline._timm import timm
from frostline.model.depthwise import DepthwiseConv2d, depthwise_conv2d, is_depthwise

_CONVOLUTIONS = (nn.Conv2d, timm.layers.Conv2dSame, DepthwiseConv2d)
_NORMS = (nn.BatchNorm2d, timm.layers.BatchNormAct2d)
"""Exactly these: a class derived from them may use its weights in another way, as one that standardises them does."""


def with_folded_norms(module: nn.Module) -> nn.Module:
    """A copy of a module in evaluation mode, of the same outputs to rounding, with fewer operations.

    In a traced module each batch norm that alone reads a convolution's output becomes part of that convolution
    (Jacob et al. 2017, arXiv:1712.05877, section 3.2); of timm's norms that are fused with their activation, the
    activation stays. A module that is not traced is copied as it is.
    """
    folded = copy.deepcopy(module).eval()
    if not isinstance(folded, fx.GraphModule):
        return folded
    for place, convolution, norm_place, norm in _pairs(folded):
        folded.set_submodule(place, fuse_conv_bn_eval(convolution, norm))
        folded.set_submodule(norm_place, _after(norm))
    return folded


def with_scaled_convolutions(body: nn.Module, frozen_norms: Collection[nn.Module]) -> nn.Module:
    """Replace a body's convolutions before frozen norms by ones of the same parameters that do the norm's work too.

    Outputs and gradients are the same to rounding. A norm that is not frozen stays, as does a body that is not traced.
    """
    if isinstance(body, fx.GraphModule):
        for place, convolution, norm_place, norm in _pairs(body):
            if norm in frozen_norms and _is_plain(convolution):
                body.set_submodule(place, ScaledConv2d(convolution, norm))
                body.set_submodule(norm_place, _after(norm))
    return body


class ScaledConv2d(nn.Module):
    """A convolution that shares its weight with `conv`, and the frozen batch norm after it, as one convolution.

    The norm is linear in the weight, which is scaled anew in each step, so that its gradient is that of both.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = torch.rsqrt(norm.running_var + norm.eps)
        if norm.affine:
            scale = scale * norm.weight.detach()
        shift = -norm.running_mean * scale
        self.weight = conv.weight
        self.register_buffer("scale", scale.view(-1, 1, 1, 1), persistent=False)
        self.register_buffer("shift", shift + norm.bias.detach() if norm.affine else shift, persistent=False)
        self._pads_by_size = isinstance(conv, timm.layers.Conv2dSame)
        self._is_depthwise = is_depthwise(conv)
        assert not isinstance(conv.padding, str)
        padding = (0, 0) if self._pads_by_size else conv.padding
        self._geometry = conv.stride, padding, conv.dilation, conv.groups

    def forward(self, x: Tensor) -> Tensor:
        """From (N, channels, height, width) to what the norm makes of the convolution's output."""
        weight = self.weight * self.scale
        stride, padding, dilation, groups = self._geometry
        if self._pads_by_size:
            x, padding = _pad_by_size(x, weight.shape[2:], stride, dilation)
        if self._is_depthwise and padding[0] == padding[1]:
            return depthwise_conv2d(x, weight, self.shift, stride[0], padding[0])
        return F.conv2d(x, weight, self.shift, stride, padding, dilation, groups)


def _pad_by_size(
    x: Tensor, kernel: Sequence[int], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[Tensor, tuple[int, ...]]:
    """TensorFlow's "same" padding: as the convolution's own where that can be, which costs nothing, else of `x`."""
    sides = zip(x.shape[2:], kernel, stride, dilation, strict=True)
    missing = [timm.layers.get_same_padding(*side) for side in sides]
    if any(amount % 2 for amount in missing):
        return timm.layers.pad_same(x, list(kernel), list(stride), list(dilation)), (0, 0)
    return x, tuple(amount // 2 for amount in missing)


def _is_plain(conv: nn.Conv2d) -> bool:
    return conv.bias is None and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def _after(norm: nn.BatchNorm2d) -> nn.Sequential:
    """What of a norm is left when a convolution has done its work: the activation of timm's norms, if it has one."""
    return nn.Sequential(*(part for name in ("drop", "act") if (part := getattr(norm, name, None)) is not None))


def _pairs(module: fx.GraphModule) -> Iterator[tuple[str, nn.Conv2d, str, nn.BatchNorm2d]]:
    """The convolutions whose output a batch norm alone reads, and these norms, each with its place in the module."""
    used = [str(node.target) for node in module.graph.nodes if node.op == "call_module"]
    for node in module.graph.nodes:
        pair = _convolution_and_norm(module, node)
        if pair is not None and all(used.count(str(each.target)) == 1 for each in (node, node.args[0])):
            yield str(node.args[0].target), pair[0], str(node.target), pair[1]


def _convolution_and_norm(module: fx.GraphModule, node: fx.Node) -> tuple[nn.Conv2d, nn.BatchNorm2d] | None:
    """The batch norm that a node calls, and the convolution whose output it alone reads; None for any other node."""
    before = node.args[0] if node.args else None
    if node.op != "call_module" or not isinstance(before, fx.Node) or before.op != "call_module":
        return None
    convolution, norm = module.get_submodule(str(before.target)), module.get_submodule(str(node.target))
    if type(convolution) not in _CONVOLUTIONS or type(norm) not in _NORMS or len(before.users) > 1:
        return None
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return (convolution, norm) if norm.running_mean is not None else None
