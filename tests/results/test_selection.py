"""Which pictures of a run are shown: those that were asked for, in the order that was asked for."""

from collections.abc import Callable

import numpy as np
import pytest

from frostline.results.predictions import Predictions
from frostline.results.selection import (
    HARD,
    MISTAKES,
    all_shown,
    confident_mistakes,
    furthest,
    of_cells,
    unsure_hits,
)

Draw = Callable[..., Predictions]
NAMES = ("ant", "bee", "cat", "dog")


@pytest.fixture(params=[1, 7, 60, 700])
def predictions(request: pytest.FixtureRequest, draw_predictions: Draw) -> Predictions:
    return draw_predictions(NAMES, request.param, seed=request.param)


def test_mistakes_go_from_the_surest_on(predictions: Predictions) -> None:
    wrong = np.flatnonzero(predictions.labels != predictions.targets)
    rows = confident_mistakes(predictions, 10_000)
    assert sorted(rows.tolist()) == wrong.tolist()
    assert (np.diff(predictions.confidences[rows]) <= 0).all()
    np.testing.assert_array_equal(confident_mistakes(predictions), rows[:MISTAKES])


def test_hits_go_from_the_least_sure_on(predictions: Predictions) -> None:
    right = np.flatnonzero(predictions.labels == predictions.targets)
    rows = unsure_hits(predictions, 10_000)
    assert sorted(rows.tolist()) == right.tolist()
    assert (np.diff(predictions.confidences[rows]) >= 0).all()
    np.testing.assert_array_equal(unsure_hits(predictions), rows[:HARD])


def test_far_pictures_go_from_the_furthest_on(predictions: Predictions) -> None:
    assert predictions.distances is not None
    rows = furthest(predictions, 10_000)
    assert sorted(rows.tolist()) == list(range(len(predictions)))
    assert (np.diff(predictions.distances[rows]) <= 0).all()
    np.testing.assert_array_equal(furthest(predictions), rows[:HARD])


def test_nothing_is_far_where_nobody_measured(predictions: Predictions) -> None:
    plain = Predictions(predictions.paths, predictions.targets, predictions.probabilities, NAMES)
    assert furthest(plain).tolist() == []


@pytest.mark.parametrize("limit", [0, 1, 5, 16, 17, 40, 100_000])
def test_cells_share_the_limit(predictions: Predictions, limit: int) -> None:
    cells = of_cells(predictions, limit)
    rows = np.concatenate([np.empty(0, dtype=np.int64), *cells.values()])
    assert len(rows) == len(set(rows.tolist())) == min(limit, len(predictions))
    for (target, label), shown in cells.items():
        assert (predictions.targets[shown] == target).all()
        assert (predictions.labels[shown] == label).all()
    has_pictures = set(zip(predictions.targets.tolist(), predictions.labels.tolist(), strict=True))
    if limit >= len(has_pictures):
        assert set(cells) == has_pictures
    elif any(len(shown) > 1 for shown in cells.values()):
        pytest.fail("a cell has two pictures while another has none")


def test_no_cell_has_two_pictures_more_than_another_that_has_some_left(predictions: Predictions) -> None:
    whole, cells = of_cells(predictions, 100_000), of_cells(predictions, 30)
    most = max(map(len, cells.values()))
    for cell, shown in whole.items():
        assert len(cells.get(cell, ())) >= min(most - 1, len(shown))


def test_mistakes_are_the_last_to_be_left_out(predictions: Predictions) -> None:
    off_diagonal = {cell for cell in of_cells(predictions, 100_000) if cell[0] != cell[1]}
    assert set(of_cells(predictions, len(off_diagonal))) == off_diagonal


def test_orders_within_cells(predictions: Predictions) -> None:
    for limit in (30, 100_000):
        for (target, label), shown in of_cells(predictions, limit).items():
            steps = np.diff(predictions.confidences[shown])
            assert ((steps >= 0) if target == label else (steps <= 0)).all()


def test_a_smaller_limit_keeps_the_first_of_each_cell(predictions: Predictions) -> None:
    whole = of_cells(predictions, 100_000)
    for cell, shown in of_cells(predictions, 30).items():
        np.testing.assert_array_equal(shown, whole[cell][: len(shown)])


def test_all_that_is_shown_is_there_once_and_in_order(predictions: Predictions) -> None:
    rows = all_shown(predictions).tolist()
    assert rows == sorted(set(rows))
    selections = (confident_mistakes(predictions), unsure_hits(predictions), furthest(predictions))
    for selection in (*selections, *of_cells(predictions).values()):
        assert set(selection.tolist()) <= set(rows)


def test_no_pictures_give_no_rows() -> None:
    empty = Predictions((), np.empty(0, dtype=np.int64), np.empty((0, 2), dtype=np.float32), ("a", "b"))
    assert of_cells(empty) == {}
    assert all_shown(empty).tolist() == []
