"""What in a picture speaks for a class: heat maps by Grad-CAM, and how they are laid over pictures."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, fx
from torch.nn import functional as F

from frostline.data.dataset import Picture
from frostline.errors import ModelError
from frostline.model.layers import LayerGraph, trace_layers
from frostline.model.maps import as_maps, single_maps
from frostline.model.network_classifier import NetworkClassifier
from frostline.model.resampling import pixels_of
from frostline.model.transfer import channels_last

EXPLAINED_AT_ONCE = 16
"""Pictures in one batch, which bounds the memory."""

_FINE = 5
"""Places in a row that a map should have: from each place of a coarser one, all of the picture is seen."""

_OPACITY = 0.65
"""Of an overlay where the heat is greatest; the picture stays visible below it."""


class Explainer:
    """Heat maps of a classifier's pictures, by Grad-CAM with the gradient of each place.

    The last value inside the backbone that has a place for each part of the picture is weighted with the gradient of a
    class's logit by it. The sum over the channels is the heat, where it is positive. Grad-CAM (Selvaraju et al. 2017,
    arXiv:1610.02391) takes each channel's mean gradient instead; with the places' own (HiResCAM, Draelos & Carin 2020,
    arXiv:2011.08891) the heat is what the logit owes to the place, and wherever the last map is pooled by its mean the
    two are the same. With a linear head it is then the class activation map of Zhou et al. 2016 (arXiv:1512.04150).

    In a convolutional network the value is the last feature map that has at least 5 x 5 places. In a transformer it is
    the last patch tokens that the logits depend on, laid out on their grid: those that enter the last block where a
    class token is read in the end, and those that leave it where all tokens are averaged.

    A head that sees features of several depths is explained by what reaches it through the last of them.
    """

    def __init__(self, classifier: NetworkClassifier) -> None:
        """Find the value to look at. Raises `ModelError` where the backbone has none."""
        self._preprocessing = classifier.preprocessing
        self._device = classifier.device
        network = classifier.network.eval()
        self._head, backbone = network.head, network.backbone
        self._prefix_tokens = int(getattr(backbone, "num_prefix_tokens", 0))
        self._graph = trace_layers(backbone, self._preprocessing.size)
        self._node, side = self._last_map(classifier.architecture.backbone)
        kind = "feature map" if len(self._node.meta["tensor_meta"].shape) == 4 else "patch tokens"
        layer = _last_layer(self._graph, self._node)
        self.method = f"HiResCAM (Draelos & Carin 2020) on the {side} x {side} {kind} after {layer}"
        """In words, for a report."""

    def __call__(self, pictures: Sequence[Picture], targets: Sequence[int] | None = None) -> NDArray[np.float32]:
        """Heat maps of decoded pictures of any size, shape (pictures, size, size), each with 1 as its maximum.

        They show what speaks for `targets`, one class a picture, by default the most probable one, on the square that
        the network sees, `preprocessing.fit(picture)`. A map is 0 everywhere where nothing speaks for the class.
        """
        if targets is not None and len(targets) != len(pictures):
            raise ValueError(f"{len(pictures)} pictures need as many targets, not {len(targets)}")
        size = self._preprocessing.size
        heat = [np.empty((0, size, size), np.float32)]
        for start in range(0, len(pictures), EXPLAINED_AT_ONCE):
            stop = start + EXPLAINED_AT_ONCE
            chosen = None if targets is None else torch.tensor(targets[start:stop], device=self._device)
            heat.append(self._heat(self._pixels(pictures[start:stop]), chosen).cpu().numpy())
        return np.concatenate(heat)

    def _pixels(self, pictures: Sequence[Picture]) -> Tensor:
        """The network's input, (pictures, 3, size, size)."""
        squares = [self._preprocessing.fit(picture) for picture in pictures]
        return channels_last(pixels_of(self._preprocessing, squares, self._device))

    def _heat(self, pixels: Tensor, targets: Tensor | None) -> Tensor:
        """Heat (N, size, size) for pixels (N, 3, size, size) and targets (N,)."""

        def chosen_logits(features: Tensor) -> Tensor:
            logits: Tensor = self._head(features)
            chosen = logits.argmax(1) if targets is None else targets
            return logits.gather(1, chosen[:, None])

        activations, gradients = self._differentiate(self._node, pixels, chosen_logits)
        heat = (gradients * activations).sum(1, keepdim=True).relu()
        heat = F.interpolate(heat, size=pixels.shape[2:], mode="bilinear", align_corners=False)[:, 0]
        return heat / heat.amax((1, 2), keepdim=True).clamp_min(torch.finfo(heat.dtype).tiny)

    def _differentiate(self, node: fx.Node, pixels: Tensor, score: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """A node's value, and its gradient of the summed scores of the backbone's features.

        Both as maps (N, channels, side, side). In evaluation mode no picture's score depends on another picture, so
        that the sum gives each its own gradient.
        """
        interpreter = _GradientFrom(node, self._graph)
        with torch.enable_grad():
            scores = score(interpreter.run(pixels))
            (gradient,) = torch.autograd.grad(scores.sum(), interpreter.value)
        return as_maps(interpreter.value.detach(), self._prefix_tokens), as_maps(gradient, self._prefix_tokens)

    def _last_map(self, backbone: str) -> tuple[fx.Node, int]:
        """The last map that the features depend on, tried with a picture of noise, and its places in a row.

        After the last block of a transformer only the class token may be read; the gradient by patch tokens is 0 there.
        A map of fewer places than `_FINE` is taken only where there is no finer one.
        """
        generator = torch.Generator().manual_seed(0)
        size = self._preprocessing.size
        noise = torch.randn(1, 3, size, size, generator=generator).to(self._device)

        def mixed(features: Tensor) -> Tensor:
            return features * torch.randn(features.shape[1], generator=generator).to(features)

        last_first = reversed(single_maps(self._graph, self._prefix_tokens).items())
        for node, side in sorted(last_first, key=lambda item: item[1] < _FINE):
            _, gradient = self._differentiate(node, noise, mixed)
            if gradient.any():
                return node, side
        raise ModelError(f"{backbone} has no feature map at {size} px, so that its classifier cannot be explained")


class _GradientFrom(fx.Interpreter):
    """Runs a backbone without gradients up to a node, and with them from that node's value on."""

    value: Tensor

    def __init__(self, node: fx.Node, graph: LayerGraph) -> None:
        super().__init__(graph.module, graph=graph.graph)
        self._node = node
        self._passed = False

    def run_node(self, n: fx.Node) -> Any:
        """The value of a node; for the one chosen a copy, so that no operation in place changes what is kept."""
        with torch.set_grad_enabled(self._passed):
            result = super().run_node(n)
        if n is not self._node:
            return result
        self._passed = True
        self.value = result.detach().requires_grad_()
        return self.value.clone()


def _last_layer(graph: LayerGraph, node: fx.Node) -> str:
    """Name of the last layer that has run when a node has."""
    positions = graph.positions
    return [layer.name for layer in graph.layers if positions[layer.node] <= positions[node]][-1]


def overlay(square: Picture, heat: NDArray[np.float32], side: int | None = None) -> Picture:
    """A picture with its heat laid over it: uint8 RGB (side, side, 3), by default as large as the larger of the two.

    `square` is what the network sees, uint8 RGB, and `heat` is square too, in 0..1. The colours run from blue to red
    with the heat; where there is none the picture is left as it is.
    """
    side = side or max(len(square), len(heat))
    strength = np.asarray(Image.fromarray(heat).resize((side, side), Image.Resampling.BILINEAR))
    opacity = _OPACITY * strength[..., None]
    colours = colormaps["turbo"](strength)[..., :3] * 255
    mixed = (1 - opacity) * enlarge(square, side) + opacity * colours
    laid_over: Picture = mixed.round().astype(np.uint8)
    return laid_over


def enlarge(square: Picture, side: int) -> Picture:
    """A square picture with sides of `side` pixels, uint8 RGB (side, side, 3)."""
    enlarged: Picture = np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.BICUBIC))
    return enlarged
