"""Features of several depths, for a linear probe that sees more than the last layer.

As in Head2Toe (Evci et al. 2022, arXiv:2201.03529), feature maps inside the network are averaged over the picture and
set beside its last features; the regularisation of the probe takes the place of Head2Toe's selection.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import fx, nn

from frostline.errors import ModelError
from frostline.model.backbone import Backbone
from frostline.model.layers import LayerGraph, trace_layers

Features = Literal["last", "depths"]


def with_features(backbone: Backbone, features: Features) -> Backbone:
    """The same backbone with its last features, or with those of all depths, one behind the other, the last at the end.

    Raises `ModelError` for depths of a backbone without feature maps inside, such as a vision transformer.
    """
    if features == "last":
        return backbone
    graph = trace_layers(backbone.module, backbone.size)
    taps = _taps(graph)
    if not taps:
        raise ModelError(f"{backbone.name} has no feature maps to take features from: use --features last")
    depths = (*map(_channels, taps), backbone.features)
    return replace(backbone, module=_tapped(graph, taps), depths=depths)


def _taps(graph: LayerGraph) -> list[fx.Node]:
    """Every feature map that is all the network has at its place, behind a non-linear operation or an addition.

    A linear operation adds little that a linear probe could use: convolutions of single pixels, and norms, commute with
    pooling. Left out are what goes into a depthwise convolution, whose own output follows with as many channels, and
    what the last features are pooled from.
    """
    nodes = list(graph.graph.nodes)
    cuts = {nodes[position] for position in graph.single_tensor_cuts()}
    wanted = [layer.node for layer in graph.layers if layer.operation in ("activation", "addition")]
    last = graph.layers[-1].node
    return [
        node
        for node in wanted
        if node in cuts and node is not last and _is_map(node) and not _goes_into_depthwise(graph, node)
    ]


def _goes_into_depthwise(graph: LayerGraph, node: fx.Node) -> bool:
    return any(
        isinstance(module := graph.module.get_submodule(str(user.target)), nn.Conv2d) and module.groups > 1
        for user in node.users
        if user.op == "call_module"
    )


def _is_map(node: fx.Node) -> bool:
    shape = node.meta["tensor_meta"].shape
    return len(shape) == 4 and shape[2] * shape[3] > 1


def _channels(node: fx.Node) -> int:
    return int(node.meta["tensor_meta"].shape[1])


def _tapped(graph: LayerGraph, taps: list[fx.Node]) -> fx.GraphModule:
    """The network with the means of these maps before its output."""
    tapped = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in graph.graph.nodes:
        if node.op != "output":
            copies[node] = tapped.node_copy(node, copies.__getitem__)
            continue
        last = node.args[0]
        assert isinstance(last, fx.Node)
        pooled = [tapped.call_method("mean", (copies[tap], (2, 3))) for tap in taps]
        tapped.output(tapped.call_function(torch.cat, ([*pooled, copies[last]], 1)))
    tapped.lint()
    return fx.GraphModule(graph.module, tapped)
