"""The layer table, and the cut at the frost line, on real architectures."""

from threading import Thread

import pytest
import timm
import torch
from torch import nn

from frostline.errors import ConfigError
from frostline.model.frost_line import TrainableLayers, freeze_below
from frostline.model.layer_table import layer_table
from frostline.model.layers import LayerGraph, trace_layers

ARCHITECTURES = {
    "mobilenetv2_100": 64,
    "tf_efficientnet_lite0": 64,
    "resnet50": 64,
    "efficientnet_b0": 64,
    "convnext_tiny": 64,
    "vit_small_patch16_224": 224,
    "densenet121": 64,
}


def trace(name: str, size: int) -> LayerGraph:
    torch.manual_seed(0)
    return trace_layers(timm.create_model(name, num_classes=0), size)


@pytest.fixture(scope="module", params=list(ARCHITECTURES.items()), ids=list(ARCHITECTURES))
def graph(request: pytest.FixtureRequest) -> LayerGraph:
    name, size = request.param
    return trace(name, size)


@pytest.fixture(scope="module")
def mobilenet() -> LayerGraph:
    return trace("mobilenetv2_100", 96)


def randomise_statistics(graph: LayerGraph) -> None:
    """Give batch norm running statistics that are not the identity."""
    generator = torch.Generator().manual_seed(1)
    for name, buffer in graph.module.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(torch.randn(buffer.shape, generator=generator) * 0.1)
        elif name.endswith("running_var"):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)


@pytest.mark.parametrize("trainable", [0, 1, 20, "all"])
def test_trunk_then_body_equals_the_whole_network(graph: LayerGraph, trainable: TrainableLayers) -> None:
    randomise_statistics(graph)
    size = graph.graph.find_nodes(op="placeholder")[0].meta["tensor_meta"].shape[-1]
    pixels = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(2))
    frozen = freeze_below(graph, trainable, "adapt")
    with torch.no_grad():
        expected = graph.module.eval()(pixels)
        actual = frozen.body.eval()(frozen.trunk.eval()(pixels))
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("trainable", [0, 1, 20, "all", None])
def test_exactly_the_last_layers_train(graph: LayerGraph, trainable: TrainableLayers) -> None:
    frozen = freeze_below(graph, trainable, "adapt")
    shares: dict[TrainableLayers, float] = {"all": 1.0, None: 5 / 7}
    wanted = round(shares[trainable] * len(graph.layers)) if trainable in shares else int(str(trainable))
    above = sum(layer.parameters for layer in graph.layers[len(graph.layers) - wanted :])
    total = sum(parameter.numel() for parameter in graph.module.parameters())
    assert frozen.first_trainable == len(graph.layers) - wanted
    assert all(not parameter.requires_grad for parameter in frozen.trunk.parameters())
    if trainable == "all":
        assert frozen.trainable_parameters == total
    else:
        assert above <= frozen.trainable_parameters < total or total == 0


def test_last_20_layers_of_mobilenetv2_are_those_of_the_published_recipe(mobilenet: LayerGraph) -> None:
    frozen = freeze_below(mobilenet, 20, "adapt")
    assert frozen.trainable_parameters == 1_206_080
    assert {".".join(layer.name.split(".")[:4]) for layer in mobilenet.layers[-20:]} == {
        *("blocks.5.2.conv_pw", "blocks.5.2.bn1", "blocks.5.2.conv_dw", "blocks.5.2.bn2", "blocks.5.2.conv_pwl"),
        *("blocks.5.2.bn3", "blocks.5.2.add", "blocks.6.0.conv_pw", "blocks.6.0.bn1", "blocks.6.0.conv_dw"),
        *("blocks.6.0.bn2", "blocks.6.0.conv_pwl", "blocks.6.0.bn3", "conv_head", "bn2", "bn2.act"),
    }


def test_a_fused_activation_is_a_layer_of_its_own(mobilenet: LayerGraph) -> None:
    kinds = [layer.operation for layer in mobilenet.layers[:3]]
    assert kinds == ["convolution", "normalisation", "activation"]
    assert mobilenet.layers[1].node is mobilenet.layers[2].node


def test_a_norm_below_the_line_stays_frozen_when_its_fused_activation_is_above(mobilenet: LayerGraph) -> None:
    frozen = freeze_below(mobilenet, 1, "adapt")
    assert frozen.trainable_parameters == 0
    assert mobilenet.module.get_submodule("bn2") in frozen.frozen_norms


def test_residual_additions_are_layers_and_position_embeddings_are_not() -> None:
    graph = trace("vit_small_patch16_224", 224)
    additions = [layer.name for layer in graph.layers if layer.operation == "addition"]
    assert len(additions) == 24  # two in each of twelve blocks
    assert all(name.startswith("blocks.") for name in additions)


def test_parameters_of_no_layer_train_only_when_all_does() -> None:
    graph = trace("vit_small_patch16_224", 224)
    position = graph.module.get_parameter("pos_embed")
    freeze_below(graph, len(graph.layers) - 1, "adapt")
    assert not position.requires_grad
    freeze_below(graph, "all", "adapt")
    assert position.requires_grad


def test_every_parameter_belongs_to_a_layer_in_a_plain_convolutional_network(mobilenet: LayerGraph) -> None:
    total = sum(parameter.numel() for parameter in mobilenet.module.parameters())
    assert sum(layer.parameters for layer in mobilenet.layers) == total


def test_batch_norm_above_the_line_can_be_frozen(mobilenet: LayerGraph) -> None:
    adapting = freeze_below(mobilenet, 20, "adapt").trainable_parameters
    frozen = freeze_below(mobilenet, 20, "freeze")
    norms = sum(layer.parameters for layer in mobilenet.layers[-20:] if layer.operation == "normalisation")
    assert frozen.trainable_parameters == adapting - norms


def test_frozen_norms_stay_in_evaluation_mode_whatever_train_was_called() -> None:
    graph = trace("densenet121", 64)
    frozen = freeze_below(graph, 20, "adapt")
    tail = frozen.tail(torch.nn.Linear(1024, 2)).train()
    below = [layer for layer in graph.layers[: frozen.first_trainable] if layer.operation == "normalisation"]
    held = [graph.module.get_submodule(layer.name) for layer in below]
    before = [module.running_mean.clone() for module in held]  # type: ignore[operator]
    activations = frozen.trunk(torch.randn(4, 3, 64, 64))
    tail(activations)
    in_tail = [module for module in held if any(module is part for part in tail.modules())]
    assert in_tail, "the block that the frost line runs through has a frozen part in the tail"
    assert not any(module.training for module in held)
    for module, mean in zip(held, before, strict=True):
        assert torch.equal(module.running_mean, mean)  # type: ignore[arg-type]


def test_more_layers_than_there_are_is_an_error_that_says_how_many_there_are(mobilenet: LayerGraph) -> None:
    with pytest.raises(ConfigError, match="has 149 layers"):
        freeze_below(mobilenet, 150, "adapt")


def test_the_table_marks_what_trains() -> None:
    table = layer_table("mobilenetv2_100", 20, 96)
    assert table.row_count == 149
    assert "1,206,080" in str(table.caption)


def test_another_thread_may_use_a_network_while_one_is_traced() -> None:
    other, seen = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU()), []

    class Interrupted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            thread = Thread(target=lambda: seen.append(other(torch.zeros(1, 3, 2, 2))))
            thread.start()
            thread.join()
            convolved: torch.Tensor = self.conv(x)
            return convolved

    assert [layer.operation for layer in trace_layers(Interrupted(), 8).layers] == ["convolution"]
    assert [each.shape for each in seen] == [(1, 2, 2, 2)]
