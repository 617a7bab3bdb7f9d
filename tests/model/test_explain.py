"""Heat maps are the class activation map where that is known in closed form, and hot where the class is."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from frostline.data.dataset import Picture
from frostline.errors import ModelError
from frostline.model import resampling
from frostline.model.backbone import load_backbone
from frostline.model.depths import Features, with_features
from frostline.model.explain import Explainer, enlarge, overlay
from frostline.model.network import Architecture, Network
from frostline.model.network_classifier import NetworkClassifier
from frostline.model.preprocessing import Preprocessing

SIZE = 160
CLASSES = ("apple", "leaf", "sky")


def make_classifier(name: str, size: int = SIZE, head_width: int = 0, features: Features = "last") -> NetworkClassifier:
    torch.manual_seed(0)
    backbone = with_features(load_backbone(name, weights="none", size=size), features)
    architecture = Architecture(name, head_width, "relu", 0.2, features)
    network = architecture.add_head(backbone, len(CLASSES))
    return NetworkClassifier(architecture, network, Preprocessing(size, backbone.mean, backbone.std), CLASSES)


def classifier_of(backbone: nn.Module, features: int, size: int) -> NetworkClassifier:
    """A classifier with a backbone made by hand; pixels are centred on grey."""
    head = nn.Sequential(nn.Dropout(0.2), nn.Linear(features, len(CLASSES)))
    preprocessing = Preprocessing(size, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    return NetworkClassifier(
        Architecture("made by hand", 0, "relu", 0.2), Network(backbone, head), preprocessing, CLASSES
    )


def noise(count: int, side: int = SIZE) -> list[Picture]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(count)]


def pixels_of(classifier: NetworkClassifier, pictures: list[Picture]) -> Tensor:
    return resampling.pixels_of(classifier.preprocessing, pictures, torch.device("cpu"))


@torch.no_grad()
def class_activation_maps(classifier: NetworkClassifier, pictures: list[Picture], targets: list[int]) -> Tensor:
    """CAM, from the backbone's own feature maps and the weights of a linear head, with 1 as its maximum."""
    weight = classifier.network.head.get_parameter("1.weight")[targets]
    maps: Tensor = classifier.network.backbone.forward_features(pixels_of(classifier, pictures))  # type: ignore[operator]
    heat = torch.einsum("nc,nchw->nhw", weight[:, -maps.shape[1] :], maps).relu()
    heat = F.interpolate(heat[:, None], size=(SIZE, SIZE), mode="bilinear")[:, 0]
    return heat / heat.amax((1, 2), keepdim=True).clamp_min(1e-30)


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet"])
def test_with_average_pooling_and_a_linear_head_it_is_the_class_activation_map(name: str) -> None:
    classifier = make_classifier(name)
    pictures, targets = noise(6), [0, 1, 2, 0, 1, 2]
    expected = class_activation_maps(classifier, pictures, targets).numpy()
    assert expected.max() == 1
    np.testing.assert_allclose(Explainer(classifier)(pictures, targets), expected, atol=1e-4)


BACKBONES = [
    ("test_efficientnet", 160, "5 x 5 feature map after bn2.act"),
    ("test_resnet", 160, "5 x 5 feature map after layer4.0.act2"),
    ("test_convnext", 160, "5 x 5 feature map after stages.3.blocks.1.add"),
    ("test_vit", 160, "10 x 10 patch tokens after blocks.4.add"),  # a class token is read: those entering block 5
    ("test_vit2", 160, "10 x 10 patch tokens after blocks.7.add"),  # the last ones, which are averaged
    ("test_vit3", 160, "10 x 10 patch tokens after attn_pool.kv"),
    ("swin_tiny_patch4_window7_224", 224, "7 x 7 feature map after norm"),
]


