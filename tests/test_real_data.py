"""Whole runs on real pictures with real weights: slow, and skipped where data or weights are needed and absent."""

from pathlib import Path

import numpy as np
import pytest
import torch

import frostline
from frostline.data.pixels import read_pixels
from frostline.data.splits import make_splits
from frostline.model.backbone import load_backbone
from frostline.model.frost_line import freeze_below
from frostline.model.layers import trace_layers

pytestmark = pytest.mark.full


def test_digits_reach_97_percent(tmp_path: Path) -> None:
    config = frostline.TrainConfig(horizontal_flip=False, runs_dir=tmp_path)
    run = frostline.train(frostline.load_dataset("digits"), config)
    assert run.metrics.split == "test"
    assert run.metrics.accuracy >= 0.97


def test_ants_and_bees_straight_from_the_zip_reach_92_percent(data_dir: Path, tmp_path: Path) -> None:
    dataset = frostline.load_dataset(data_dir / "hymenoptera.zip")
    run = frostline.train(dataset, frostline.TrainConfig(runs_dir=tmp_path))
    assert run.figures.val.pictures == 153
    assert run.figures.val.accuracy >= 0.92


def test_cifar10_has_its_published_splits(data_dir: Path) -> None:
    dataset = frostline.load_dataset("cifar10", data_dir=data_dir)
    splits = make_splits(dataset)
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [45_000, 5_000, 10_000]
    assert np.bincount(dataset.targets[splits.val]).tolist() == [500] * 10
    pixels, unreadable = read_pixels(dataset, size=96, resize_mode="crop")
    pictures, sides = pixels.read([0, 59_999])
    assert not unreadable
    assert pictures.shape == (2, 32, 32, 3)
    assert sides.tolist() == [32, 32]


def test_a_slice_of_cifar10_learns_with_the_classic_recipe(data_dir: Path, weights_dir: Path, tmp_path: Path) -> None:
    whole = frostline.load_dataset("cifar10", data_dir=data_dir)
    few = [index for index, sample in enumerate(whole.samples) if index % 20 == 0]
    config = frostline.TrainConfig.make(recipe="classic", epochs=3, learning_rate=1e-3, runs_dir=tmp_path)
    run = frostline.train(whole.subset(few), config)
    assert run.metrics.pictures == 500
    assert run.metrics.accuracy >= 0.75


def test_real_mobilenetv2_is_cut_without_a_change(weights_dir: Path) -> None:
    backbone = load_backbone("mobilenetv2_100", weights_dir=weights_dir, size=96)
    pixels = torch.randn(4, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    graph = trace_layers(backbone.module, 96)
    with torch.no_grad():
        expected = backbone.module(pixels)
        for trainable in (0, 20, 60):
            frozen = freeze_below(graph, trainable, "adapt")
            torch.testing.assert_close(frozen.body(frozen.trunk(pixels)), expected, rtol=1e-5, atol=1e-5)
