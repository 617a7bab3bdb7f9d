"""The figures of a run come back from their file as they were."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from frostline.errors import DataError
from frostline.results.figures import RunFigures
from frostline.results.predictions import Predictions

Draw = Callable[..., Predictions]
MakeFigures = Callable[..., RunFigures]
ODD_NAMES = ("<b>", "שלום", 'a "quote"\nline', "🥭")


@pytest.fixture
def figures(make_figures: MakeFigures, draw_predictions: Draw) -> RunFigures:
    return make_figures(draw_predictions(ODD_NAMES), draw_predictions(ODD_NAMES, 90, seed=1))


def test_saved_figures_come_back(tmp_path: Path, make_figures: MakeFigures, draw_predictions: Draw) -> None:
    val, test = draw_predictions(ODD_NAMES), draw_predictions(ODD_NAMES, 90, seed=1)
    many = draw_predictions(tuple(map(str, range(40))), 200)
    full = {"planned_seconds": {"fit": 3.0}, "int8_trunk": {"agreement": 0.99}, "interrupted": True}
    for figures in (make_figures(val, test), make_figures(val, probe=None), make_figures(many, many, **full)):
        figures.save(tmp_path / "metrics.json")
        assert RunFigures.load(tmp_path / "metrics.json") == figures


def test_the_headline_is_the_test_if_there_is_one(
    figures: RunFigures, make_figures: MakeFigures, draw_predictions: Draw
) -> None:
    assert figures.headline is figures.test
    without = make_figures(draw_predictions(ODD_NAMES))
    assert without.headline is without.val


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"metrics\.json cannot be read: No such file") as raised:
        RunFigures.load(tmp_path / "metrics.json")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", "\x00"])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as raised:
        RunFigures.load(path)
    assert str(raised.value).startswith(f"{path} cannot be read: ")
    assert "\n" not in str(raised.value)


def test_a_damaged_value_is_named_with_its_place(tmp_path: Path, figures: RunFigures) -> None:
    path = tmp_path / "metrics.json"
    figures.save(path)
    values = json.loads(path.read_text(encoding="utf-8"))
    values["val"]["per_class"][1]["recall"] = "high"
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(DataError, match=r"cannot be read: val\.per_class\.1\.recall: "):
        RunFigures.load(path)
    del values["epochs"]
    values["val"]["per_class"][1]["recall"] = 0.5
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read: epochs: Field required"):
        RunFigures.load(path)
