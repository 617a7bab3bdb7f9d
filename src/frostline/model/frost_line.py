"""The frost line: a backbone cut into a frozen trunk and a tail that trains."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import fx, nn

from frostline.errors import ConfigError
from frostline.model.compiling import COMPILER_MODE
from frostline.model.depthwise import with_quick_depthwise
from frostline.model.folding import with_scaled_convolutions
from frostline.model.layers import Layer, LayerGraph, owned_parameters
from frostline.model.transfer import channels_last

TrainableLayers = int | Literal["all"] | None
"""How many of the last layers train; None is `TRAINABLE_SHARE` of them."""
BatchNormMode = Literal["adapt", "freeze"]

TRAINABLE_SHARE = 5 / 7
"""Part of a backbone's layers that train by default: 100 of the 140 of EfficientNet-Lite0."""

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Tail(nn.Module):
    """The part of the network that trains: the backbone above the cut, then the head.

    Its frozen normalisation layers stay in evaluation mode, whatever `train()` was called.
    """

    def __init__(self, body: nn.Module, head: nn.Module, frozen: Iterable[nn.Module]) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self._frozen = tuple(frozen)
        self._compiled: Callable[[torch.Tensor], torch.Tensor] | None = None
        self._compiled_batch = 0

    def forward(self, activations: torch.Tensor) -> torch.Tensor:
        """From activations at the cut, shape (pictures, ...), to logits, shape (pictures, classes)."""
        if self._compiled is not None and self.training and len(activations) == self._compiled_batch:
            return self._compiled(channels_last(activations))
        return self._logits(channels_last(activations))

    def compile_steps(self, batch_size: int) -> None:
        """Have torch compile what is done with whole batches of training; others, of any length, run as before."""
        self._compiled = torch.compile(self._logits, mode=COMPILER_MODE, dynamic=False)
        self._compiled_batch = batch_size

    def _logits(self, activations: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.body(activations))
        return logits

    def __getstate__(self) -> dict[str, Any]:
        """Without compiled code, which is bound to this tail's own weights: a copy does without."""
        return {**super().__getstate__(), "_compiled": None}  # type: ignore[no-untyped-call]

    def train(self, mode: bool = True) -> "Tail":
        """Set training or evaluation mode, except for what is frozen."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self


@dataclass(frozen=True)
class FrozenBackbone:
    """A backbone cut at the frost line. Trunk and body share the backbone's own modules."""

    trunk: fx.GraphModule
    """From pixels to activations; all of it frozen and in evaluation mode."""
    body: nn.Module
    """From activations to pooled features, shape (pictures, features)."""
    layers: tuple[Layer, ...]
    first_trainable: int
    """Index of the first layer above the frost line."""
    trunk_layers: int
    """How many layers the trunk has."""
    cut: str
    """Name of the graph's node whose output the trunk gives."""
    cut_position: int
    """Position of that node in the order of execution."""
    frozen_norms: tuple[nn.Module, ...]
    """Normalisation modules that stay in evaluation mode."""

    @property
    def trainable_parameters(self) -> int:
        """How many numbers of the backbone train."""
        parameters = {parameter for part in (self.trunk, self.body) for parameter in part.parameters()}
        return sum(parameter.numel() for parameter in parameters if parameter.requires_grad)

    @property
    def trunk_is_empty(self) -> bool:
        """Whether the trunk is nothing, and activations are the pixels themselves."""
        return self.cut_position == 0

    def trunk_digest(self) -> str:
        """A SHA-256, in hexadecimal, of what the trunk computes: its operations and their weights."""
        digest = hashlib.sha256(str(self.trunk.code).encode())
        for name, value in self.trunk.state_dict().items():
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def tail(self, head: nn.Module) -> Tail:
        """The body with a head on it."""
        return Tail(self.body, head, self.frozen_norms)


