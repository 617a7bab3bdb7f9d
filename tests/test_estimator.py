"""The estimator keeps scikit-learn's promises: its own checks, and what its users do with any classifier."""

import inspect
import io
import pickle
import pickletools
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from frostline import ConfigError, DataError, FrostlineClassifier, TrainConfig
from frostline.data.splits import read_splits
from frostline.estimator import OPTIONS
from frostline.model.classifier import ImageClassifier

Pictures = NDArray[np.uint8]
Labels = NDArray[np.str_]

TINY = {"backbone": "test_efficientnet", "weights": "none", "size": 32, "recipe": "quick", "device": "cpu"}

EXPECTED_TO_FAIL = {
    "check_classifiers_train": "its rows of two numbers are no pictures: made square, they are one pixel",
}
"""Scikit-learn's checks that cannot apply to pictures, with the reason."""


def tiny(**parameters: Any) -> FrostlineClassifier:
    """A probe of a tiny network with random weights, which is fitted in a second."""
    return FrostlineClassifier(**{**TINY, **parameters})


def make_pictures(count: int = 12, seed: int = 0) -> tuple[Pictures, Labels]:
    """Noisy pictures of 24 x 24 pixels, as many of each of three classes, each in its own colour."""
    rng = np.random.default_rng(seed)
    labels = np.array(["red", "green", "blue"] * count)
    colours = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}
    base = np.array([colours[label] for label in labels])[:, None, None, :]
    return np.clip(base + rng.normal(0, 30, (len(labels), 24, 24, 3)), 0, 255).astype(np.uint8), labels


