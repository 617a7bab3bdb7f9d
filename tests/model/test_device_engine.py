"""The engine for GPUs, on a CPU: the trunk's own output, in fewer operations, whatever the batch."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx, nn

from frostline._timm import timm
from frostline.model import compiling
from frostline.model.compiling import COMPILING_PAYS_FROM, compiling_pays
from frostline.model.device_engine import LEAST_BATCH, MOST_BATCH, DeviceEngine
from frostline.model.engines import Engine, TorchEngine, make_engine
from frostline.model.folding import with_folded_norms
from frostline.model.frost_line import Tail, freeze_below
from frostline.model.layers import trace_layers
from frostline.model.transfer import lay_channels_last, pinned, to_device

SIZE = 64
CPU = torch.device("cpu")


def trunk_of(backbone: str, trainable_layers: int = 0) -> fx.GraphModule:
    """A trunk whose batch norms have statistics and weights unlike the identity's."""
    torch.manual_seed(0)
    module = timm.create_model(backbone, num_classes=0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.1)
    return freeze_below(trace_layers(module, SIZE), trainable_layers, "adapt").trunk


def pictures(count: int) -> Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize(
    ("backbone", "left"),
    [
        ("mobilenetv2_100", 0),
        ("tf_efficientnet_lite0", 0),  # its convolutions pad as TensorFlow does
        ("test_resnet", 0),
        ("densenet121", 62),  # most of its norms come before the convolution
        ("test_vit", 0),
    ],
)
def test_folding_keeps_the_output_and_leaves_the_module_as_it_is(backbone: str, left: int) -> None:
    trunk = trunk_of(backbone)
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    expected = TorchEngine(trunk)(pictures(2))
    folded = with_folded_norms(trunk)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in called(folded)) == left
    with torch.no_grad():
        torch.testing.assert_close(folded(pictures(2)), expected, rtol=1e-3, atol=1e-4)
    assert torch.equal(TorchEngine(trunk)(pictures(2)), expected)
    assert all(torch.equal(value, before[name]) for name, value in trunk.state_dict().items())


def called(module: nn.Module) -> list[nn.Module]:
    assert isinstance(module, fx.GraphModule)
    return [module.get_submodule(str(node.target)) for node in module.graph.nodes if node.op == "call_module"]


class Standardised(nn.Conv2d):
    """Uses its weights in a way of its own, so that nothing can be folded into them."""

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = self._conv_forward(input, self.weight / self.weight.std(), None)
        return output


