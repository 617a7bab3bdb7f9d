"""A run's folder is read as far as it goes, and what is missing or damaged is named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from frostline.config import TrainConfig
from frostline.errors import ConfigError, DataError
from frostline.results.figures import RunFigures
from frostline.results.history import EpochRecord, save_history
from frostline.results.predictions import Predictions, save_predictions
from frostline.results.record import LayerRow, load_layers, load_notes, read_run, save_layers, save_notes
from frostline.results.run_folder import RunFolder
from frostline.results.thumbnails import save_thumbnails

Draw = Callable[..., Predictions]
MakeFigures = Callable[..., RunFigures]
NAMES = ("ant", "<bee>")
CONFIG = TrainConfig.make(recipe="classic", epochs=2)
HISTORY = [EpochRecord(epoch, 1 / epoch, 0.5, 0.25, 0.75, 1e-3, 12.5, 300.0) for epoch in (1, 2)]
LAYERS = [
    LayerRow(0, "conv_stem", "Conv2d", "32 x 48 x 48", 864, "trunk"),
    LayerRow(1, "bn1", "BatchNorm", "32", 64, "trainable"),
]
NOTES = ("2 pictures are there twice", "class ant has few, 🥭")
PARTS = {
    "config.yaml": "config",
    "environment.json": "environment",
    "history.csv": "history",
    "metrics.json": "figures",
    "predictions/probe.csv": "probe",
    "layers.csv": "layers",
    "check.json": "notes",
    "pictures.zip": "thumbnails",
}
"""What each file gives a record; without the predictions, which have a name each."""


@pytest.fixture
def folder(tmp_path: Path, draw_predictions: Draw, make_figures: MakeFigures) -> RunFolder:
    """The folder of a run with all that a record is read from."""
    folder = RunFolder(tmp_path / "photos-1")
    folder.predictions.mkdir(parents=True)
    val, test = draw_predictions(NAMES), draw_predictions(NAMES, 40, seed=1)
    CONFIG.save(folder.config)
    folder.write_json(folder.environment, {"frostline": "0.1.0"})
    save_history(HISTORY, folder.history)
    make_figures(val, test).save(folder.metrics)
    save_predictions(val, folder.predictions / "val.csv")
    save_predictions(test, folder.predictions / "test.csv")
    save_predictions(draw_predictions(NAMES, 40, seed=2), folder.probe_predictions)
    save_layers(LAYERS, folder.layers)
    save_notes(NOTES, folder.check)
    save_thumbnails([("3", b"jpeg")], folder.pictures)
    return folder


def test_a_whole_run(folder: RunFolder) -> None:
    record = read_run(folder.path)
    assert record.missing == ()
    assert record.name == "photos-1"
    assert record.config == CONFIG
    assert record.environment == {"frostline": "0.1.0"}
    assert record.history == tuple(HISTORY)
    assert record.figures == RunFigures.load(folder.metrics)
    assert list(record.predictions) == ["val", "test"]
    assert record.headline is record.predictions["test"]
    assert record.probe is not None
    assert record.layers == tuple(LAYERS)
    assert record.notes == NOTES
    assert dict(record.thumbnails.jpegs) == {"3": b"jpeg"}


@pytest.mark.parametrize("file", [*PARTS, "predictions/val.csv", "predictions/test.csv"])
@pytest.mark.parametrize("content", [None, b"", b"\x00\xff\xfe damaged"])
def test_a_missing_or_damaged_file_is_named_and_the_rest_is_read(
    folder: RunFolder, file: str, content: bytes | None
) -> None:
    whole = read_run(folder.path)
    path = folder.path / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    record = read_run(folder.path)
    optional = content is None and file == "check.json"
    empty_options = content == b"" and file == "config.yaml"
    if optional or empty_options:
        assert record.missing == ()
    else:
        (line,) = record.missing
        assert line.startswith(f"{file} is {'missing' if content is None else 'damaged: '}")
        assert str(folder.path) not in line
        assert "\n" not in line
    for other, part in PARTS.items():
        if other == file:
            assert empty_options or not getattr(record, part) or not record.thumbnails.jpegs
        elif part not in ("probe", "figures"):
            assert getattr(record, part) == getattr(whole, part)
    expected = [split for split in ("val", "test") if file != f"predictions/{split}.csv"]
    assert sorted(record.predictions) == sorted(expected)


def test_the_headline_is_of_what_the_figures_are_of(folder: RunFolder) -> None:
    (folder.predictions / "test.csv").unlink()
    assert read_run(folder.path).headline is None
    folder.metrics.unlink()
    record = read_run(folder.path)
    assert record.headline is record.predictions["val"]


def test_a_run_without_probe_or_test(folder: RunFolder, draw_predictions: Draw, make_figures: MakeFigures) -> None:
    make_figures(draw_predictions(NAMES), probe=None).save(folder.metrics)
    folder.probe_predictions.unlink()
    (folder.predictions / "test.csv").unlink()
    record = read_run(folder.path)
    assert record.missing == ()
    assert record.probe is None
    assert record.headline is record.predictions["val"]


def test_an_unfinished_run(folder: RunFolder) -> None:
    for file in [*PARTS, "predictions/val.csv", "predictions/test.csv"]:
        if file not in ("config.yaml", "history.csv"):
            (folder.path / file).unlink()
    record = read_run(folder.path)
    assert record.figures is None
    assert record.headline is None
    assert record.missing == (
        "metrics.json is missing",
        "environment.json is missing",
        "layers.csv is missing",
        "pictures.zip is missing",
    )


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such run"):
        read_run(tmp_path / "nothing")
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(ConfigError, match="no such run"):
        read_run(tmp_path / "photo.jpg")
    with pytest.raises(ConfigError, match="is not the folder of a run"):
        read_run(tmp_path)


def test_layers_and_notes_come_back(tmp_path: Path) -> None:
    save_layers(LAYERS, tmp_path / "layers.csv")
    assert load_layers(tmp_path / "layers.csv") == LAYERS
    for notes in (NOTES, ()):
        save_notes(notes, tmp_path / "check.json")
        assert load_notes(tmp_path / "check.json") == notes


@pytest.mark.parametrize("content", ["[]", "{}", '{"notes": null}', '{"notes": "text"}', "{"])
def test_damaged_notes_are_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "check.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"check\.json"):
        load_notes(path)


def test_the_predictions_are_those_that_were_saved(folder: RunFolder, draw_predictions: Draw) -> None:
    found, saved = read_run(folder.path).predictions["test"], draw_predictions(NAMES, 40, seed=1)
    assert found.paths == saved.paths
    np.testing.assert_array_equal(found.probabilities, saved.probabilities)
