"""Whole runs: what they leave, that they repeat, and that they stop before training where they must."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import frostline
from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.splits import load_splits
from frostline.errors import ConfigError, DataError, FrostlineError
from frostline.model.classifier import ImageClassifier
from frostline.results.figures import RunFigures
from frostline.results.history import EpochRecord, load_history
from frostline.results.metrics import compute_metrics
from frostline.results.predictions import load_predictions
from frostline.results.run_folder import RunFolder
from frostline.training.cache import ActivationCache
from frostline.training.execution import Run
from frostline.training.run import resume, train

MakeConfig = Callable[..., TrainConfig]
CLASSES = {"apple": 20, "leaf": 20, "sky": 20}

FILES = {
    *("config.yaml", "environment.json", "splits.csv", "history.csv", "metrics.json", "log.txt"),
    *("predictions/val.csv", "predictions/test.csv", "classifier/model.safetensors", "classifier/classifier.json"),
    *("predictions/probe.csv", "classifier/training_features.safetensors", "classifier/README.md"),
    *("curves.png", "confusion_matrix.png", "misclassified.png", "checkpoint/last.safetensors"),
    *("layers.csv", "check.json", "pictures.zip", "report.html"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    """A folder with `photos/` in it, and with `runs/` when the run has been made."""
    folder = tmp_path_factory.mktemp("run")
    write_pictures(folder / "photos", CLASSES)
    return folder


@pytest.fixture(scope="module")
def dataset(place: Path) -> Dataset:
    return frostline.load_dataset(place / "photos")


@pytest.fixture(scope="module")
def run(place: Path, dataset: Dataset, tiny_config: MakeConfig) -> Run:
    return train(dataset, tiny_config(epochs=3, dropout=0.2, runs_dir=place / "runs"))


def weights(folder: Path) -> bytes:
    return (folder / "classifier" / "model.safetensors").read_bytes()


def predictions_file(run: Run, split: str) -> Path:
    return run.folder / "predictions" / f"{split}.csv"


def test_the_folder_holds_every_file(run: Run, place: Path) -> None:
    assert run.folder == place / "runs" / "photos-test_efficientnet-1"
    found = {path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()}
    assert found == {*FILES, f"checkpoint/best-{run.figures.best_epoch}.safetensors"}
    assert all((run.folder / name).stat().st_size > 0 for name in found)


def test_what_the_files_say_is_what_the_run_says(run: Run) -> None:
    folder = RunFolder(run.folder)
    saved = folder.read_json(folder.metrics)
    assert run.figures.test is not None
    assert RunFigures.load(folder.metrics) == run.figures
    assert (saved["figures_of"], saved["interrupted"], saved["epochs"]) == ("test", False, 3)
    assert tuple(load_history(folder.history)) == run.history
    assert TrainConfig.make(file=folder.config) == run.config
    log = folder.log.read_text(encoding="utf-8")
    assert all(f"epoch {epoch}/3" in log for epoch in (1, 2, 3))
    environment = folder.read_json(folder.environment)
    assert environment["weights"] == {
        "description": "none: random weights",
        "sha256": None,
        "licence": None,
        "repository": None,
    }


def test_figures_are_those_of_the_saved_predictions(run: Run) -> None:
    for metrics in (run.figures.val, run.metrics):
        predictions = load_predictions(predictions_file(run, metrics.split))
        assert compute_metrics(predictions, metrics.split) == metrics
    assert run.history[run.figures.best_epoch - 1].val_accuracy == run.figures.val.accuracy


def test_the_classifier_predicts_what_the_run_says_of_the_test_files(run: Run, place: Path) -> None:
    expected = load_predictions(predictions_file(run, "test"))
    classifier = ImageClassifier.load(run.folder)
    found = classifier.predict([place / "photos" / path for path in expected.paths])
    np.testing.assert_array_equal([prediction.probabilities for prediction in found], expected.probabilities)
    assert classifier.class_names == expected.class_names == ("apple", "leaf", "sky")


def test_splits_share_no_picture_and_the_test_split_was_never_trained_on(run: Run, dataset: Dataset) -> None:
    splits = load_splits(run.folder / "splits.csv", dataset)
    assert sorted([*splits.train, *splits.val, *splits.test]) == list(range(60))
    predicted = load_predictions(predictions_file(run, "test")).paths
    assert predicted == tuple(dataset.samples[index].path for index in splits.test)


def test_config_yaml_repeats_the_run_bit_for_bit_in_a_folder_of_its_own(run: Run, dataset: Dataset) -> None:
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    config = TrainConfig.make(file=run.folder / "config.yaml")
    assert config.source is not None
    torch.manual_seed(5)
    again = train(frostline.load_dataset(config.source), config, report=False)
    assert again.folder.name == "photos-test_efficientnet-2"
    assert weights(again.folder) == weights(run.folder)
    assert (again.folder / "predictions" / "test.csv").read_bytes() == before[run.folder / "predictions" / "test.csv"]
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("views", "epochs"), [(2, 5), (3, 3)])
def test_keeping_activations_changes_no_bit(
    views: int, epochs: int, dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROSTLINE_CACHE", str(tmp_path / "cache"))

    def run_with(**options: object) -> bytes:
        config = tiny_config(epochs=epochs, augment="strong", runs_dir=tmp_path / "runs", **options)
        return weights(train(dataset, config, report=False).folder)

    computed = run_with(views=views, cache=False)
    assert not (tmp_path / "cache").exists()
    assert run_with(views=views) == computed
    assert len(ActivationCache.of_user().entries()) == views
    assert run_with(views=views) == computed, "read from the cache that the run before has left"
    if views == epochs:
        assert run_with(views="fresh") == computed


def test_a_damaged_cache_changes_nothing(
    dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROSTLINE_CACHE", str(tmp_path / "cache"))
    config = tiny_config(epochs=3, views=2, runs_dir=tmp_path / "runs")
    first = train(dataset, config, report=False)
    for path in (tmp_path / "cache").rglob("*.rows"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    again = train(dataset, config, report=False)
    assert weights(again.folder) == weights(first.folder)
    assert (again.folder / "log.txt").read_text(encoding="utf-8").count("is damaged") == 2


def test_splits_given_back_are_used_whatever_the_seed(
    run: Run, dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    splits = run.folder / "splits.csv"
    again = train(dataset, tiny_config(epochs=1, seed=7, splits=splits, runs_dir=tmp_path / "runs"), report=False)
    assert (again.folder / "splits.csv").read_bytes() == splits.read_bytes()


def test_without_a_report_only_what_is_drawn_is_missing(
    run: Run, dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    config = TrainConfig.make(file=run.folder / "config.yaml").model_copy(update={"runs_dir": tmp_path})
    bare = train(dataset, config, report=False)
    found = {path.relative_to(bare.folder).as_posix() for path in bare.folder.rglob("*") if path.is_file()}
    assert not {name for name in found if name.endswith((".html", ".png", ".svg"))}
    assert "predictions/probe.csv" not in found
    assert weights(bare.folder) == weights(run.folder)
    assert bare.metrics == run.metrics
    assert bare.figures.probe is None


def test_a_finished_run_is_not_resumed(run: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    with pytest.raises(ConfigError, match="is finished") as caught:
        resume(run.folder)
    assert "\n" not in str(caught.value)
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


def test_what_is_no_run_is_not_resumed(place: Path) -> None:
    for path, reason in ((place / "absent", "no such run"), (place / "photos", "not the folder of a run")):
        with pytest.raises(ConfigError, match=reason):
            resume(path)


def test_unreadable_pictures_stop_the_run_and_leave_no_folder(
    photos: Path, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    (photos / "leaf" / "text.jpg").write_text("no picture")
    (photos / "sky" / "empty.jpg").touch()
    runs = tmp_path / "runs"
    with pytest.raises(DataError, match=r"2 pictures .* cannot be read") as caught:
        train(frostline.load_dataset(photos), tiny_config(runs_dir=runs))
    assert "leaf/text.jpg" in str(caught.value)
    assert "sky/empty.jpg" in str(caught.value)
    assert list(runs.iterdir()) == []


def test_unreadable_pictures_can_be_left_out_and_are_listed(
    photos: Path, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    for number in range(4):
        (photos / "leaf" / f"text{number}.jpg").write_text("no picture")
    made = train(
        frostline.load_dataset(photos),
        tiny_config(epochs=1, skip_unreadable=True, runs_dir=tmp_path / "runs"),
        report=False,
    )
    with (made.folder / "unreadable.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [f"leaf/text{number}.jpg" for number in range(4)]
    assert all("not a picture" in row["reason"] for row in rows)
    assert "4 pictures cannot be read and are left out" in (made.folder / "log.txt").read_text()
    used = [path for name in ("val", "test") for path in load_predictions(predictions_file(made, name)).paths]
    assert len(used) == sum(metrics.pictures for metrics in (made.figures.val, made.metrics))
    assert not any("text" in path for path in used)


def test_a_validation_split_that_cannot_be_read_stops_the_run(
    photos: Path, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    shutil.move(photos, tmp_path / "all" / "train")
    for name in CLASSES:
        (tmp_path / "all" / "val" / name).mkdir(parents=True)
        (tmp_path / "all" / "val" / name / "text.jpg").write_text("no picture")
    dataset = frostline.load_dataset(tmp_path / "all")
    with pytest.raises(DataError, match="leaves no validation picture"):
        train(dataset, tiny_config(skip_unreadable=True, runs_dir=tmp_path / "runs"))
    assert list((tmp_path / "runs").iterdir()) == []


def test_without_a_test_split_the_figures_are_those_of_validation(
    tiny_config: MakeConfig, tmp_path: Path, write_pictures: Callable[..., Path]
) -> None:
    write_pictures(tmp_path / "photos" / "train", CLASSES)
    write_pictures(tmp_path / "photos" / "val", dict.fromkeys(CLASSES, 3), seed=1)
    config = tiny_config(epochs=1, test_fraction=0, runs_dir=tmp_path / "runs")
    made = train(frostline.load_dataset(tmp_path / "photos"), config)
    assert made.figures.test is None
    assert made.metrics is made.figures.val
    assert (made.metrics.split, made.metrics.pictures) == ("val", 9)
    folder = RunFolder(made.folder)
    saved = folder.read_json(folder.metrics)
    assert (saved["figures_of"], saved["test"]) == ("val", None)
    assert not predictions_file(made, "test").exists()
    assert all(folder.picture(name).is_file() for name in ("curves", "confusion_matrix", "misclassified"))


@pytest.mark.usefixtures("without_drawing")
def test_ctrl_c_finishes_the_folder_and_the_run_can_go_on(
    run: Run, dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[EpochRecord] = []

    def stop(record: EpochRecord) -> None:
        seen.append(record)
        if record.epoch == 2:
            raise KeyboardInterrupt

    config = tiny_config(epochs=3, dropout=0.2, runs_dir=tmp_path)
    stopped = train(dataset, config, on_epoch=stop)
    assert stopped.interrupted
    assert list(stopped.history) == seen
    assert len(seen) == 2
    assert stopped.metrics.split == "test"
    assert ImageClassifier.load(stopped.folder).class_names == dataset.class_names
    resumed = resume(stopped.folder, on_epoch=seen.append)
    assert [record.epoch for record in seen] == [1, 2, 3]
    assert not resumed.interrupted
    assert weights(resumed.folder) == weights(run.folder)


def test_ctrl_c_in_the_first_epoch_leaves_no_folder(
    dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("frostline.training.fit._train", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, tiny_config(runs_dir=tmp_path / "runs"))
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_folder_that_has_its_config_has_all_that_resuming_needs(
    dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[str] = []

    def stop(config: TrainConfig, path: Path) -> None:
        there.extend(sorted(file.name for file in path.parent.iterdir()))
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainConfig, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, tiny_config(runs_dir=tmp_path))
    assert there == ["environment.json", "splits.csv"]


def test_a_run_that_diverges_in_its_first_epoch_leaves_no_folder(
    dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    diverging = tiny_config(optimizer="sgd", momentum=0.0, schedule="one-cycle", learning_rate=1e30, runs_dir=tmp_path)
    with pytest.raises(FrostlineError, match=r"the loss is (nan|inf) in"):
        train(dataset, diverging)
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_run_wants_the_pictures_that_it_began_with(
    photos: Path, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    def stop(record: EpochRecord) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        train(frostline.load_dataset(photos), tiny_config(runs_dir=tmp_path / "runs"), on_epoch=stop)
    (folder,) = (tmp_path / "runs").iterdir()
    assert not (folder / "metrics.json").exists()
    (photos / "leaf" / "003.jpg").unlink()
    with pytest.raises(DataError, match=r"no picture leaf/003\.jpg"):
        resume(folder)


@pytest.mark.parametrize("options", [{"precision": "float16"}, {"trainable_layers": 9999}])
def test_options_that_do_not_fit_stop_the_run_before_the_pictures_are_decoded(
    options: dict[str, object], photos: Path, tmp_path: Path, tiny_config: MakeConfig
) -> None:
    (photos / "apple" / "000.jpg").write_bytes(b"")
    with pytest.raises(ConfigError):
        train(frostline.load_dataset(photos), tiny_config(device="cpu", runs_dir=tmp_path / "runs", **options))
    assert not list((tmp_path / "runs").iterdir())