@pytest.mark.parametrize(("name", "size", "place"), BACKBONES)
def test_every_kind_of_backbone_has_a_map(name: str, size: int, place: str) -> None:
    classifier = make_classifier(name, size)
    explainer = Explainer(classifier)
    assert explainer.method == f"HiResCAM (Draelos & Carin 2020) on the {place}"
    heat = np.concatenate([explainer(noise(1, size), [target]) for target in range(len(CLASSES))])
    assert heat.shape == (len(CLASSES), size, size)
    assert heat.dtype == np.float32
    assert heat.min() == 0
    assert heat.max() == 1


def test_a_map_of_few_places_is_taken_only_where_there_is_none_finer() -> None:
    assert " on the 8 x 8 feature map after " in Explainer(make_classifier("test_efficientnet", 64)).method
    assert " on the 4 x 4 feature map after " in Explainer(bright_or_dark(Brightness(cell=40))).method


def test_class_tokens_that_join_late_leave_the_patches_before_them() -> None:
    explainer = Explainer(make_classifier("cait_xxs24_224", 224))
    assert explainer.method.endswith("on the 14 x 14 patch tokens after blocks.23.add")


def test_features_of_depths_are_explained_by_the_last_of_them() -> None:
    deep = make_classifier("test_resnet", features="depths")
    plain = make_classifier("test_resnet")
    with torch.no_grad():
        width = plain.network.head.get_parameter("1.weight").shape[1]
        plain.network.head.get_parameter("1.weight").copy_(deep.network.head.get_parameter("1.weight")[:, -width:])
        plain.network.backbone.load_state_dict(
            {name: deep.network.backbone.state_dict()[name] for name in plain.network.backbone.state_dict()}
        )
    pictures, targets = noise(3), [0, 1, 2]
    np.testing.assert_allclose(Explainer(deep)(pictures, targets), Explainer(plain)(pictures, targets), atol=1e-5)


class Brightness(nn.Module):
    """Two features: the mean of the bright places of a coarse map, and that of the dark ones."""

    def __init__(self, relu: Callable[[Tensor], Tensor] = torch.relu, cell: int = 8) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, cell, cell, bias=False)
        self.relu = relu
        with torch.no_grad():
            self.convolution.weight[0] = 1 / (3 * cell**2)
            self.convolution.weight[1] = -1 / (3 * cell**2)

    def forward(self, pixels: Tensor) -> Tensor:
        maps: Tensor = self.relu(self.convolution(pixels))
        return maps.mean((2, 3))


def bright_or_dark(backbone: nn.Module) -> NetworkClassifier:
    """Tells bright pictures, the first class, from dark ones, the second."""
    classifier = classifier_of(backbone, 2, SIZE)
    with torch.no_grad():
        classifier.network.head.get_parameter("1.weight").copy_(torch.tensor([[1.0, -1], [-1, 1], [0, 0]]))
        classifier.network.head.get_parameter("1.bias").zero_()
    return classifier


def patched(row: int, column: int) -> Picture:
    """A white patch of 16 pixels at the left of a grey picture or elsewhere, and a black one at its bottom right."""
    picture = np.full((SIZE, SIZE, 3), 128, np.uint8)
    picture[row : row + 16, column : column + 16] = 255
    picture[-16:, -16:] = 0
    return picture


def centre(heat: NDArray[np.float32]) -> tuple[float, float]:
    """Row and column of the middle of what is hot; grey is a little brighter than the middle of black and white."""
    rows, columns = np.indices(heat.shape)
    heat = np.where(heat > 0.05, heat, 0)
    return float((rows * heat).sum() / heat.sum()), float((columns * heat).sum() / heat.sum())


@pytest.mark.parametrize(("row", "column"), [(0, 0), (8, 40), (32, 16)])
def test_heat_lies_where_the_class_is(row: int, column: int) -> None:
    explainer = Explainer(bright_or_dark(Brightness()))
    bright, dark = explainer([patched(row, column)] * 2, [0, 1])
    assert centre(bright) == pytest.approx((row + 7.5, column + 7.5), abs=1.5)
    assert centre(dark) == pytest.approx((SIZE - 8.5, SIZE - 8.5), abs=1.5)
    assert bright[row + 4 : row + 12, column + 4 : column + 12].min() > 0.6


