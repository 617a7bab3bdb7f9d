"""Classifiers measured on other sources than their own: splits are chosen, and classes matched by name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from frostline.data.sources import load_dataset
from frostline.errors import DataError, ModelError
from frostline.model.backbone import load_backbone
from frostline.model.evaluation import evaluate_source
from frostline.model.network import Architecture
from frostline.model.network_classifier import NetworkClassifier
from frostline.model.preprocessing import Preprocessing
from frostline.results.predictions import load_predictions

WritePictures = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved classifier with random weights, whose classes are in an order of their own."""
    torch.manual_seed(3)
    architecture = Architecture("test_efficientnet", 0, "relu", 0.0)
    backbone = load_backbone(architecture.backbone, weights="none", size=64)
    preprocessing = Preprocessing(64, backbone.mean, backbone.std)
    classifier = NetworkClassifier(
        architecture, architecture.add_head(backbone, 3), preprocessing, ("sky", "apple", "leaf")
    )
    path = tmp_path_factory.mktemp("saved") / "classifier"
    classifier.save(path)
    return path


def count_right(folder: Path, photos: Path) -> int:
    """How many pictures get the label of the folder that they lie in."""
    paths = sorted(photos.rglob("*.jpg"))
    answers = NetworkClassifier.load(folder).predict(paths)
    return sum(answer.label == path.parent.name for path, answer in zip(paths, answers, strict=True))


@pytest.mark.parametrize("names", [("apple", "leaf", "sky"), ("leaf", "sky"), ("apple", "sky")])
def test_classes_are_matched_by_name_whatever_their_order_and_number(
    names: tuple[str, ...], folder: Path, tmp_path: Path, write_pictures: WritePictures
) -> None:
    photos = write_pictures(tmp_path / "other", dict.fromkeys(names, 6))
    metrics = evaluate_source(folder, str(photos))
    assert metrics.class_names == ("sky", "apple", "leaf")
    assert metrics.pictures == 6 * len(names)
    assert {entry.name: entry.support for entry in metrics.per_class if entry.support} == dict.fromkeys(names, 6)
    assert metrics.accuracy == pytest.approx(count_right(folder, photos) / metrics.pictures)


def test_targets_carry_the_classifier_s_own_indices(folder: Path, photos: Path) -> None:
    dataset = load_dataset(photos)
    found = NetworkClassifier.load(folder).predict_dataset(dataset, np.arange(len(dataset)))
    labels = [found.class_names[target] for target in found.targets]
    assert labels == [path.partition("/")[0] for path in found.paths]


def test_an_unknown_class_is_named(folder: Path, tmp_path: Path, write_pictures: WritePictures) -> None:
    photos = write_pictures(tmp_path / "other", {"apple": 2, "pear": 2, "plum": 2})
    with pytest.raises(DataError, match=r"does not know pear, plum of .*its classes are sky, apple, leaf") as caught:
        evaluate_source(folder, str(photos))
    assert "\n" not in str(caught.value)


def test_the_test_split_is_measured_where_there_is_one(
    folder: Path, tmp_path: Path, write_pictures: WritePictures
) -> None:
    source = tmp_path / "photos"
    for seed, (split, count) in enumerate({"train": 5, "val": 2, "test": 3}.items()):
        write_pictures(source / split, {"apple": count, "sky": count}, seed=seed)
    file = tmp_path / "predictions.csv"
    metrics = evaluate_source(folder, str(source), csv_file=file)
    assert (metrics.split, metrics.pictures) == ("test", 6)
    assert all(path.startswith("test/") for path in load_predictions(file).paths)
    metrics = evaluate_source(folder, str(source), split="val")
    assert (metrics.split, metrics.pictures) == ("val", 4)


def test_a_split_that_the_source_does_not_bring_is_an_error(folder: Path, photos: Path) -> None:
    with pytest.raises(DataError, match="brings no test split"):
        evaluate_source(folder, str(photos), split="test")


def test_a_picture_that_cannot_be_read_is_named(folder: Path, photos: Path) -> None:
    (photos / "leaf" / "text.jpg").write_text("no picture")
    with pytest.raises(DataError, match=r"leaf/text\.jpg"):
        evaluate_source(folder, str(photos))


def test_without_a_classifier_nothing_is_read(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such run or classifier"):
        evaluate_source(tmp_path / "absent", "digits")


def test_every_picture_that_cannot_be_read_is_named(folder: Path, photos: Path) -> None:
    (photos / "apple" / "000.jpg").write_bytes(b"")
    (photos / "sky" / "019.jpg").write_text("no picture")
    with pytest.raises(DataError) as caught:
        evaluate_source(folder, str(photos))
    first, *named = str(caught.value).splitlines()
    assert first.startswith("2 pictures of ")
    assert ["apple/000.jpg" in named[0], "sky/019.jpg" in named[1]] == [True, True]
