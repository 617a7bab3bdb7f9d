"""A backbone is the network that was asked for, filled entirely, or one line that says why not."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from frostline.errors import ModelError
from frostline.model.backbone import list_backbones, load_backbone
from frostline.model.weights import PACKAGES

WEIGHTS = Path(os.environ.get("FROSTLINE_WEIGHTS", "no folder named"))
FEATURES = {
    "tf_efficientnet_lite0": 1280,
    "mobilenetv2_100": 1280,
    "resnet50": 2048,
    "efficientnet_b0": 1280,
    "convnext_tiny": 768,
    "vit_small_patch16_224": 384,
}


def saved(path: Path, name: str, *, seed: int = 1, **options: object) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    state_dict: dict[str, Tensor] = timm.create_model(name, **options).state_dict()
    if path.suffix == ".safetensors":
        save_file(state_dict, path)
    else:
        torch.save(state_dict, path)
    return state_dict


def assert_filled(name: str, path: Path, state_dict: dict[str, Tensor]) -> None:
    module = load_backbone(name, weights=path).module
    for key, tensor in module.state_dict().items():
        assert torch.equal(tensor, state_dict[key]), key


@pytest.mark.parametrize("name", FEATURES)
def test_six_architectures_with_random_weights(name: str) -> None:
    backbone = load_backbone(name, weights="none", size=96)
    assert (backbone.name, backbone.size, backbone.native_size) == (name, 96, 224)
    assert backbone.features == FEATURES[name]
    assert not backbone.module.training
    with torch.no_grad():
        features = backbone.module(torch.rand(2, 3, 96, 96))
    assert features.shape == (2, FEATURES[name])
    assert torch.isfinite(features).all()


def test_the_size_is_the_networks_own_unless_given() -> None:
    assert load_backbone("test_resnet", weights="none").size == 160


def test_features_of_a_network_whose_attribute_tells_another_width() -> None:
    backbone = load_backbone("mobilenetv3_small_050", weights="none", size=64)
    assert backbone.features == 1024 != backbone.module.num_features


@pytest.mark.parametrize("name", ["test_vit", "test_efficientnet", "test_resnet", "test_convnext"])
def test_a_file_fills_every_entry(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    assert_filled(name, path, saved(path, name))


@pytest.mark.parametrize("classes", [0, 7])
def test_a_file_with_any_classifier_or_none(classes: int, tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    assert_filled("test_resnet", path, saved(path, "test_resnet", num_classes=classes))


def test_a_classifier_of_several_layers_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    assert_filled("efficientvit_m0", path, saved(path, "efficientvit_m0"))


def test_a_torch_file_from_before_batch_counters(tmp_path: Path) -> None:
    state_dict = saved(tmp_path / "new.pth", "test_resnet")
    old = {key: tensor for key, tensor in state_dict.items() if not key.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    assert_filled("test_resnet", tmp_path / "old.pth", state_dict)


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    state_dict = saved(tmp_path / "whole.pth", "test_convnext", num_classes=0)
    torch.save({key: tensor.half() for key, tensor in state_dict.items()}, tmp_path / "half.pth")
    module = load_backbone("test_convnext", weights=tmp_path / "half.pth").module
    assert {tensor.dtype for tensor in module.state_dict().values()} == {torch.float32}


def test_an_original_checkpoint_is_brought_to_timms_form(tmp_path: Path) -> None:
    """Some originals hold the patch embedding as a matrix; timm's function for the family reshapes it."""
    state_dict = saved(tmp_path / "timm.pth", "test_vit")
    original = {**state_dict, "patch_embed.proj.weight": state_dict["patch_embed.proj.weight"].flatten(1)}
    torch.save({"model": original}, tmp_path / "original.pth")
    assert_filled("test_vit", tmp_path / "original.pth", state_dict)