def freeze_below(graph: LayerGraph, trainable_layers: TrainableLayers, batch_norm: BatchNormMode) -> FrozenBackbone:
    """Freeze all but the last `trainable_layers` layers, and cut the backbone in two.

    The trunk ends at the last single-tensor cut at or below the frost line: a node after which it is the only
    tensor that is still needed. With `batch_norm` "freeze", batch norm above the frost line is frozen too,
    statistics and parameters. Raises `ConfigError` where the backbone has fewer layers.
    """
    count = len(graph.layers)
    wanted = count_trainable(trainable_layers, count)
    if wanted > count:
        raise ConfigError(f"trainable_layers is {wanted}, but the backbone has {count} layers; give at most {count}")
    first = count - wanted
    _set_trainable(graph, first)
    frozen_norms = _freeze_norms(graph, first, batch_norm)
    nodes = list(graph.graph.nodes)
    boundary = 0 if trainable_layers == "all" else _boundary(graph, first)
    cut = [position for position in graph.single_tensor_cuts() if position <= max(boundary - 1, 0)][-1]
    positions = graph.positions
    body = with_quick_depthwise(_subgraph(graph.module, nodes, cut, len(nodes) - 1))
    return FrozenBackbone(
        _subgraph(graph.module, nodes, 0, cut),
        with_scaled_convolutions(body, frozen_norms),
        graph.layers,
        first,
        sum(positions[layer.node] <= cut for layer in graph.layers),
        nodes[cut].name,
        cut,
        frozen_norms,
    )


def count_trainable(trainable_layers: TrainableLayers, count: int) -> int:
    """How many of `count` layers train."""
    if trainable_layers is None:
        return round(TRAINABLE_SHARE * count)
    return count if trainable_layers == "all" else trainable_layers


def _boundary(graph: LayerGraph, first: int) -> int:
    """Position of the first node above the frost line; with no layer above it, that of the output."""
    if first == len(graph.layers):
        return len(graph.graph.nodes) - 1
    return graph.positions[graph.layers[first].node]


def _set_trainable(graph: LayerGraph, first: int) -> None:
    """Let the parameters at and above the frost line train; all others are frozen.

    Parameters that belong to no layer, such as a position embedding, count at the node that reads them. A fused
    normalisation whose activation alone is above the line stays frozen.
    """
    for parameter in graph.module.parameters():
        parameter.requires_grad_(False)
    boundary = 0 if first == 0 else _boundary(graph, first)
    layer_of = {layer.node: layer.index for layer in reversed(graph.layers)}
    positions = graph.positions
    for node, parameters in owned_parameters(graph.module, graph.graph).items():
        above = layer_of[node] >= first if node in layer_of else positions[node] >= boundary
        for parameter in parameters:
            parameter.requires_grad_(above)


def _freeze_norms(graph: LayerGraph, first: int, batch_norm: BatchNormMode) -> tuple[nn.Module, ...]:
    """The normalisation modules to hold in evaluation mode; with "freeze", stop their parameters too."""
    frozen = []
    for layer in graph.layers:
        if layer.node.op != "call_module" or layer.operation not in ("normalisation", "block"):
            continue
        for module in graph.module.get_submodule(str(layer.node.target)).modules():
            if not isinstance(module, _BATCH_NORMS):
                continue
            if layer.index < first or batch_norm == "freeze":
                frozen.append(module)
                for parameter in module.parameters(recurse=False):
                    parameter.requires_grad_(False)
    return tuple(frozen)


def _subgraph(module: nn.Module, nodes: list[fx.Node], start: int, stop: int) -> fx.GraphModule:
    """The operations after node `start` up to node `stop`, as a module of the value of `start`."""
    graph = fx.Graph()
    copies = {nodes[start]: graph.placeholder("activations")}

    def copy_of(node: fx.Node) -> fx.Node:
        if node not in copies:
            copies[node] = graph.node_copy(node, copy_of)
        return copies[node]

    for node in nodes[start + 1 : stop + 1]:
        if node.op not in ("output", "get_attr"):
            copy_of(node)
    last = nodes[stop].args[0] if nodes[stop].op == "output" else nodes[stop]
    assert isinstance(last, fx.Node)
    graph.output(copies[last])
    graph.lint()
    return fx.GraphModule(module, graph)
