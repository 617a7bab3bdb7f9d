"""Features of depths are the pooled maps inside the network, with its own features at the end."""

import pytest
import torch
from torch import Tensor, nn

from frostline.errors import ModelError
from frostline.model.backbone import Backbone, load_backbone
from frostline.model.depths import with_features
from frostline.model.engines import make_engine
from frostline.model.frost_line import freeze_below
from frostline.model.layers import trace_layers

SIZE = 64


def backbone(name: str, size: int = SIZE) -> Backbone:
    torch.manual_seed(0)
    return load_backbone(name, weights="none", size=size)


def pictures() -> Tensor:
    return torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def pooled_outputs(module: nn.Module, names: list[str]) -> list[Tensor]:
    """The means over the picture of what these modules give."""
    found: dict[str, Tensor] = {}
    for name in names:
        module.get_submodule(name).register_forward_hook(
            lambda _, __, output, name=name: found.__setitem__(name, output.mean((2, 3)))
        )
    module(pictures())
    return [found[name] for name in names]


def test_resnets_features_are_those_of_its_stem_and_its_blocks() -> None:
    plain = backbone("resnet18")
    deep = with_features(plain, "depths")
    expected = pooled_outputs(
        plain.module,
        ["act1", "layer1.0", "layer1.1", "layer2.0", "layer2.1", "layer3.0", "layer3.1", "layer4.0"],
    )
    with torch.no_grad():
        found = deep.module(pictures())
        last = plain.module(pictures())
    assert found.shape == (2, deep.features)
    assert torch.equal(found[:, -plain.features :], last)
    for part in expected:
        assert any(
            torch.allclose(found[:, start : start + part.shape[1]], part, atol=1e-6)
            for start in range(found.shape[1] - part.shape[1] + 1)
        )


@pytest.mark.parametrize("name", ["mobilenetv2_100", "tf_efficientnet_lite0", "test_efficientnet", "convnext_atto"])
def test_features_are_more_and_end_with_the_last_ones(name: str) -> None:
    plain = backbone(name)
    deep = with_features(plain, "depths")
    with torch.no_grad():
        found, last = deep.module(pictures()), plain.module(pictures())
    assert found.shape[1] == deep.features > plain.features
    assert torch.equal(found[:, -plain.features :], last)
    assert with_features(plain, "last") is plain


def test_mobilenetv2s_are_its_additions_and_the_maps_that_its_bottlenecks_shrink() -> None:
    additions, bottlenecks = [24, 32, 32, 64, 64, 64, 96, 96, 160, 160], [32, 96, 144, 192, 384, 576, 960]
    assert with_features(backbone("mobilenetv2_100"), "depths").features == sum(additions) + sum(bottlenecks) + 1280


def test_a_probe_of_depths_has_all_of_the_network_in_its_trunk() -> None:
    deep = with_features(backbone("test_efficientnet"), "depths")
    frozen = freeze_below(trace_layers(deep.module, SIZE), 0, "adapt")
    assert not list(frozen.body.parameters())
    engine = make_engine(frozen.trunk, (3, SIZE, SIZE), torch.device("cpu"))
    assert engine.name == "openvino"
    with torch.no_grad():
        expected = deep.module(pictures())
    torch.testing.assert_close(engine(pictures()), expected, rtol=1e-4, atol=1e-5)


def test_a_network_without_feature_maps_has_no_depths() -> None:
    with pytest.raises(ModelError, match=r"no feature maps.*--features last"):
        with_features(backbone("test_vit", 160), "depths")