@pytest.mark.parametrize(
    ("file_of", "name"),
    [
        ("test_efficientnet", "test_resnet"),
        ("test_resnet", "test_vit"),
        ("test_vit", "test_convnext"),
        ("resnet34", "resnet18"),  # has all that resnet18 has, and more
        ("mobilenetv2_050", "mobilenetv2_075"),  # the same names in other shapes
    ],
)
def test_weights_of_another_backbone(file_of: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    saved(path, file_of)
    with pytest.raises(ModelError, match=f"not the weights of {name}") as caught:
        load_backbone(name, weights=path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (lambda: load_backbone("mobilnetv2_100"), "did you mean mobilenetv2_100"),
        (lambda: load_backbone("!"), "frostline backbones"),
        (lambda: load_backbone(""), "unknown backbone ''"),
        (lambda: load_backbone("hf-hub:timm/resnet50"), "unknown backbone"),
        (lambda: load_backbone("resnet50.no_such"), "timm has: a1_in1k"),
        (lambda: load_backbone("levit_128s", weights="none", size=96), "224 pixels only, not 96"),
        (lambda: load_backbone("test_vit", weights="none", size=1), "its own size is 160"),
    ],
)
def test_wrong_use_is_one_line(load: Callable[[], object], words: str) -> None:
    with pytest.raises(ModelError) as caught:
        load()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_vision_transformer_is_resampled_to_another_size(tmp_path: Path) -> None:
    state_dict = saved(tmp_path / "file.pth", "test_vit")
    resized = load_backbone("test_vit", weights=tmp_path / "file.pth", size=96).module
    changed = [key for key, tensor in resized.state_dict().items() if not torch.equal(tensor, state_dict[key])]
    assert changed == ["pos_embed"]


def test_a_swin_transformer_takes_another_size() -> None:
    backbone = load_backbone("swin_tiny_patch4_window7_224", weights="none", size=96)
    assert (backbone.size, backbone.native_size, backbone.features) == (96, 224, 768)


def test_mean_and_std_belong_to_the_weights() -> None:
    half = (0.5, 0.5, 0.5)
    lite = load_backbone("tf_efficientnet_lite0")
    assert (lite.mean, lite.std) == (half, half)
    vit = load_backbone("test_vit", weights="none")
    assert (vit.mean, vit.std) == (half, half)
    mobilenet = load_backbone("mobilenetv2_035", weights="none", size=32)
    assert mobilenet.mean == pytest.approx((0.485, 0.456, 0.406))
    assert mobilenet.std == pytest.approx((0.229, 0.224, 0.225))


def test_the_package_fills_every_entry_in_order() -> None:
    backbone = load_backbone("tf_efficientnet_lite0", size=32)
    package = PACKAGES["tf_efficientnet_lite0"]
    assert backbone.weights.sha256 == package.sha256
    assert backbone.weights.path is not None
    content = torch.load(backbone.weights.path, weights_only=True)
    for tensor, original in zip(backbone.module.state_dict().values(), content.values(), strict=False):
        assert torch.equal(tensor, original)
    copied = load_backbone("tf_efficientnet_lite0", weights=backbone.weights.path, size=32)
    assert copied.weights.sha256 == package.sha256


@pytest.mark.skipif(
    not (WEIGHTS / "mobilenetv2_100.safetensors").is_file(), reason="FROSTLINE_WEIGHTS has no mobilenetv2_100"
)
def test_real_mobilenetv2() -> None:
    backbone = load_backbone("mobilenetv2_100", size=32)
    content = load_file(WEIGHTS / "mobilenetv2_100.safetensors")
    for key, tensor in backbone.module.state_dict().items():
        assert torch.equal(tensor, content[key]) or key.endswith("num_batches_tracked")
    assert sum(parameter.numel() for parameter in backbone.module.parameters()) == 2_223_872


def test_list_backbones() -> None:
    rows = {row.name: row for row in list_backbones("efficientnet_lite")}
    lite0 = rows["tf_efficientnet_lite0"]
    assert (lite0.parameters, lite0.size) == (3_371_008, 224)
    assert lite0.weights in {"installed package", "weights folder"}
    everything = list_backbones()
    assert len(everything) > 1_000
    assert everything[0].parameters is None
    assert [row.name for row in list_backbones("resnet5?")] == [row.name for row in list_backbones("resnet5?*")][:1]
    assert list_backbones("no such network") == []
