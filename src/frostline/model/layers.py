"""The layers of a backbone: the operations of its traced graph, in order of execution."""

import inspect
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock, get_ident
from typing import Any

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional

from frostline._timm import timm
from frostline.errors import ModelError

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_ADDITIONS = {operator.add, operator.iadd, torch.add, "add", "add_"}
_ACTIVATIONS = {
    *(function for name in nn.modules.activation.__all__ if (function := getattr(functional, name.lower(), None))),
    *(getattr(torch, name) for name in ("relu", "sigmoid", "tanh")),
    *("relu", "relu_", "sigmoid", "tanh"),
}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: an operation of the backbone's graph.

    A module that fuses a normalisation with its activation is one node of the graph and two layers.
    """

    index: int
    name: str
    operation: str
    """convolution, linear, normalisation, activation, addition, or block (one that cannot be looked into)."""
    output_shape: tuple[int, ...]
    """Without the batch dimension."""
    parameters: int
    node: fx.Node


@dataclass(frozen=True)
class LayerGraph:
    """A backbone, its traced graph and its layers."""

    module: nn.Module
    graph: fx.Graph
    layers: tuple[Layer, ...]

    @property
    def positions(self) -> dict[fx.Node, int]:
        """Position in the order of execution of every node."""
        return {node: position for position, node in enumerate(self.graph.nodes)}

    def single_tensor_cuts(self) -> list[int]:
        """Positions after which one value alone is needed later, besides parameters; the picture is the first."""
        positions = self.positions
        cuts = []
        needed_until = -1  # the last position at which a value from before this node is read
        for node, position in positions.items():
            if node.op in ("get_attr", "output"):
                continue
            last_use = max((positions[user] for user in node.users), default=-1)
            if needed_until <= position < last_use and "tensor_meta" in node.meta:
                cuts.append(position)
            needed_until = max(needed_until, last_use)
        return cuts


_ONE_AT_A_TIME = Lock()
"""Tracing changes what calling any module does, and changes it back."""


class _LayerTracer(fx.Tracer):
    """Looks into everything but the modules that are one layer, or that timm says cannot be traced."""

    def __init__(self) -> None:
        super().__init__(autowrap_functions=tuple(timm.layers.get_notrace_functions()))
        self._opaque = tuple(timm.layers.get_notrace_modules())
        self._thread = get_ident()

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Leave alone what another thread calls meanwhile."""
        return (
            super().call_module(m, forward, args, kwargs) if get_ident() == self._thread else forward(*args, **kwargs)
        )

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, self._opaque) or _module_operation(m) is not None:
            return True
        return super().is_leaf_module(m, module_qualified_name)


def trace_layers(module: nn.Module, size: int) -> LayerGraph:
    """Trace a timm backbone with `torch.fx` and list its layers.

    The module is traced in evaluation mode, and run once on a blank picture of `size` x `size` pixels to learn
    the shapes. Raises `ModelError` where its code cannot be traced.
    """
    module.eval()
    arguments = list(inspect.signature(module.forward).parameters.values())
    defaults = {argument.name: argument.default for argument in arguments[1:]}
    try:
        with _ONE_AT_A_TIME:
            graph = _LayerTracer().trace(module, concrete_args=defaults)
        traced = fx.GraphModule(module, graph)
        _drop_unused_inputs(graph)
        device = next(module.parameters()).device
        with torch.no_grad():
            ShapeProp(traced).propagate(torch.zeros(1, 3, size, size, device=device))
    except (fx.proxy.TraceError, TypeError, RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"backbone {type(module).__name__} cannot be split into layers at {size} px: {reason}"
        ) from error
    return LayerGraph(module, graph, tuple(_list_layers(module, graph)))


def _drop_unused_inputs(graph: fx.Graph) -> None:
    """Remove the inputs beside the picture, which tracing replaced by their default values."""
    for node in reversed(list(graph.nodes)):
        if node.op == "call_function" and node.target is torch._assert and not node.users:
            graph.erase_node(node)
    graph.eliminate_dead_code()
    for node in [node for node in graph.nodes if node.op == "placeholder"][1:]:
        if not node.users:
            graph.erase_node(node)