def test_nothing_is_folded_into_what_has_other_readers_or_ways_of_its_own() -> None:
    class Network(nn.Module):
        def __init__(self, convolution: nn.Module, residual: bool) -> None:
            super().__init__()
            self.convolution, self.norm, self.residual = convolution, nn.BatchNorm2d(3), residual

        def forward(self, x: Tensor) -> Tensor:
            x = self.convolution(x)
            output: Tensor = x + self.norm(x) if self.residual else self.norm(x)
            return output

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return isinstance(m, nn.Conv2d) or super().is_leaf_module(m, module_qualified_name)

    for convolution, residual, is_folded in (
        (nn.Conv2d(3, 3, 3), False, True),
        (nn.Conv2d(3, 3, 3), True, False),
        (Standardised(3, 3, 3, bias=False), False, False),
    ):
        network = Network(convolution, residual).eval()
        nn.init.uniform_(network.norm.weight, 2, 3)
        folded = with_folded_norms(fx.GraphModule(network, Tracer().trace(network)))
        assert (nn.BatchNorm2d in map(type, called(folded))) is not is_folded
        torch.testing.assert_close(folded(pictures(2)), network(pictures(2)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("trainable_layers", [0, 12])
def test_it_equals_torch_for_batches_of_any_length_bit_for_bit_in_any_of_them(trainable_layers: int) -> None:
    trunk = trunk_of("test_efficientnet", trainable_layers)
    engine, reference = DeviceEngine(trunk, CPU, batch=8), TorchEngine(trunk)
    batch = pictures(LEAST_BATCH + 3)
    together = engine(batch)
    torch.testing.assert_close(together, reference(batch), rtol=1e-3, atol=1e-4)
    assert torch.equal(engine(batch.flip(0)).flip(0), together)
    assert torch.equal(engine(batch[7:8])[0], together[7])
    assert engine(batch[:0]).shape == (0, *together.shape[1:])
    assert not together.requires_grad
    assert together.dtype == torch.float32


def test_bfloat16_is_near_float32_and_what_autocast_gives() -> None:
    trunk = trunk_of("test_efficientnet")
    exact = DeviceEngine(trunk, CPU, batch=8)(pictures(8))
    rounded = DeviceEngine(trunk, CPU, torch.bfloat16, batch=8)(pictures(8))
    error = ((rounded - exact).norm(dim=1) / exact.norm(dim=1)).max()
    assert 1e-4 < error < 0.05
    assert rounded.dtype == torch.float32
    folded = with_folded_norms(trunk)
    lay_channels_last(folded)
    padded = torch.cat([pictures(8), torch.zeros(LEAST_BATCH - 8, 3, SIZE, SIZE)])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = folded(padded.contiguous(memory_format=torch.channels_last))[:8].float()
    assert torch.equal(rounded, expected)


def test_what_computes_in_another_way_has_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    trunk = trunk_of("test_efficientnet")
    engines: list[Engine] = [
        DeviceEngine(trunk, CPU),
        DeviceEngine(trunk, CPU, torch.bfloat16),
        DeviceEngine(trunk, CPU, batch=LEAST_BATCH),
        DeviceEngine(trunk, CPU, compiled=True),
        TorchEngine(trunk),
    ]
    assert len({engine.version for engine in engines}) == len(engines)
    assert DeviceEngine(trunk, CPU).version == engines[0].version


def test_a_device_other_than_the_cpu_has_it_and_needs_no_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("OpenVINO is imported")

    monkeypatch.setattr("frostline.model.engines.import_openvino", refuse)
    engine = make_engine(trunk_of("test_efficientnet"), (3, SIZE, SIZE), torch.device("mps"), batch=1000)
    assert isinstance(engine, DeviceEngine)
    assert f"mps float32 by {MOST_BATCH}" in engine.version
    assert isinstance(make_engine(nn.Identity(), (3, SIZE, SIZE), torch.device("mps")), TorchEngine)


def test_compiling_pays_for_many_batches_on_cuda_with_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda")
    monkeypatch.setattr(compiling, "has_compiler", lambda: True)
    assert compiling_pays(cuda, COMPILING_PAYS_FROM)
    assert not compiling_pays(cuda, COMPILING_PAYS_FROM - 1)
    assert not compiling_pays(CPU, COMPILING_PAYS_FROM)
    monkeypatch.setattr(compiling, "has_compiler", lambda: False)
    assert not compiling_pays(cuda, COMPILING_PAYS_FROM)


def test_only_whole_batches_of_training_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def compile_(function: Callable[[Tensor], Tensor], **_: object) -> Callable[[Tensor], Tensor]:
        def compiled(x: Tensor) -> Tensor:
            seen.append(len(x))
            return function(x)

        return compiled

    monkeypatch.setattr(torch, "compile", compile_)
    tail = Tail(nn.Flatten(), nn.Linear(12, 2), [])
    tail.compile_steps(8)
    x = torch.randn(8, 3, 2, 2)
    outputs = [tail.train()(x), tail.eval()(x), torch.cat([tail.train()(x[:5]), tail(x[5:])])]
    assert seen == [8]
    for output in outputs[1:]:
        torch.testing.assert_close(output, outputs[0])


def test_a_copy_of_a_compiled_tail_has_weights_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    tail = Tail(nn.Flatten(), nn.Linear(12, 2), [])
    tail.compile_steps(8)
    twin = copy.deepcopy(tail)
    nn.init.zeros_(twin.head.weight)  # type: ignore[arg-type]
    nn.init.zeros_(twin.head.bias)  # type: ignore[arg-type]
    assert not twin.train()(torch.randn(8, 3, 2, 2)).any()
    assert list(twin.state_dict()) == list(tail.state_dict())


def test_on_a_cpu_nothing_is_copied_to_the_device() -> None:
    tensor = torch.zeros(3)
    assert pinned(tensor, CPU) is tensor
    assert to_device(tensor, CPU) is tensor
