"""Runs are compared on the pictures that they share, whatever the order of pictures and classes."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frostline.errors import ConfigError, DataError
from frostline.results.comparison.comparison import Comparison, compare_runs
from frostline.results.comparison.paired import Pairs
from frostline.results.comparison.text import figure_rows, setting_rows, verdicts
from frostline.results.predictions import Predictions
from frostline.results.record import read_run

Draw = Callable[..., Predictions]
WriteRun = Callable[..., Path]
CLASSES = ("apple", "leaf", "sky")


def compare(*folders: Path) -> Comparison:
    return compare_runs([read_run(folder) for folder in folders])


def rename_classes(predictions: Predictions, names: tuple[str, ...]) -> Predictions:
    """The same predictions with the classes in this order."""
    order = [predictions.class_names.index(name) for name in names]
    targets = np.argsort(order)[predictions.targets]
    return Predictions(predictions.paths, targets, predictions.probabilities[:, order], names)


@pytest.fixture
def two(tmp_path: Path, draw_predictions: Draw, write_run: WriteRun) -> tuple[Path, Path]:
    """Two runs on the same 60 pictures."""
    first, second = (draw_predictions(CLASSES, seed=seed) for seed in (0, 1))
    return (
        write_run(tmp_path / "a", first, epochs=3),
        write_run(tmp_path / "b", second, epochs=5, horizontal_flip=False, runs_dir="elsewhere"),
    )


def test_a_copy_of_a_run_differs_in_nothing(two: tuple[Path, Path]) -> None:
    copy = shutil.copytree(two[0], two[0].with_name("copy"))
    comparison = compare(two[0], copy)
    paired = comparison.runs[1].against_first
    assert paired is not None
    assert (paired.accuracy.value, paired.accuracy.low, paired.accuracy.high, paired.p_value) == (0, 0, 0, 1)
    assert (paired.loss.value, paired.loss.low, paired.loss.high) == (0, 0, 0)
    assert comparison.settings == ()
    assert [each.found for each in comparison.disagreements] == [0, 0, 0]
    (sentence,) = verdicts(comparison)
    assert sentence.startswith("copy and a cannot be told apart on 60 test pictures")


def test_pictures_and_classes_are_matched_by_name(
    two: tuple[Path, Path], draw_predictions: Draw, write_run: WriteRun
) -> None:
    straight = compare(*two)
    second = draw_predictions(CLASSES, seed=1)
    shuffled = second.take(np.random.default_rng(3).permutation(len(second)))
    other = write_run(two[0].parent / "c", rename_classes(shuffled, ("sky", "apple", "leaf")))
    crossed = compare(two[0], other)
    assert crossed.runs[1].against_first == straight.runs[1].against_first
    assert crossed.runs[1].metrics == straight.runs[1].metrics
    assert [each.found for each in crossed.disagreements] == [each.found for each in straight.disagreements]
    row = int(crossed.runs[1].rows[5])
    assert crossed.runs[1].record.predictions["test"].paths[row] == crossed.runs[0].record.predictions["test"].paths[5]


def test_figures_are_those_of_the_runs(two: tuple[Path, Path], draw_predictions: Draw) -> None:
    first, second = (draw_predictions(CLASSES, seed=seed) for seed in (0, 1))
    right = [each.labels == each.targets for each in (first, second)]
    comparison = compare(*two)
    paired = comparison.runs[1].against_first
    assert paired is not None
    assert paired.pairs == Pairs.count(*right)
    assert paired.accuracy.value == pytest.approx(right[1].mean() - right[0].mean())
    figures = comparison.runs[1].record.figures
    assert figures is not None
    assert comparison.runs[1].metrics == figures.test


def test_disagreements_are_sorted_into_kinds_surest_mistake_first(two: tuple[Path, Path]) -> None:
    comparison = compare(*two)
    first, second = (run.record.predictions["test"] for run in comparison.runs)
    assert sum(each.found for each in comparison.disagreements) == (first.labels != second.labels).sum()
    for each in comparison.disagreements:
        mistakes = []
        for picture in each.shown:
            assert picture.answers[0].right == (each.kind == "lost")
            assert picture.answers[1].right == (each.kind == "won")
            assert picture.path == first.paths[picture.row]
            mistakes.append(max(answer.confidence for answer in picture.answers if not answer.right))
        assert mistakes == sorted(mistakes, reverse=True)
        assert len(each.shown) == min(each.found, 20)


def test_settings_that_differ_are_listed_without_those_that_change_no_figure(two: tuple[Path, Path]) -> None:
    rows = {row.name: row.cells for row in setting_rows(compare(*two))}
    assert rows == {"epochs": ("3", "5"), "horizontal_flip": ("not set", "no")}


def test_only_common_pictures_count(two: tuple[Path, Path], draw_predictions: Draw, write_run: WriteRun) -> None:
    some = draw_predictions(CLASSES, seed=1).take(np.arange(40, 10, -1))
    other = write_run(two[0].parent / "c", some)
    comparison = compare(two[0], other)
    assert comparison.pictures == 30
    assert comparison.runs[0].metrics.pictures == 30
    assert any("a 60 test, c 30 test" in line for line in comparison.caveats)
    nothing_in_common = replace(some, paths=tuple(f"else/{path}" for path in some.paths))
    stranger = write_run(two[0].parent / "d", nothing_in_common)
    with pytest.raises(DataError, match=r"no picture in common.*--splits .*splits\.csv$"):
        compare(two[0], stranger)


def test_pictures_that_another_run_was_trained_on_are_said(
    two: tuple[Path, Path], draw_predictions: Draw, write_run: WriteRun
) -> None:
    assert compare(*two).caveats == ()
    test = draw_predictions(CLASSES, seed=1)
    unfair = write_run(two[0].parent / "c", test, train=test.paths[:7])
    (line,) = compare(two[0], unfair).caveats
    assert line.startswith("Not fair: c was trained on 7 of these pictures")
    (unfair / "splits.csv").unlink()
    (line,) = compare(two[0], unfair).caveats
    assert line.startswith("It is not known whether c was trained on these pictures")


def test_what_is_missing_is_said(two: tuple[Path, Path]) -> None:
    (two[1] / "config.yaml").unlink()
    (two[1] / "history.csv").write_text("nonsense\n1\n", encoding="utf-8")
    comparison = compare(*two)
    assert comparison.settings == ()
    assert comparison.caveats[0] == "b: config.yaml is missing."
    assert "history.csv is damaged" in comparison.caveats[1]


def test_labels_and_classes_must_agree(two: tuple[Path, Path], draw_predictions: Draw, write_run: WriteRun) -> None:
    test = draw_predictions(CLASSES, seed=1)
    targets = test.targets.copy()
    targets[4] = (targets[4] + 1) % 3
    relabelled = write_run(two[0].parent / "c", replace(test, targets=targets))
    with pytest.raises(DataError, match=r"^a takes photos/4\.jpg for 'leaf', c for 'sky': "):
        compare(two[0], relabelled)
    renamed = write_run(two[0].parent / "d", replace(test, class_names=("apple", "leaf", "sea")))
    with pytest.raises(DataError, match=r"^d does not have the class 'sky' of a: "):
        compare(two[0], renamed)
    more = write_run(two[0].parent / "e", draw_predictions((*CLASSES, "tree"), seed=1))
    with pytest.raises(DataError, match=r"^a does not have the class 'tree' of e: "):
        compare(two[0], more)


def test_runs_without_predictions_are_refused(two: tuple[Path, Path]) -> None:
    (two[1] / "predictions" / "test.csv").unlink()
    with pytest.raises(DataError, match=r"has no predictions to compare: predictions/test\.csv is missing"):
        compare(*two)
    shutil.rmtree(two[1] / "predictions")
    (two[1] / "metrics.json").unlink()
    with pytest.raises(DataError, match=r"b is not finished: go on with frostline train --resume .*b$"):
        compare(*two)


def test_one_run_is_no_comparison(two: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError, match="at least two runs"):
        compare(two[0])
    with pytest.raises(ConfigError, match="is given twice"):
        compare(two[0], two[1], two[0].parent / "." / "b" / ".." / "b")


def test_verdicts_say_which_is_better_and_how_sure_that_is(
    tmp_path: Path, draw_predictions: Draw, write_run: WriteRun
) -> None:
    weak = draw_predictions(CLASSES, pictures=300)
    sure = np.eye(3, dtype=np.float32)[weak.targets]
    good, bad = write_run(tmp_path / "good", weak.with_probabilities(sure)), write_run(tmp_path / "bad", weak)
    share = (weak.labels != weak.targets).mean()
    (better,), (worse,) = verdicts(compare(bad, good)), verdicts(compare(good, bad))
    assert better.startswith(f"good is {100 * share:.1f} points better than bad on 300 test pictures (95% interval ")
    assert worse.startswith(f"bad is {100 * share:.1f} points worse than good on 300 test pictures (95% interval ")
    assert better.endswith("McNemar p < 0.0001).")
    assert better.partition("(")[2] == worse.partition("(")[2]


def test_runs_of_one_name_are_called_by_their_paths(two: tuple[Path, Path]) -> None:
    other = two[0].parent / "other" / "a"
    shutil.copytree(two[1], other)
    assert [run.name for run in compare(two[0], other).runs] == [str(two[0]), str(other)]


def test_everything_fits_into_json(two: tuple[Path, Path]) -> None:
    comparison = compare(*two)
    values = json.loads(json.dumps(comparison.to_dict()))
    assert values["pictures"] == 60
    assert values["runs"][0]["against_first"] is None
    assert values["runs"][1]["against_first"]["p_value"] == comparison.runs[1].against_first.p_value  # type: ignore[union-attr]
    assert all(len(row.cells) == 2 for row in figure_rows(comparison))