def test_the_most_probable_class_is_explained_unless_one_is_named() -> None:
    classifier = make_classifier("test_efficientnet", head_width=16)
    explainer = Explainer(classifier)
    pictures = noise(5)
    most_probable = classifier.probabilities(pictures).argmax(1).tolist()
    np.testing.assert_array_equal(explainer(pictures), explainer(pictures, most_probable))
    others = [(target + 1) % len(CLASSES) for target in most_probable]
    assert not np.array_equal(explainer(pictures), explainer(pictures, others))


def test_heat_does_not_depend_on_the_pictures_beside() -> None:
    explainer = Explainer(make_classifier("test_efficientnet", head_width=16))
    pictures = noise(20) + noise(2, side=30)
    targets = [number % 3 for number in range(len(pictures))]
    together = explainer(pictures, targets)
    alone = np.concatenate([explainer([picture], [target]) for picture, target in zip(pictures, targets, strict=True)])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert explainer([]).shape == (0, SIZE, SIZE)


def test_a_class_that_nothing_speaks_for_has_no_heat() -> None:
    black = np.zeros((SIZE, SIZE, 3), np.uint8)
    heat = Explainer(bright_or_dark(Brightness()))([black], [0])
    assert not heat.any()
    np.testing.assert_array_equal(overlay(black, heat[0]), black)


def test_parameters_are_left_as_they_were() -> None:
    classifier = make_classifier("test_efficientnet", head_width=16)
    parameters = list(classifier.network.parameters())
    for parameter in parameters[::2]:
        parameter.requires_grad_(False)
    before = {name: value.clone() for name, value in classifier.network.state_dict().items()}
    with torch.no_grad():
        Explainer(classifier)(noise(3))
    assert all(parameter.grad is None for parameter in parameters)
    assert [parameter.requires_grad for parameter in parameters] == [bool(n % 2) for n in range(len(parameters))]
    assert all(torch.equal(before[name], value) for name, value in classifier.network.state_dict().items())


def test_operations_in_place_change_nothing() -> None:
    plain = Explainer(bright_or_dark(Brightness()))
    in_place = Explainer(bright_or_dark(Brightness(torch.relu_)))
    picture = patched(8, 40)
    np.testing.assert_array_equal(plain([picture], [0]), in_place([picture], [0]))


class Pooled(nn.Module):
    """A network that averages the picture before it looks."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.linear(pixels.mean((2, 3)))
        return features


def test_a_network_without_a_map_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^made by hand has no feature map at 160 px"):
        Explainer(classifier_of(Pooled(), 4, SIZE))


def test_as_many_targets_as_pictures() -> None:
    with pytest.raises(ValueError, match="2 pictures need as many targets, not 1"):
        Explainer(bright_or_dark(Brightness()))(noise(2), [0])


def test_an_overlay_shows_the_picture_and_the_heat() -> None:
    picture = noise(1, side=40)[0]
    heat = np.zeros((SIZE, SIZE), np.float32)
    heat[:, SIZE // 2 :] = 1
    shown = overlay(picture, heat, 200)
    assert shown.shape == (200, 200, 3)
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown[:, :95], enlarge(picture, 200)[:, :95])
    right, under = shown[:, 105:].astype(float), enlarge(picture, 200)[:, 105:].astype(float)
    assert right[..., 0].mean() > under[..., 0].mean() - 20  # red, and darker in green and blue
    assert right[..., 1:].mean() < under[..., 1:].mean() - 40
    assert np.corrcoef(right.ravel(), under.ravel())[0, 1] > 0.5
    assert overlay(picture, heat).shape == (SIZE, SIZE, 3)
