"""The maps inside a backbone: values that have a place for each part of the picture."""

from math import isqrt

from torch import Tensor, fx
from torch.fx.passes.shape_prop import TensorMetadata

from frostline.model.layers import LayerGraph


def single_maps(graph: LayerGraph, prefix_tokens: int) -> dict[fx.Node, int]:
    """The nodes, in order of execution, after which their value alone of all that has places is needed.

    Each with its places in a row. Values of one place, such as pooled ones, do not count. No map has more places than
    the one before it: this tells maps from other values with equal sides, such as the keys of an attention. The picture
    itself is left out.
    """
    positions = graph.positions
    placed = _placed(graph)
    sides: dict[fx.Node, int] = {}
    side = 0
    needed_until = -1  # the last position at which a value from before this node becomes another one with places
    for node in placed:
        if needed_until <= positions[node] and (reduced := _side(node, prefix_tokens, side)):
            sides[node] = side = reduced
        needed_until = max([needed_until, *(positions[user] for user in node.users if user in placed)])
    return {node: side for node, side in sides.items() if node.op != "placeholder"}


def _placed(graph: LayerGraph) -> dict[fx.Node, None]:
    """The nodes, in order of execution, whose value is made of the picture and has more than one place."""
    made_of_picture: set[fx.Node] = set()
    placed: dict[fx.Node, None] = {}
    for node in graph.graph.nodes:
        if node.op != "placeholder" and made_of_picture.isdisjoint(node.all_input_nodes):
            continue
        meta = node.meta.get("tensor_meta")
        if meta is None or node.op == "output":
            continue
        made_of_picture.add(node)
        if not isinstance(meta, TensorMetadata) or sum(extent > 1 for extent in meta.shape[1:]) > 1:
            placed[node] = None
    return placed


def _side(node: fx.Node, prefix_tokens: int, limit: int) -> int:
    """Places in a row of a node's value, at most `limit` if that is not 0; 0 where it is no such map."""
    meta = node.meta["tensor_meta"]
    if not isinstance(meta, TensorMetadata) or meta.shape[0] != 1:
        return 0
    shape = meta.shape[1:]
    side = 0
    if len(shape) == 3 and shape[1] in (shape[0], shape[2]):
        side = shape[1]
    elif len(shape) == 2:
        side = isqrt(_patches(shape[0], prefix_tokens))
        if limit and shape[1] == limit**2 != side**2:  # (channels, places)
            side = 0
    return int(side) if 1 < side <= (limit or side) else 0


def _patches(tokens: int, prefix_tokens: int) -> int:
    """How many of these tokens stand for patches, a square number: all where the prefix joins later; 0 where none."""
    return next((count for count in (tokens - prefix_tokens, tokens) if count > 0 and isqrt(count) ** 2 == count), 0)


def as_maps(value: Tensor, prefix_tokens: int) -> Tensor:
    """A map as (N, channels, side, side), without copying.

    It may be that already, or (N, side, side, channels), or tokens (N, prefix + side * side, channels).
    """
    if value.ndim == 4:
        return value if value.shape[2] == value.shape[3] else value.permute(0, 3, 1, 2)
    count = _patches(value.shape[1], prefix_tokens)
    side = isqrt(count)
    return value[:, -count:].transpose(1, 2).reshape(len(value), -1, side, side)
