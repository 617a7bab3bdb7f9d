"""A probe of few pictures learns from all of them, and no picture is judged by a probe that has seen it."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import frostline
from frostline.config import TrainConfig
from frostline.data.dataset import Dataset, Sample
from frostline.data.splits import Splits, make_splits
from frostline.model.network_classifier import NetworkClassifier
from frostline.results.history import EpochRecord
from frostline.results.predictions import load_predictions
from frostline.results.run_folder import RunFolder
from frostline.training.cross_fit import FOLDS, CrossFit, choose_cross_fit, draw_folds, stacked
from frostline.training.defaults import FEW_PICTURES, settle_few
from frostline.training.execution import Run
from frostline.training.folds import cross_validate
from frostline.training.probe import fit_probe
from frostline.training.run import resume, train

pytestmark = pytest.mark.usefixtures("without_drawing")

MakeConfig = Callable[..., TrainConfig]

PROBE: dict[str, object] = {"head_width": 0, "epochs": 0, "trainable_layers": 0}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Dataset:
    folder = tmp_path_factory.mktemp("cross_fit") / "photos"
    return frostline.load_dataset(write_pictures(folder, {"apple": 20, "leaf": 20, "sky": 20}))


@pytest.fixture(scope="module")
def run(dataset: Dataset, tiny_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(dataset, tiny_config(runs_dir=tmp_path_factory.mktemp("runs"), target_accuracy=0.9, **PROBE))


def noise(pictures: int, features: int, classes: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features that say nothing of their classes, but enough to learn them by heart."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(pictures, features)).astype(np.float32), np.arange(pictures) % classes


def cross_fit(
    targets: NDArray[np.int64], groups: NDArray[np.int64] | None = None, *, mirrors: bool = False
) -> CrossFit:
    places = np.arange(len(targets))
    return CrossFit(places, draw_folds(targets, places if groups is None else groups, 0), mirrors)


@pytest.mark.parametrize("mirrors", [False, True])
def test_labels_that_mean_nothing_are_learnt_by_heart_and_judged_by_chance(mirrors: bool) -> None:
    features, targets = noise(200, 400, 4)
    views = [features, features + np.float32(0.01)] if mirrors else [features]
    judged = cross_fit(targets, mirrors=mirrors).judge(fit_probe, views, targets)
    assert fit_probe(*stacked(views, targets)).train_accuracy == 1.0
    for logits in (judged.logits, judged.mirrored_logits) if judged.mirrored_logits is not None else (judged.logits,):
        assert float((logits.argmax(1) == targets).mean()) == pytest.approx(0.25, abs=0.1)
    assert (judged.mirrored_logits is not None) == mirrors
    assert judged.distances.min() > 0.5, "no picture is compared with itself, nor with its mirror image"


def test_a_picture_is_judged_the_same_whatever_its_own_class_is_said_to_be() -> None:
    features, targets = noise(60, 20, 3)
    folds = cross_fit(targets)
    first = folds.judge(fit_probe, [features], targets)
    part = folds.folds == folds.folds[0]
    changed = targets.copy()
    changed[part] = (targets[part] + 1) % 3
    second = folds.judge(fit_probe, [features], changed)
    np.testing.assert_array_equal(second.logits[part], first.logits[part])
    assert np.abs(second.logits[~part] - first.logits[~part]).max() > 0.1


def test_folds_are_stratified_and_divide_no_group() -> None:
    targets = np.arange(300) % 3
    counts = [np.bincount(draw_folds(targets, np.arange(300), 1)[targets == target]) for target in range(3)]
    assert np.array(counts).tolist() == [[20] * FOLDS] * 3
    groups = np.random.default_rng(0).integers(0, 40, 300)
    folds = draw_folds(targets, groups, 1)
    assert all(len(np.unique(folds[groups == group])) == 1 for group in np.unique(groups))
    assert np.bincount(folds).min() > 30


def test_no_probe_is_without_a_class() -> None:
    """A class of one group, and what shares that group, is judged by none; two of a class are enough."""
    targets = np.array([0, 0, 1, 1, 1, 2, 2, 2, 2, 0])
    groups = np.array([0, 1, 2, 2, 2, 3, 4, 5, 6, 2])
    folds = draw_folds(targets, groups, 0)
    assert set(folds[groups == 2]) == {-1}
    assert folds.max() >= 1
    for fold in range(folds.max() + 1):
        assert set(targets[folds != fold]) == {0, 1, 2}
    assert set(draw_folds(np.arange(3), np.arange(3), 0)) == {-1}


def test_the_head_is_fitted_to_all_and_the_figures_are_of_each(run: Run, dataset: Dataset) -> None:
    figures = run.figures
    assert figures.val_folds == FOLDS
    assert sum(figures.train_counts) == figures.val.pictures == 48
    assert figures.test is not None
    assert figures.test.pictures == 12
    assert run.history[0].val_accuracy == figures.val.accuracy
    val, test = (load_predictions(run.folder / "predictions" / f"{name}.csv") for name in ("val", "test"))
    assert not set(val.paths) & set(test.paths)
    classifier = NetworkClassifier.load(run.folder)
    found = classifier.predict([Path(dataset.source) / path for path in test.paths])
    np.testing.assert_array_equal([answer.probabilities for answer in found], test.probabilities)
    fitted = classifier.predict([Path(dataset.source) / path for path in val.paths])
    assert max(answer.distance for answer in fitted if answer.distance is not None) < 1e-3
    assert val.distances is not None
    assert float((val.distances > figures.trust.far_beyond).mean()) <= 0.05


def test_the_run_says_how_its_validation_figures_were_made(run: Run) -> None:
    folder = RunFolder(run.folder)
    assert "validation figures are out of fold" in folder.log.read_text(encoding="utf-8")
    assert "validation figures are out of fold" in folder.report.read_text(encoding="utf-8")
    assert "validation figures are out of fold" in (folder.classifier / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("stop", ["before the folder is finished", "before the calibration"])
def test_a_run_that_was_stopped_ends_alike(
    stop: str, run: Run, dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*arguments: object) -> None:
        raise SystemExit

    def observe(record: EpochRecord) -> None:
        if stop != "before the calibration":
            leave()

    config = tiny_config(runs_dir=tmp_path, target_accuracy=0.9, **PROBE)
    with monkeypatch.context() as patch:
        if stop == "before the calibration":
            patch.setattr("frostline.training.outcome.calibrate", leave)
        with pytest.raises(SystemExit):
            train(dataset, config, on_epoch=observe)
    (folder,) = tmp_path.iterdir()
    again = resume(folder)
    assert replace(again.figures, seconds={}) == replace(run.figures, seconds={})
    for name in ("val", "test"):
        paths = [each.folder / "predictions" / f"{name}.csv" for each in (run, again)]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_figures_of_flips_are_out_of_fold_too(dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path) -> None:
    labels = np.random.default_rng(0).permutation(dataset.targets)
    shuffled = replace(
        dataset,
        samples=tuple(replace(sample, target=int(t)) for sample, t in zip(dataset.samples, labels, strict=True)),
    )
    found = train(shuffled, tiny_config(runs_dir=tmp_path, test_fraction=0, tta="flip", **PROBE)).figures
    assert found.test is None
    assert found.val.pictures == 60
    assert found.flip_tta is not None
    for accuracy in (found.val.accuracy, found.flip_tta["val"].accuracy):
        assert accuracy < 0.6, "three classes by chance"


def test_folds_of_a_cross_validation_are_cross_fitted_each(
    dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    result = cross_validate(dataset, tiny_config(runs_dir=tmp_path, folds=2, **PROBE))
    assert [run.figures.val.pictures for run in result.runs] == [30, 30]
    assert result.metrics.pictures == 60


@pytest.mark.full
def test_two_processes_do_as_one_does(run: Run, dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    tiny_config(runs_dir=tmp_path / "two", target_accuracy=0.9, source=dataset.source, **PROBE).save(settings)
    command = "from torch.distributed.run import main; main()"
    launch = ["--standalone", "--nproc-per-node", "2", "-m", "frostline", "train", "--config", str(settings)]
    done = subprocess.run(
        [sys.executable, "-c", command, *launch, dataset.source],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "two").iterdir()
    for name in ("val", "test"):
        found, expected = (load_predictions(of / "predictions" / f"{name}.csv") for of in (folder, run.folder))
        assert found.paths == expected.paths
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-4)


def with_samples(dataset: Dataset, change: Callable[[int, Sample], Sample]) -> Dataset:
    return replace(dataset, samples=tuple(change(index, sample) for index, sample in enumerate(dataset.samples)))


def test_pictures_that_were_set_apart_stay_apart(dataset: Dataset, tiny_config: MakeConfig) -> None:
    splits, config = make_splits(dataset), tiny_config(**PROBE)
    chosen = choose_cross_fit(dataset, splits, config)
    assert chosen is not None
    assert set(chosen.indices) == {*splits.train, *splits.val}
    assert not set(chosen.indices) & set(splits.test)
    brought = with_samples(dataset, lambda index, each: replace(each, split="val" if index in splits.val else "train"))
    timed = with_samples(dataset, lambda index, each: replace(each, time=float(index)))
    assert choose_cross_fit(brought, splits, config) is None
    assert choose_cross_fit(timed, splits, config) is None
    for changes in ({"epochs": 1}, {"trunk_precision": "int8"}, {"head_start": "random"}):
        assert choose_cross_fit(dataset, splits, config.model_copy(update=changes)) is None


def test_groups_stay_together_in_a_run_s_folds(dataset: Dataset, tiny_config: MakeConfig) -> None:
    grouped = with_samples(dataset, lambda index, each: replace(each, group=f"camera {index % 7}"))
    splits = make_splits(grouped)
    chosen = choose_cross_fit(grouped, splits, tiny_config(**PROBE))
    assert chosen is not None
    cameras = np.array([grouped.samples[index].group for index in chosen.indices])
    assert all(len(np.unique(chosen.folds[cameras == camera])) == 1 for camera in np.unique(cameras))
    assert chosen.folds.max() > 0


def test_few_pictures_are_probed_alone_unless_the_options_say_more(dataset: Dataset) -> None:
    """At 40 pixels the pictures are enlarged; a network that is tied to its size has no features of depths."""
    settled = settle_few(TrainConfig(), dataset, FEW_PICTURES)
    assert (settled.epochs, settled.trainable_layers, settled.features) == (0, 0, "depths")
    assert settle_few(TrainConfig(size=224), dataset, 60).features == "last"
    assert settle_few(TrainConfig(features="last"), dataset, 60).features == "last"
    assert settle_few(TrainConfig(backbone="vit_tiny_patch16_224"), dataset, 60).features == "last"
    assert settle_few(TrainConfig(), dataset, FEW_PICTURES + 1) == TrainConfig()
    for config in (
        TrainConfig(epochs=3),
        TrainConfig(trainable_layers=20),
        TrainConfig(weights="none"),
        TrainConfig(head_width=32),
        TrainConfig.make(recipe="classic"),
    ):
        assert settle_few(config, dataset, 60) is config


def test_many_pictures_are_as_before(dataset: Dataset, tiny_config: MakeConfig) -> None:
    many = replace(dataset, samples=dataset.samples * 20)
    splits = Splits(np.arange(FEW_PICTURES), np.arange(FEW_PICTURES, FEW_PICTURES + 1), np.empty(0, dtype=np.int64))
    assert choose_cross_fit(many, splits, tiny_config(**PROBE)) is None
