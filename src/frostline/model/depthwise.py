"""Depthwise convolutions whose weights are trained on a CPU in a fraction of the time.

oneDNN has quick code for the gradient of a depthwise kernel only where it is up to 3 wide and no larger than the map.
Elsewhere it falls back to code that takes up to a hundred times the forward pass, which is where most of a training
step of an EfficientNet went (docs/log.md).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_QUICK_WIDTH = 3
"""Columns of a kernel that oneDNN's quick code takes at once."""

_LARGEST_MAP = 12
"""Side of the largest map for which a wide kernel is worth taking apart."""


def with_quick_depthwise(body: nn.Module) -> nn.Module:
    """Replace the depthwise convolutions within a module by ones of the same parameters that train faster on a CPU."""
    for name, module in list(body.named_modules()):
        if type(module) is nn.Conv2d and is_depthwise(module) and module.bias is None:
            body.set_submodule(name, DepthwiseConv2d(module))
    return body


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that shares its parameters with `conv`; the same outputs, and gradients to rounding."""

    def __init__(self, conv: nn.Conv2d) -> None:
        channels = conv.in_channels
        kernel, stride, padding = (int(pair[0]) for pair in (conv.kernel_size, conv.stride, conv.padding))
        super().__init__(channels, channels, kernel, stride, padding, groups=channels, bias=False, device="meta")
        self.weight = conv.weight

    def forward(self, input: Tensor) -> Tensor:
        """From (N, channels, height, width) to (N, channels, height / stride, width / stride)."""
        return depthwise_conv2d(input, self.weight, None, int(self.stride[0]), int(self.padding[0]))


def depthwise_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """From (N, channels, height, width) to (N, channels, height / stride, width / stride); the bias gets no gradient.

    `weight` is (channels, 1, kernel, kernel).
    """
    if _trains(x, weight) and _is_slow(weight.shape[2], x.shape[2:]):
        output: Tensor = _Convolution.apply(x, weight, bias, stride, padding)  # type: ignore[no-untyped-call]
        return output
    return F.conv2d(x, weight, bias, stride, padding, groups=len(weight))


def _trains(x: Tensor, weight: Tensor) -> bool:
    """Whether the kernel gets a gradient, on a CPU and in one precision throughout."""
    on_cpu = x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return on_cpu and weight.requires_grad and torch.is_grad_enabled()


def is_depthwise(conv: nn.Conv2d) -> bool:
    """Whether a convolution is of the kind that `depthwise_conv2d` does; a bias does not matter."""
    kernel, stride, padding = conv.kernel_size, conv.stride, conv.padding
    return (
        conv.groups == conv.in_channels == conv.out_channels > 1
        and conv.padding_mode == "zeros"
        and conv.dilation == (1, 1)
        and not isinstance(padding, str)
        and all(len({*pair}) == 1 for pair in (kernel, stride, padding))
    )


def _is_slow(kernel: int, sides: torch.Size) -> bool:
    return kernel > min(sides) or (kernel > _QUICK_WIDTH and max(sides) <= _LARGEST_MAP)


class _Convolution(torch.autograd.Function):
    """The convolution of torch, with another way to the gradient of its weights."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = stride, padding
        return F.conv2d(x, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        x, weight = ctx.saved_tensors
        stride, padding = ctx.geometry
        input_grad = weight_grad = None
        if ctx.needs_input_grad[0]:
            input_grad = _backward(grad, x, weight, stride, (padding, padding), (True, False))
        if ctx.needs_input_grad[1]:
            kernel_gradient = _by_offsets if weight.shape[2] > min(grad.shape[2:]) else _by_columns
            weight_grad = kernel_gradient(grad, x, weight, stride, padding)
        return input_grad, weight_grad, None, None, None


def _by_offsets(grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """The gradient of a kernel that is larger than the output: for each of its weights, one sum of products.

    Each is over the places where that weight meets the map and not the padding around it.
    """
    kernel = weight.shape[2]
    grad, x = grad.permute(0, 2, 3, 1), x.permute(0, 2, 3, 1)
    sums = x.new_zeros(kernel, kernel, len(weight))
    rows, columns = (_meetings(kernel, x.shape[axis], grad.shape[axis], stride, padding) for axis in (1, 2))
    for row, (inputs_down, outputs_down) in rows.items():
        for column, (inputs, outputs) in columns.items():
            products = x[:, inputs_down, inputs] * grad[:, outputs_down, outputs]
            torch.sum(products, (0, 1, 2), out=sums[row, column])
    return sums.permute(2, 0, 1).contiguous().view_as(weight)


def _meetings(kernel: int, side: int, out_side: int, stride: int, padding: int) -> dict[int, tuple[slice, slice]]:
    """The inputs that each row, or column, of a kernel meets, and the outputs that they count for, where there are any.

    `side` is that of the map, `out_side` that of the output.
    """
    meetings = {}
    for offset in range(kernel):
        first = max(0, -((offset - padding) // stride))
        last = min(out_side, -((offset - padding - side) // stride))
        if first < last:
            start = first * stride + offset - padding
            inputs = slice(start, start + (last - 1 - first) * stride + 1, stride)
            meetings[offset] = inputs, slice(first, last)
    return meetings


def _by_columns(grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """The gradient of a wide kernel: some of its columns at a time, as a narrow kernel on a part of the map."""
    kernel = weight.shape[2]
    result = torch.empty_like(weight)
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding, padding)).permute(0, 3, 1, 2)
    for start in range(0, kernel, _QUICK_WIDTH):
        narrow = weight[:, :, :, start : start + _QUICK_WIDTH]
        width = (grad.shape[3] - 1) * stride + narrow.shape[3]
        part = padded[:, :, :, start : start + width].contiguous(memory_format=torch.channels_last)
        result[:, :, :, start : start + _QUICK_WIDTH] = _backward(
            grad, part, narrow, stride, (padding, 0), (False, True)
        )
    return result


def _backward(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: tuple[int, int], wanted: tuple[bool, bool]
) -> Tensor:
    """The gradient of the input or of the weight as torch computes it."""
    gradients = torch.ops.aten.convolution_backward(
        grad, x, weight, None, (stride, stride), padding, (1, 1), False, (0, 0), len(weight), (*wanted, False)
    )
    result: Tensor = gradients[0] if wanted[0] else gradients[1]
    return result
