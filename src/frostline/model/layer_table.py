"""The layer table of a backbone, as `frostline layers` prints it."""

from rich.table import Column, Table

from frostline.model.backbone import load_backbone
from frostline.model.frost_line import TrainableLayers, freeze_below
from frostline.model.layers import trace_layers


def layer_table(backbone: str, trainable_layers: TrainableLayers, size: int | None) -> Table:
    """One row a layer, with the trunk's cut marked, and the trainable parameters below.

    The layers do not depend on the weights, so none are needed. Raises `ModelError` or `ConfigError`.
    """
    loaded = load_backbone(backbone, weights="none", size=size)
    graph = trace_layers(loaded.module, loaded.size)
    frozen = freeze_below(graph, trainable_layers, "adapt")
    table = Table(
        Column("layer", justify="right"),
        "name",
        "operation",
        "output shape",
        Column("parameters", justify="right"),
        "",
        caption=(
            f"the last {len(graph.layers) - frozen.first_trainable} of {len(graph.layers)} layers train: "
            f"{frozen.trainable_parameters:,} parameters of the backbone; the trunk, frozen too, ends at {frozen.cut}"
        ),
        caption_justify="left",
    )
    positions = graph.positions
    below_cut = [layer.index for layer in graph.layers if positions[layer.node] <= frozen.cut_position]
    for layer in graph.layers:
        part = "trainable" if layer.index >= frozen.first_trainable else "frozen"
        table.add_row(
            str(layer.index),
            layer.name,
            layer.operation,
            "x".join(map(str, layer.output_shape)),
            f"{layer.parameters:,}" if layer.parameters else "",
            "trunk" if layer.index < len(below_cut) else part,
            end_section=layer.index + 1 == len(below_cut),
        )
    return table
