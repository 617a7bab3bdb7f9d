"""frostline trains image classifiers by transfer learning, and hands back one that can be trusted and shipped.

>>> import frostline
>>> dataset = frostline.load_dataset("digits")
>>> len(dataset), dataset.class_names[:3]
(1797, ('0', '1', '2'))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from frostline.config import TrainConfig
    from frostline.data.dataset import Dataset, Sample
    from frostline.data.sources import load_dataset
    from frostline.data.splits import Splits
    from frostline.errors import ConfigError, DataError, FrostlineError, ModelError
    from frostline.estimator import FrostlineClassifier
    from frostline.model.classifier import ImageClassifier
    from frostline.model.prediction import Prediction
    from frostline.results.history import EpochRecord
    from frostline.results.metrics import Metrics
    from frostline.results.predictions import Predictions
    from frostline.training.execution import Run
    from frostline.training.run import resume, train

_HOMES = {
    "ConfigError": "errors",
    "DataError": "errors",
    "Dataset": "data.dataset",
    "EpochRecord": "results.history",
    "FrostlineClassifier": "estimator",
    "FrostlineError": "errors",
    "ImageClassifier": "model.classifier",
    "Metrics": "results.metrics",
    "ModelError": "errors",
    "Prediction": "model.prediction",
    "Predictions": "results.predictions",
    "Run": "training.execution",
    "Sample": "data.dataset",
    "Splits": "data.splits",
    "TrainConfig": "config",
    "load_dataset": "data.sources",
    "resume": "training.run",
    "train": "training.run",
}
"""Where each public name is defined. It is imported when it is first asked for: torch takes seconds to load."""

__all__ = [
    "ConfigError",
    "DataError",
    "Dataset",
    "EpochRecord",
    "FrostlineClassifier",
    "FrostlineError",
    "ImageClassifier",
    "Metrics",
    "ModelError",
    "Prediction",
    "Predictions",
    "Run",
    "Sample",
    "Splits",
    "TrainConfig",
    "__version__",
    "load_dataset",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'frostline' has no attribute {name!r}")
    return getattr(import_module(f"frostline.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
