"""frostline as a classifier in scikit-learn's sense: cross-validation, searches and pipelines work on pictures."""

import inspect
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Self, TypeVar

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import assert_all_finite, check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from frostline.config import TrainConfig
from frostline.data.arrays import array_dataset
from frostline.data.dataset import Dataset
from frostline.data.decode import UnreadablePictureError
from frostline.data.given import ValueRange, as_paths, as_pictures, as_range, path_dataset
from frostline.errors import did_you_mean
from frostline.model.network_classifier import NetworkClassifier
from frostline.progress import quiet
from frostline.training.devices import choose_device
from frostline.training.run import train

_SAID_BY_X_AND_Y = {
    "source",
    "data_dir",
    "path_column",
    "label_column",
    "split_column",
    "group_column",
    "time_column",
    "test_fraction",
    "splits",
    "folds",
    "actions",
    "seed",
}
"""Options of training that `fit` has other words for: the arrays that it is given, and `random_state`."""

OPTIONS = tuple(name for name in TrainConfig.model_fields if name not in _SAID_BY_X_AND_Y)
"""Options of training that are parameters of the estimator."""

_FITTED_ON_TABLES = ("n_features_in_", "feature_names_in_")
_FILES = "_classifier_files"

_one_training = threading.Lock()
"""Torch's random numbers and settings belong to the process: two threads that train take turns."""

_Class = TypeVar("_Class", bound=type)


def _with_options_of_training(cls: _Class) -> _Class:
    """Write every option of training into the signature and the docstring of an estimator, from `TrainConfig`."""
    init = cls.__init__  # type: ignore[misc]
    written = inspect.signature(init)
    own = [each for each in written.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    options = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in OPTIONS]
    init.__signature__ = written.replace(parameters=[*own, *options])
    described = (f"    {name} : default=None\n        {TrainConfig.model_fields[name].description}" for name in OPTIONS)
    cls.__doc__ = f"{inspect.cleandoc(cls.__doc__ or '')}\n" + inspect.cleandoc("\n".join(described)) + "\n"
    return cls