def _list_layers(module: nn.Module, graph: fx.Graph) -> Iterator[Layer]:
    from_picture = _nodes_from_picture(graph)
    owned = owned_parameters(module, graph)
    index = 0
    for node in graph.nodes:
        shape = _output_shape(node)
        for name, operation in _operations(module, node, from_picture):
            count = sum(parameter.numel() for parameter in owned[node]) if operation != "activation" else 0
            yield Layer(index, name, operation, shape, count, node)
            index += 1


def _operations(module: nn.Module, node: fx.Node, from_picture: set[fx.Node]) -> Iterator[tuple[str, str]]:
    """Name and operation of each layer that a node stands for: none, one, or two where an activation is fused."""
    if node.op == "call_module":
        name = str(node.target)
        leaf = module.get_submodule(name)
        operation = _module_operation(leaf) or ("block" if any(True for _ in leaf.parameters()) else None)
        if operation is not None:
            yield name, operation
        fused = getattr(leaf, "act", None)
        if operation == "normalisation" and isinstance(fused, nn.Module) and not isinstance(fused, nn.Identity):
            yield f"{name}.act", "activation"
    elif node.op in ("call_function", "call_method"):
        if node.target in _ADDITIONS and _adds_two_of(node, from_picture):
            yield _name_within_module(node, "add"), "addition"
        elif node.target in _ACTIVATIONS:
            yield _name_within_module(node, "activation"), "activation"


def _module_operation(module: nn.Module) -> str | None:
    if isinstance(module, _CONVOLUTIONS):
        return "convolution"
    if isinstance(module, nn.Linear):
        return "linear"
    if "Norm" in type(module).__name__ and any(True for _ in module.parameters(recurse=False)):
        return "normalisation"
    package = type(module).__module__
    if package == "torch.nn.modules.activation" or package.startswith("timm.layers.activations"):
        return None if isinstance(module, (nn.MultiheadAttention, nn.Softmax)) else "activation"
    return None


def _nodes_from_picture(graph: fx.Graph) -> set[fx.Node]:
    """The nodes whose value depends on the picture, rather than on parameters alone."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "placeholder" or any(argument in found for argument in node.all_input_nodes):
            found.add(node)
    return found


def _adds_two_of(node: fx.Node, from_picture: set[fx.Node]) -> bool:
    """Whether a node adds two tensors of one shape that both come from the picture: a residual addition."""
    shape = _output_shape(node)
    operands = node.all_input_nodes
    return len(operands) == 2 and all(
        operand in from_picture and _output_shape(operand) == shape and shape for operand in operands
    )


def _output_shape(node: fx.Node) -> tuple[int, ...]:
    meta = node.meta.get("tensor_meta")
    return tuple(meta.shape[1:]) if isinstance(meta, fx.passes.shape_prop.TensorMetadata) else ()


def _name_within_module(node: fx.Node, operation: str) -> str:
    """`blocks.1.add`: the operation after the module whose code it stands in."""
    stack = node.meta.get("nn_module_stack")
    parent = next(reversed(stack)) if stack else ""
    return f"{parent}.{operation}" if parent else operation


def owned_parameters(module: nn.Module, graph: fx.Graph) -> dict[fx.Node, list[nn.Parameter]]:
    """The parameters of each node; one that several nodes use belongs to the first of them."""
    seen: set[nn.Parameter] = set()
    owned: dict[fx.Node, list[nn.Parameter]] = {}
    for node in graph.nodes:
        used: list[nn.Parameter] = []
        if node.op == "call_module":
            used = list(module.get_submodule(str(node.target)).parameters())
        elif node.op == "get_attr":
            value = operator.attrgetter(str(node.target))(module)
            used = [value] if isinstance(value, nn.Parameter) else []
        owned[node] = [parameter for parameter in used if parameter not in seen]
        seen.update(used)
    return owned
