"""Engines give the trunk's own output, whatever the batch."""

import logging
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from frostline.model import engines
from frostline.model.engines import OPENVINO_BATCH, OpenVinoEngine, TorchEngine, make_engine
from frostline.model.frost_line import FrozenBackbone, TrainableLayers, freeze_below
from frostline.model.layers import trace_layers

SIZE = 64
SHAPE = (3, SIZE, SIZE)
CPU = torch.device("cpu")


def cut(trainable_layers: TrainableLayers) -> FrozenBackbone:
    """A tiny backbone whose batch norm has statistics unlike the identity's, cut at the frost line."""
    torch.manual_seed(0)
    module = timm.create_model("test_efficientnet", num_classes=0)
    for name, buffer in module.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return freeze_below(trace_layers(module, SIZE), trainable_layers, "adapt")


@pytest.fixture(scope="module")
def spatial() -> nn.Module:
    return cut(12).trunk


@pytest.fixture(scope="module")
def whole() -> nn.Module:
    return cut(0).trunk


def pictures(count: int) -> Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize(("name", "dimensions"), [("spatial", 4), ("whole", 2)])
def test_openvino_equals_torch_for_batches_of_any_length(
    name: str, dimensions: int, request: pytest.FixtureRequest
) -> None:
    module: nn.Module = request.getfixturevalue(name)
    openvino, reference = OpenVinoEngine(module, SHAPE), TorchEngine(module)
    for count in (OPENVINO_BATCH, 1, 2 * OPENVINO_BATCH + 3, 5):
        expected = reference(pictures(count))
        assert expected.ndim == dimensions
        torch.testing.assert_close(openvino(pictures(count)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["spatial", "whole"])
def test_a_picture_has_the_same_output_bit_for_bit_in_any_batch(name: str, request: pytest.FixtureRequest) -> None:
    engine = make_engine(request.getfixturevalue(name), SHAPE, CPU)
    batch = pictures(2 * OPENVINO_BATCH + 3)
    together = engine(batch)
    assert torch.equal(engine(batch), together)
    assert torch.equal(engine(batch.flip(0)).flip(0), together)
    for index in (0, 7, OPENVINO_BATCH + 2, len(batch) - 1):
        assert torch.equal(engine(batch[index : index + 1])[0], together[index])


def test_layout_of_the_pixels_does_not_matter(spatial: nn.Module) -> None:
    engine = make_engine(spatial, SHAPE, CPU)
    batch = pictures(4)
    assert torch.equal(engine(batch.contiguous(memory_format=torch.channels_last)), engine(batch))


@pytest.mark.parametrize("engine_type", [TorchEngine, lambda module: OpenVinoEngine(module, SHAPE)])
def test_activations_can_enter_training_and_carry_no_gradient(engine_type: type, spatial: nn.Module) -> None:
    activations = engine_type(spatial)(pictures(2))
    assert not activations.requires_grad
    assert not activations.is_inference()
    weight = torch.ones(1, requires_grad=True)
    (activations * weight).sum().backward()
    assert weight.grad is not None


def test_an_empty_trunk_gives_the_pixels_themselves() -> None:
    engine = make_engine(cut("all").trunk, SHAPE, CPU)
    assert torch.equal(engine(pictures(3)), pictures(3))


def test_a_cpu_runs_the_trunk_in_openvino(spatial: nn.Module) -> None:
    assert make_engine(spatial, SHAPE, CPU).name == "openvino"


def test_conversion_reports_nothing_to_anyone(
    spatial: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # where OpenVINO's usage statistics keep an identity
    OpenVinoEngine(spatial, SHAPE)
    assert list(tmp_path.iterdir()) == []


def test_torch_runs_what_openvino_cannot(
    spatial: nn.Module, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(module: nn.Module, shape: tuple[int, ...]) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(engines, "OpenVinoEngine", refuse)
    with caplog.at_level(logging.WARNING):
        engine = make_engine(spatial, SHAPE, CPU)
    assert engine.name == "torch"
    assert "no such operation" in caplog.text


def test_the_torch_engine_never_updates_statistics() -> None:
    module = cut(12).trunk
    before = {name: value.clone() for name, value in module.state_dict().items()}
    expected = TorchEngine(module.eval())(pictures(4))
    assert torch.equal(TorchEngine(module.train())(pictures(4)), expected)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
