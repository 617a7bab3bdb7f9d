"""Engines give the trunk's own output, whatever the batch."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from frostline.errors import ConfigError
from frostline.model import engines
from frostline.model.engines import (
    OPENVINO_BATCH,
    OpenVinoEngine,
    TorchEngine,
    make_engine,
    make_quantisable_engine,
)
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


def pictures(count: int, seed: int | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(count if seed is None else seed)
    return torch.randn(count, 3, SIZE, SIZE, generator=generator)


def in_int8(module: nn.Module, seed: int = 0) -> OpenVinoEngine:
    """An engine in 8 bits, calibrated on 12 pictures."""
    calibration = pictures(12, seed)
    return OpenVinoEngine(module, SHAPE, [calibration[index : index + 1] for index in range(12)])


@pytest.fixture(scope="module")
def spatial_int8(spatial: nn.Module) -> OpenVinoEngine:
    return in_int8(spatial)


@pytest.fixture(scope="module")
def whole_int8(whole: nn.Module) -> OpenVinoEngine:
    return in_int8(whole)


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


@pytest.mark.parametrize("name", ["spatial", "whole", "spatial_int8", "whole_int8"])
def test_a_picture_has_the_same_output_bit_for_bit_in_any_batch(name: str, request: pytest.FixtureRequest) -> None:
    given = request.getfixturevalue(name)
    engine = make_engine(given, SHAPE, CPU) if isinstance(given, nn.Module) else given
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


def test_nothing_is_reported_to_anyone(tmp_path: Path) -> None:
    code = """
import sys
import torch
from frostline.model.engines import OpenVinoEngine
network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
OpenVinoEngine(network, (3, 16, 16))
OpenVinoEngine(network, (3, 16, 16), [torch.randn(1, 3, 16, 16)])
assert "pytest" not in sys.modules, "NNCF reports nothing from tests"
print(*(name for name in sys.modules if name.startswith("openvino_telemetry.")))
"""
    environment = {**os.environ, "HOME": str(tmp_path)}  # where an identity would be kept
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
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


@pytest.mark.parametrize("name", ["spatial", "whole"])
def test_int8_is_near_float32_but_not_the_same(name: str, request: pytest.FixtureRequest) -> None:
    exact = OpenVinoEngine(request.getfixturevalue(name), SHAPE)
    rounded = request.getfixturevalue(f"{name}_int8")
    expected = exact(pictures(20)).flatten(1)
    error = (rounded(pictures(20)).flatten(1) - expected).norm(dim=1) / expected.norm(dim=1)
    assert error.min() > 0.001
    assert error.max() < 0.3
    assert (exact.name, rounded.name) == ("openvino", "openvino-int8")


def test_int8_is_the_same_bit_for_bit_for_the_same_calibration(
    spatial: nn.Module, spatial_int8: OpenVinoEngine
) -> None:
    again, other = in_int8(spatial), in_int8(spatial, seed=1)
    assert again.version == spatial_int8.version
    assert torch.equal(again(pictures(20)), spatial_int8(pictures(20)))
    assert other.version != spatial_int8.version
    assert not torch.equal(other(pictures(20)), spatial_int8(pictures(20)))


def test_int8_says_nothing_and_leaves_the_module_as_it_is(
    spatial: nn.Module, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {name: value.clone() for name, value in spatial.state_dict().items()}
    in_int8(spatial)
    assert capfd.readouterr() == ("", "")
    assert all(torch.equal(value, before[name]) for name, value in spatial.state_dict().items())


def test_what_cannot_run_in_int8_is_refused(spatial: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_quantisable_engine(spatial, SHAPE, CPU).name == "openvino"
    with pytest.raises(ConfigError, match="is for the CPU, not for cuda: give --device cpu with it"):
        make_quantisable_engine(spatial, SHAPE, torch.device("cuda"))
    with pytest.raises(ConfigError, match="has no trunk to run: all layers train"):
        make_quantisable_engine(cut("all").trunk, SHAPE, CPU)

    def refuse(*arguments: object) -> None:
        raise RuntimeError("no such operation\nand more")

    monkeypatch.setattr(engines, "convert_module", refuse)
    with pytest.raises(ConfigError, match=r"not for this network: no such operation; leave it out$"):
        make_quantisable_engine(spatial, SHAPE, CPU)
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"comes with the package nncf: pip install 'frostline\[int8\]'"):
        make_quantisable_engine(spatial, SHAPE, CPU)
