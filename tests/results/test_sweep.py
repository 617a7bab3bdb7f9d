"""The figures of a search: which trial is best, and how much too good the best is by chance."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frostline.errors import DataError
from frostline.results.pages.sweep import validation_notes
from frostline.results.sweep import (
    Retrained,
    SweepFigures,
    SweepTrial,
    best_trial,
    expected_maximum,
    expected_optimism,
    option_text,
)


def trial(number: int, accuracy: float | None, loss: float | None = 0.5, **changed: Any) -> SweepTrial:
    values: dict[str, Any] = {"options": {"dropout": 0.1 * number}, "given": False, "pruned": False, "problem": None}
    values |= {"best_epoch": 2, "epochs": 3, "seconds": 1.5, "worker": "here"}
    return SweepTrial(number=number, val_accuracy=accuracy, val_loss=loss, **{**values, **changed})


def figures(retrained: Retrained | None, train_pictures: int = 100) -> SweepFigures:
    trials = (trial(0, 0.8), trial(1, 0.9), trial(2, 0.95, pruned=True, epochs=1))
    space = {"dropout": {"low": 0.0, "high": 0.5}}
    return SweepFigures("photos", space, train_pictures, 100, 50, trials, 1, 0.03, retrained)


RETRAINED = Retrained("runs/photos-1", 0.91, 0.85, 0.8, 0.9, 200)


def test_the_best_trial_has_the_highest_accuracy_then_the_lowest_loss() -> None:
    pruned = trial(4, 0.99, pruned=True)
    broken = trial(5, None, None, pruned=True, problem="the loss is nan")
    found = best_trial((trial(1, 0.9), trial(2, 0.95, 0.4), trial(3, 0.95, 0.3), pruned, broken))
    assert found is not None
    assert found.number == 3
    assert best_trial((pruned, broken)) is None


def test_pruned_trials_are_ranked_last() -> None:
    assert [each.number for each in figures(None).ranked()] == [1, 0, 2]


def test_figures_go_through_a_file_and_back(tmp_path: Path) -> None:
    figures(RETRAINED).save(tmp_path / "sweep.json")
    assert SweepFigures.load(tmp_path / "sweep.json") == figures(RETRAINED)
    (tmp_path / "sweep.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"sweep\.json cannot be read"):
        SweepFigures.load(tmp_path / "sweep.json")


@pytest.mark.parametrize("count", [1, 2, 40, 500])
def test_the_expected_maximum_is_that_of_a_simulation(count: int) -> None:
    draws = np.random.default_rng(0).standard_normal((20_000, count)).max(axis=1)
    assert expected_maximum(count) == pytest.approx(draws.mean(), abs=0.03)


def test_the_optimism_bounds_what_chance_gives() -> None:
    generator = np.random.default_rng(0)
    highest = generator.binomial(200, 0.8, size=(5_000, 40)).max(axis=1) / 200
    assert highest.mean() - 0.8 == pytest.approx(expected_optimism(40, 0.8, 200), rel=0.05)
    assert expected_optimism(40, 1.0, 200) > 0, "all right on few pictures is no proof"


def test_the_notes_say_how_much_validation_was_used() -> None:
    used, chance, gap = validation_notes(figures(RETRAINED))
    assert "3 trials with 7 epochs were compared on the same 50 validation pictures" in used
    assert "up to 3.00 points" in chance
    assert "0.8500 (95% interval 0.8000 to 0.9000, 200 pictures" in gap
    assert "a gap of +6.00 points" in gap
    assert "no test pictures" in validation_notes(figures(Retrained("run", 0.9, None, None, None, 0)))[2]
    assert "10 of the 100 training pictures" in validation_notes(figures(None, 10))[2]


def test_options_as_text() -> None:
    assert [option_text(value) for value in (None, 0.00123456, 64, "cosine")] == ["default", "0.00123", "64", "cosine"]