@_with_options_of_training
class FrostlineClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An image classifier by transfer learning, with the interface of scikit-learn.

    X is a list or an array of paths; an array of pictures, (pictures, height, width, 3) for RGB or (pictures, height,
    width) for grey; or, with `picture_shape`, a table whose rows are flattened pictures. Labels may be of any type.

    `fit` draws a validation part from what it is given (`val_fraction`), on which the epoch is chosen and the
    probabilities are calibrated. `score`, like any other figure that is to be believed, needs other pictures.

    Fitted, it has `classes_`; `classifier_`, which can be saved, exported and served; `n_features_in_` for a table;
    `value_range_` for arrays; and `run_folder_` where `runs_dir` is given.

    Parameters
    ----------
    picture_shape : tuple of int, default=None
        Shape of the picture in a row of a table: (height, width) or (height, width, 3). One may be -1, which follows
        from the number of features. None: X is no table.
    value_range : tuple of float or "training", default=None
        The numbers that are black and white. None: 0 and 255 for whole numbers, 0 and 1 for others. "training": the
        least and the greatest number of the training pictures; what lies beyond them in others is black or white, too.
    random_state : int, RandomState or None, default=0
        Seed of the split, the views, the batches and the new layers.
    verbose : int, default=0
        0 trains in silence; with 1 the training says how it goes, on stderr.
    """

    def __init__(
        self,
        *,
        picture_shape: tuple[int, ...] | None = None,
        value_range: ValueRange | Literal["training"] | None = None,
        random_state: int | RandomState | None = 0,
        verbose: int = 0,
        **options: Any,
    ) -> None:
        for name in options:
            if name not in OPTIONS:
                hint = did_you_mean(name, OPTIONS)
                raise TypeError(f"{type(self).__name__} has no parameter {name!r}{hint}")
        self.picture_shape = picture_shape
        self.value_range = value_range
        self.random_state = random_state
        self.verbose = verbose
        for name in OPTIONS:
            setattr(self, name, options.get(name))

    def fit(self, X: Any, y: ArrayLike) -> Self:  # noqa: N803
        """Train a classifier of the labels `y`, (pictures,), of the pictures `X`.

        Raises `ValueError` where X or y is none that can be trained on, `DataError` where a picture cannot be read or a
        class has too few of them, and `ConfigError` where a parameter is wrong. Ctrl-C raises `KeyboardInterrupt`.
        """
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        given = self._read(X, training=True)
        labels = column_or_1d(y, warn=True)
        check_consistent_length(given, labels)
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
        classes, targets = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"y has only one class, {classes.tolist()[0]!r}: a classifier needs two or more")
        self.classifier_ = self._train(_dataset_of(given, targets, [str(name) for name in classes.tolist()]))
        self.classes_ = classes
        return self

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The most probable label of each picture, shape (pictures,). Raises what `predict_proba` does."""
        probabilities = self.predict_proba(X)
        labels: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return labels

    def predict_proba(self, X: Any) -> NDArray[np.float32]:  # noqa: N803
        """Calibrated probabilities of each picture, shape (pictures, classes), in the order of `classes_`.

        Raises `NotFittedError` before `fit`, `ValueError` where X does not hold such pictures as `fit` was given, and
        `DataError` at the first file that cannot be read.
        """
        check_is_fitted(self, "classifier_")
        given = self._read(X, training=False)
        rows = []
        classifier = self.classifier_.with_tta(self.tta or "none")
        for prediction in classifier.predict_each(given, expected=len(given)):
            if isinstance(prediction, UnreadablePictureError):
                raise prediction
            rows.append(prediction.probabilities)
        return np.stack(rows)

    def _read(self, X: Any, *, training: bool) -> list[str] | NDArray[np.uint8]:  # noqa: N803
        """Paths, or RGB pictures of shape (pictures, height, width, 3); `training` learns what X is like."""
        learned = isinstance(self.value_range, str) and self.value_range == "training"
        if training:
            for name in _FITTED_ON_TABLES:
                self.__dict__.pop(name, None)
            self.value_range_ = None if learned else as_range(self.value_range)
        paths = as_paths(X)
        if paths is not None:
            return paths
        if not hasattr(X, "ndim"):
            X = np.asarray(X)  # noqa: N806
        if X.ndim > 2:
            values = check_array(X, allow_nd=True, input_name="X")
        else:
            values = self._unfold(validate_data(self, X, reset=training))
        if learned and training:
            low, high = float(values.min()), float(values.max())
            self.value_range_ = (low, high if high > low else low + 1)
        elif learned and self.value_range_ is not None:
            values = np.clip(values, *self.value_range_)
        return as_pictures(values, self.value_range_)

    def _unfold(self, table: NDArray[Any]) -> NDArray[Any]:
        """The pictures in the rows of a table."""
        rows, features = table.shape
        if self.picture_shape is None:
            raise ValueError(
                f"X is a table of {features} features: say by picture_shape=(height, width) which picture a row is, or "
                "give pictures or their paths"
            )
        try:
            return table.reshape(rows, *self.picture_shape)
        except (TypeError, ValueError):
            raise ValueError(f"a row of {features} features is no picture of shape {self.picture_shape}") from None

    def _train(self, dataset: Dataset) -> NetworkClassifier:
        """Train in `runs_dir`, or in a folder that is removed."""
        self.__dict__.pop("run_folder_", None)
        with _one_training, TemporaryDirectory(prefix="frostline-") as temporary:
            config = self._config(Path(temporary))
            with nullcontext() if self.verbose else quiet():
                run = train(dataset, config, report=self.runs_dir is not None)
            if run.interrupted:
                raise KeyboardInterrupt
            if self.runs_dir is not None:
                self.run_folder_ = run.folder
            return self._load(run.folder)

    def _config(self, runs_dir: Path) -> TrainConfig:
        """The options of training, with `runs_dir` where none is given. Raises `ConfigError`."""
        given = {name: _plain(getattr(self, name)) for name in OPTIONS if getattr(self, name) is not None}
        if isinstance(self.random_state, Integral):
            seed = int(self.random_state)
        else:
            seed = int(check_random_state(self.random_state).randint(2**32, dtype=np.uint32))
        return TrainConfig.make(**{"runs_dir": runs_dir, **given, "seed": seed, "test_fraction": 0})

    def _load(self, folder: Path) -> NetworkClassifier:
        """Read a saved classifier; it predicts on the first accelerator that is there, unless `device` is cpu."""
        return NetworkClassifier.load(folder).to(choose_device("cpu" if self.device == "cpu" else "auto"))

    def __getstate__(self) -> dict[str, Any]:
        """The parameters, and the classifier as the files that it saves: safetensors and JSON."""
        state = {**super().__getstate__()}
        if "classifier_" in state:
            with TemporaryDirectory(prefix="frostline-") as folder:
                state.pop("classifier_").save(Path(folder))
                state[_FILES] = {file.name: file.read_bytes() for file in Path(folder).iterdir()}
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Load the classifier from its files."""
        super().__setstate__({name: value for name, value in state.items() if name != _FILES})
        if _FILES in state:
            with TemporaryDirectory(prefix="frostline-") as folder:
                for name, content in state[_FILES].items():
                    (Path(folder) / name).write_bytes(content)
                self.classifier_ = self._load(Path(folder))

    def __sklearn_tags__(self) -> Any:
        """What X may be, in scikit-learn's words."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.three_d_array = True
        tags.input_tags.two_d_array = self.picture_shape is not None
        return tags


def _dataset_of(given: list[str] | NDArray[np.uint8], targets: NDArray[np.int64], class_names: list[str]) -> Dataset:
    """Labelled pictures under the name that the user knows them by: X."""
    if isinstance(given, list):
        return path_dataset("X", "X", given, targets, class_names)
    return array_dataset("X", "X", {"all": (given, targets)}, class_names, None)


def _plain(value: Any) -> Any:
    """A number of numpy's, such as searches draw, as Python's own."""
    return value.item() if isinstance(value, np.generic) else value
