"""Copies to the device that computes, for which the processor does not wait, and layouts that suit it."""

import torch
from torch import Tensor, nn


def pinned(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the processor's, where `device` can fetch it by itself: itself, but for a CUDA device."""
    return tensor.pin_memory() if device.type == "cuda" and tensor.device.type == "cpu" else tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The same values on a device; what is there already, or all of it on a CPU, is not copied."""
    return pinned(tensor, device).to(device, non_blocking=device.type == "cuda")


def move(module: nn.Module, device: torch.device) -> None:
    """Move a module to a device; for CUDA, the weights of its convolutions are laid out with channels last.

    Everything is changed in place, so that whatever shares these weights moves too.
    """
    module.to(device)
    if device.type == "cuda":
        lay_channels_last(module)


def lay_channels_last(module: nn.Module) -> None:
    """Lay out the weights of a module's convolutions as `channels_last` does their input."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def channels_last(x: Tensor) -> Tensor:
    """The same values laid out with the channels of each pixel together, in which convolutions are faster.

    On Apple's MPS nothing is changed, where that is not faster.
    """
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 and x.device.type != "mps" else x
