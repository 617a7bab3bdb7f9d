"""Preprocessing: what it fits, what it saves, and what it refuses."""

import json

import numpy as np
import pytest

from frostline.data.decode import ResizeMode
from frostline.errors import ModelError
from frostline.model.preprocessing import Preprocessing

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_fit_gives_a_square_no_larger_than_the_picture() -> None:
    preprocess = Preprocessing(32, MEAN, STD)
    assert preprocess.fit(np.zeros((50, 80, 3), np.uint8)).shape == (32, 32, 3)
    assert preprocess.fit(np.zeros((50, 20, 3), np.uint8)).shape == (20, 20, 3)


@pytest.mark.parametrize("resize_mode", ["crop", "stretch"])
def test_saved_and_read_again(resize_mode: ResizeMode) -> None:
    preprocess = Preprocessing(96, MEAN, STD, resize_mode)
    assert Preprocessing.from_dict(json.loads(json.dumps(preprocess.to_dict()))) == preprocess


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"size": "96"}, "size"),
        ({"size": 0}, "size"),
        ({"mean": [0.5, 0.5]}, "mean"),
        ({"std": [0.5, 0.5, "x"]}, "std"),
        ({"std": [0.5, 0.5, 0.0]}, "std"),
        ({"resize_mode": "pad"}, "resize_mode"),
        ({"colour": "bgr"}, "colour"),
    ],
)
def test_damaged_values_are_refused_by_name(change: dict[str, object], named: str) -> None:
    with pytest.raises(ModelError, match=named):
        Preprocessing.from_dict({**Preprocessing(96, MEAN, STD).to_dict(), **change})


def test_missing_value_is_refused() -> None:
    with pytest.raises(ModelError, match="std"):
        Preprocessing.from_dict({"size": 96, "mean": list(MEAN), "resize_mode": "crop"})
