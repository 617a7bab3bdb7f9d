"""Batch norms of a frozen network folded into the convolutions before them."""

import copy

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from frostline._timm import timm
from frostline.model.depthwise import DepthwiseConv2d

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
    used = [str(node.target) for node in folded.graph.nodes if node.op == "call_module"]
    for node in list(folded.graph.nodes):
        pair = _convolution_and_norm(folded, node)
        if pair is None or any(used.count(str(each.target)) > 1 for each in (node, node.args[0])):
            continue
        convolution, norm = pair
        folded.set_submodule(str(node.args[0].target), fuse_conv_bn_eval(convolution, norm))
        rest = [part for name in ("drop", "act") if (part := getattr(norm, name, None)) is not None]
        folded.set_submodule(str(node.target), nn.Sequential(*rest))
    return folded


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