def save_pictures(folder: Path, pictures: Pictures) -> list[Path]:
    """Write each picture to a file, without loss."""
    paths = [folder / f"{number:03}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    return paths


@pytest.fixture(scope="module")
def fitted() -> FrostlineClassifier:
    """An estimator that was fitted to the pictures of `make_pictures`."""
    return tiny().fit(*make_pictures())


# Scikit-learn's own checks feed tables of any width: a row is a picture that is one pixel high.
CHECKED = tiny(picture_shape=(1, -1), value_range="training")


@parametrize_with_checks([CHECKED], legacy=False)
def test_scikit_learn_checks_the_interface(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.full
@parametrize_with_checks([CHECKED], expected_failed_checks=lambda _: EXPECTED_TO_FAIL, xfail_strict=True)
def test_scikit_learn_checks_all(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def test_every_option_of_training_is_a_parameter_or_is_said_by_x_and_y() -> None:
    parameters = inspect.signature(FrostlineClassifier).parameters
    assert set(OPTIONS) <= set(parameters)
    assert list(FrostlineClassifier().get_params()) == sorted(parameters)
    described = inspect.getdoc(FrostlineClassifier) or ""
    for name in parameters:
        assert f"\n{name} : " in described
    elsewhere = {"data_dir", "source", "splits", "folds", "actions", "seed", "test_fraction"}
    assert {name for name in TrainConfig.model_fields if not name.endswith("_column")} - elsewhere <= set(OPTIONS)


def test_arrays_are_learned(fitted: FrostlineClassifier) -> None:
    pictures, labels = make_pictures(seed=1)
    assert fitted.classes_.tolist() == ["blue", "green", "red"]
    assert fitted.score(pictures, labels) == 1.0
    probabilities = fitted.predict_proba(pictures)
    assert probabilities.shape == (36, 3)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert not hasattr(fitted, "n_features_in_")
    assert not hasattr(fitted, "run_folder_")


def test_flips_are_averaged_where_that_is_asked_for(fitted: FrostlineClassifier) -> None:
    pictures, _ = make_pictures(seed=1)
    plain, mirrored = fitted.predict_proba(pictures), fitted.predict_proba(pictures[:, :, ::-1].copy())
    fitted.set_params(tta="flip")
    try:
        np.testing.assert_allclose(fitted.predict_proba(pictures), (plain + mirrored) / 2, rtol=1e-6)
    finally:
        fitted.set_params(tta=None)


@pytest.mark.parametrize("form", [list, lambda paths: np.array(paths, dtype=str)], ids=["list", "array"])
def test_paths_give_what_arrays_do(
    form: Callable[[list[Path]], Any], fitted: FrostlineClassifier, tmp_path: Path
) -> None:
    pictures, labels = make_pictures()
    from_files = tiny().fit(form(save_pictures(tmp_path, pictures)), labels)
    others = make_pictures(2, seed=1)[0]
    expected = fitted.predict_proba(others)
    np.testing.assert_array_equal(from_files.predict_proba(others), expected)
    np.testing.assert_array_equal(from_files.predict_proba(form(save_pictures(tmp_path, others))), expected)


def test_tables_are_pictures_in_rows() -> None:
    digits = load_digits()
    images, table, targets = digits.images[:60], digits.data[:60], digits.target[:60] % 3
    of_images = tiny(value_range=(0, 16)).fit(images, targets)
    of_table = tiny(value_range=(0, 16), picture_shape=(8, -1)).fit(table, targets)
    assert of_table.n_features_in_ == 64
    np.testing.assert_array_equal(of_table.predict_proba(table), of_images.predict_proba(images))
    as_bytes = np.repeat(np.rint(images * 255 / 16).astype(np.uint8)[..., None], 3, axis=3)
    np.testing.assert_array_equal(
        of_images.predict_proba(as_bytes[:0:-1] / 255 * 16), of_images.predict_proba(images[:0:-1])
    )
    with pytest.raises(ValueError, match="X has 63 features, but FrostlineClassifier is expecting 64"):
        of_table.predict(table[:, 1:])


def test_a_range_that_is_learned_holds_for_other_pictures() -> None:
    pictures, labels = make_pictures()
    scaled = tiny(value_range="training").fit(pictures / 255.0 * 7 - 3, labels)
    assert scaled.value_range_ is not None
    low, high = scaled.value_range_
    assert (low, high) == pytest.approx((-3, 4), abs=0.2)
    beyond = np.where(pictures[:6] > 128, high + 100, low - 100)
    at_its_ends = np.where(pictures[:6] > 128, high, low)
    np.testing.assert_array_equal(scaled.predict_proba(beyond), scaled.predict_proba(at_its_ends))


@pytest.mark.parametrize(
    "names",
    [(7, -2, 30), (True, False, True), (0.0, 2.0, 1.0)],
    ids=["ints", "bools", "floats"],
)
def test_labels_of_any_type_come_back(names: tuple[Any, ...]) -> None:
    pictures, words = make_pictures(6)
    labels = np.array([dict(zip(("red", "green", "blue"), names, strict=True))[word] for word in words])
    estimator = tiny().fit(pictures, labels.tolist())
    np.testing.assert_array_equal(estimator.classes_, np.unique(labels))
    predicted = estimator.predict(pictures)
    assert predicted.dtype == labels.dtype
    assert (predicted == labels).mean() > 0.8


def test_cross_validation_and_pipelines_of_paths(tmp_path: Path) -> None:
    pictures, labels = make_pictures(6)
    names = [path.name for path in save_pictures(tmp_path, pictures)]

    def locate(names: list[str]) -> list[Path]:
        return [tmp_path / name for name in names]

    pipeline = make_pipeline(FunctionTransformer(locate), tiny())
    assert cross_val_score(pipeline, names, labels, cv=2, error_score="raise").mean() > 0.8


def test_pipelines_of_tables() -> None:
    digits = load_digits(n_class=2)
    table, targets = digits.data[:60], digits.target[:60]
    scaled = make_pipeline(MinMaxScaler(clip=True), tiny(picture_shape=(8, 8)))
    standardised = make_pipeline(StandardScaler(), tiny(picture_shape=(8, 8), value_range="training"))
    for pipeline in (scaled, standardised):
        assert pipeline.fit(table, targets).score(table, targets) > 0.8


def test_a_search_varies_parameters_and_takes_numbers_of_numpy() -> None:
    pictures, labels = make_pictures(6)
    space = {"weight_decay": np.logspace(-3, -2, 2), "size": np.array([32]), "features": np.array(["last"])}
    search = GridSearchCV(tiny(), space, cv=2, error_score="raise").fit(pictures, labels)
    assert search.best_estimator_.features == "last"
    assert search.best_score_ > 0.8
    assert clone(search.best_estimator_).get_params() == search.best_estimator_.get_params()


def test_a_pickle_holds_the_saved_files_and_predicts_the_same(fitted: FrostlineClassifier) -> None:
    pictures, _ = make_pictures(4, seed=1)
    content = pickle.dumps(fitted)
    strings = {str(value) for _, value, _ in pickletools.genops(content)}
    assert {"classifier.json", "model.safetensors"} <= strings
    assert not [value for value in strings if value.startswith("torch")]
    stream = io.BytesIO()
    joblib.dump(fitted, stream)
    stream.seek(0)
    for loaded in (pickle.loads(content), joblib.load(stream)):
        assert loaded.get_params() == fitted.get_params()
        np.testing.assert_array_equal(loaded.predict_proba(pictures), fitted.predict_proba(pictures))
    assert isinstance(fitted.classifier_, ImageClassifier), "pickling leaves the estimator as it was"


def test_a_pickle_is_read_by_another_process(fitted: FrostlineClassifier, tmp_path: Path) -> None:
    pictures, _ = make_pictures(2, seed=1)
    place = tmp_path / "estimator.pickle"
    place.write_bytes(pickle.dumps((fitted, pictures)))
    code = f"import pickle; e, X = pickle.load(open({str(place)!r}, 'rb')); print(e.predict(X).tolist())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(fitted.predict(pictures).tolist())


def test_the_classifier_can_be_saved_and_loaded(fitted: FrostlineClassifier, tmp_path: Path) -> None:
    pictures, _ = make_pictures(2, seed=1)
    fitted.classifier_.save(tmp_path)
    answers = ImageClassifier.load(tmp_path).predict(pictures)
    assert [answer.label for answer in answers] == fitted.predict(pictures).tolist()


def test_training_says_nothing_unless_asked(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pictures, labels = make_pictures(4)
    tiny().fit(pictures, labels).predict(pictures)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir()), "nothing is left of a run that nobody asked for"
    tiny(verbose=1).fit(pictures, labels)
    shown = capfd.readouterr()
    assert "X: 9 training, 3 validation and 0 test pictures of 3 classes" in shown.err
    assert shown.out == ""


def test_a_run_folder_is_kept_where_one_is_asked_for(tmp_path: Path) -> None:
    pictures, labels = make_pictures(4)
    paths = [str(path) for path in save_pictures(tmp_path, pictures)]
    repeated = [*paths, *paths[:3], paths[0]]
    estimator = tiny(runs_dir=tmp_path / "runs").fit(repeated, [*labels, *labels[:3], labels[0]])
    folder = estimator.run_folder_
    assert folder == tmp_path / "runs" / "X-test_efficientnet-1"
    assert (folder / "report.html").exists()
    splits = read_splits(folder / "splits.csv")
    assert len(splits) == len(repeated)
    for name, split in splits.items():
        assert splits[name.partition("#")[0]] == split, "one picture is never in two splits"


def test_random_state_is_the_seed() -> None:
    pictures, labels = make_pictures(4)
    by_number = [tiny(random_state=seed).fit(pictures, labels).predict_proba(pictures) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(by_number[0], by_number[1])
    assert not np.array_equal(by_number[0], by_number[2])
    by_state = [
        tiny(random_state=np.random.RandomState(3)).fit(pictures, labels).predict_proba(pictures) for _ in range(2)
    ]
    np.testing.assert_array_equal(by_state[0], by_state[1])


def test_threads_that_train_take_turns() -> None:
    pictures, labels = make_pictures(4)
    steps = {"recipe": None, "trainable_layers": 0, "epochs": 1, "batch_size": 4, "head_start": "random"}

    def probabilities(seed: int) -> NDArray[np.float32]:
        return tiny(random_state=seed, dropout=0.5, **steps).fit(pictures, labels).predict_proba(pictures)

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(probabilities, (1, 2)))
    for seed, found in zip((1, 2), together, strict=True):
        np.testing.assert_array_equal(found, probabilities(seed))


@pytest.fixture
def trained_never(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training would be an error: what is wrong is found before."""
    monkeypatch.setattr("frostline.estimator.train", None)


@pytest.mark.usefixtures("trained_never")
@pytest.mark.parametrize(
    ("parameters", "X", "y", "message"),
    [
        ({}, np.zeros((4, 8, 8)), [0, 1, 0], "inconsistent numbers of samples: .4, 3."),
        ({}, ["a.png"] * 4, [0, 1, 0], "inconsistent numbers of samples: .4, 3."),
        ({}, np.zeros((4, 8, 8)), ["cat"] * 4, "y has only one class, 'cat'"),
        ({}, np.zeros((4, 8, 8)), None, "requires y to be passed, but the target y is None"),
        ({}, np.zeros((4, 8, 8)), [0.1, 0.2, 0.3, 0.4], "Unknown label type"),
        ({}, np.zeros((4, 64)), [0, 1, 0, 1], r"X is a table of 64 features: say by picture_shape=\(height, width\)"),
        ({"picture_shape": (8, 9)}, np.zeros((4, 64)), [0, 1, 0, 1], r"64 features is no picture of shape \(8, 9\)"),
        ({"picture_shape": 8}, np.zeros((4, 64)), [0, 1, 0, 1], "64 features is no picture of shape 8"),
        ({"value_range": "train"}, np.zeros((4, 8, 8)), [0, 1, 0, 1], "value_range is a pair of numbers"),
        ({}, np.full((4, 8, 8), 16.0), [0, 1, 0, 1], "X has values from 16 to 16, beyond 0 for black or 1 for white"),
        ({}, np.full((4, 8, 8), np.nan), [0, 1, 0, 1], "Input X contains NaN"),
        ({}, "a.png", ["cat"], "X is a single path"),
        ({}, [], [], "Expected 2D array"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(parameters: dict[str, Any], X: Any, y: Any, message: str) -> None:  # noqa: N803
    with pytest.raises(ValueError, match=message):
        tiny(**parameters).fit(X, y)


def test_an_unreadable_picture_is_named(fitted: FrostlineClassifier, tmp_path: Path) -> None:
    pictures, labels = make_pictures(2)
    paths = save_pictures(tmp_path, pictures)
    paths[4].write_bytes(b"no picture")
    with pytest.raises(DataError, match=rf"1 picture of X cannot be read(.|\n)*{paths[4].name}"):
        tiny().fit(paths, labels)
    with pytest.raises(DataError, match=rf"^cannot read {paths[4]}: "):
        fitted.predict(paths)


def test_a_class_of_one_picture_is_named() -> None:
    pictures, labels = make_pictures(2)
    with pytest.raises(DataError, match=r"^X: too few pictures for train and val, each class needs 2: red \(1\)"):
        tiny().fit(pictures[1:], labels[1:])


def test_wrong_parameters_are_named() -> None:
    with pytest.raises(TypeError, match=r"has no parameter 'epoch'; did you mean epochs\?"):
        FrostlineClassifier(epoch=3)
    pictures, labels = make_pictures(2)
    with pytest.raises(ConfigError, match="epochs should be a whole number, not 'many'"):
        tiny(epochs="many").fit(pictures, labels)
    with pytest.raises(ConfigError, match="unknown recipe 'fastest'; did you mean fast"):
        tiny(recipe="fastest").fit(pictures, labels)


def test_it_must_be_fitted_first() -> None:
    with pytest.raises(NotFittedError):
        tiny().predict(make_pictures(1)[0])


@pytest.mark.full
def test_workers_train_in_processes_of_their_own() -> None:
    pictures, labels = make_pictures(6)
    alone = cross_val_score(tiny(), pictures, labels, cv=2, error_score="raise")
    np.testing.assert_array_equal(cross_val_score(tiny(), pictures, labels, cv=2, n_jobs=2, error_score="raise"), alone)
