"""The layer table of a backbone, as `frostline layers` prints it and a run keeps it."""

from rich.table import Column, Table

from frostline.model.backbone import load_backbone
from frostline.model.frost_line import FrozenBackbone, TrainableLayers, freeze_below
from frostline.model.layers import trace_layers
from frostline.results.record import LayerRow


def layer_table(backbone: str, trainable_layers: TrainableLayers, size: int | None) -> Table:
    """One row a layer, with the trunk's cut marked, and the trainable parameters below.

    The layers do not depend on the weights, so none are needed. Raises `ModelError` or `ConfigError`.
    """
    loaded = load_backbone(backbone, weights="none", size=size)
    frozen = freeze_below(trace_layers(loaded.module, loaded.size), trainable_layers, "adapt")
    table = Table(
        Column("layer", justify="right"),
        "name",
        "operation",
        "output shape",
        Column("parameters", justify="right"),
        "",
        caption=(
            f"the last {len(frozen.layers) - frozen.first_trainable} of {len(frozen.layers)} layers train: "
            f"{frozen.trainable_parameters:,} parameters of the backbone; the trunk, frozen too, ends at {frozen.cut}"
        ),
        caption_justify="left",
    )
    for row in layer_rows(frozen):
        table.add_row(
            str(row.index),
            row.name,
            row.operation,
            row.output_shape,
            f"{row.parameters:,}" if row.parameters else "",
            row.part,
            end_section=row.index + 1 == frozen.trunk_layers,
        )
    return table


def layer_rows(frozen: FrozenBackbone) -> list[LayerRow]:
    """The layers of a backbone, each with the part that it belongs to."""
    return [
        LayerRow(
            index=layer.index,
            name=layer.name,
            operation=layer.operation,
            output_shape="x".join(map(str, layer.output_shape)),
            parameters=layer.parameters,
            part=_part(layer.index, frozen),
        )
        for layer in frozen.layers
    ]


def _part(index: int, frozen: FrozenBackbone) -> str:
    if index < frozen.trunk_layers:
        return "trunk"
    return "trainable" if index >= frozen.first_trainable else "frozen"
