from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frostline.errors import DataError
from frostline.results.predictions import Predictions, join_predictions, load_predictions, save_predictions

ODD_NAMES = ("path", "a,b", 'say "x"', "p(q)", "line\r\nbreak", "🐱", "שלום", "$x_1$")


def random_predictions(pictures: int, class_names: tuple[str, ...]) -> Predictions:
    random = np.random.default_rng(pictures)
    scores = random.normal(0, 8, (pictures, len(class_names)))
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return Predictions(
        tuple(f"test/{index}\r,{class_names[0]}.jpg" for index in range(pictures)),
        random.integers(0, len(class_names), pictures),
        probabilities.astype(np.float32),
        class_names,
        random.random(pictures, dtype=np.float32) if pictures else None,
    )


def assert_same(found: Predictions, expected: Predictions) -> None:
    """All of them, bit for bit."""
    assert found.paths == expected.paths
    assert found.class_names == expected.class_names
    assert found.targets.dtype == np.int64
    assert found.probabilities.dtype == np.float32
    np.testing.assert_array_equal(found.targets, expected.targets)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert (found.distances is None) == (expected.distances is None)
    if found.distances is not None and expected.distances is not None:
        assert found.distances.dtype == np.float32
        np.testing.assert_array_equal(found.distances, expected.distances)


@pytest.mark.parametrize("class_names", [("ants", "bees"), ODD_NAMES])
@pytest.mark.parametrize("pictures", [0, 1, 200])
def test_saved_predictions_come_back_bit_for_bit(tmp_path: Path, pictures: int, class_names: tuple[str, ...]) -> None:
    predictions = random_predictions(pictures, class_names)
    save_predictions(predictions, tmp_path / "test.csv")
    assert_same(load_predictions(tmp_path / "test.csv"), predictions)


def test_predictions_without_distances_come_back_without(tmp_path: Path) -> None:
    predictions = replace(random_predictions(5, ("ants", "bees")), distances=None)
    save_predictions(predictions, tmp_path / "test.csv")
    assert_same(load_predictions(tmp_path / "test.csv"), predictions)


def test_extreme_probabilities_come_back(tmp_path: Path) -> None:
    tiny = np.finfo(np.float32).smallest_subnormal
    probabilities = np.array([[0, 1], [tiny, 1], [np.nextafter(np.float32(0.5), 1), 0.5]], dtype=np.float32)
    predictions = Predictions(("a", "b", "c"), np.zeros(3, dtype=np.int64), probabilities, ("x", "y"))
    save_predictions(predictions, tmp_path / "test.csv")
    np.testing.assert_array_equal(load_predictions(tmp_path / "test.csv").probabilities, probabilities)


def test_labels_and_confidences() -> None:
    probabilities = np.array([[0.2, 0.8], [0.5, 0.5]], dtype=np.float32)
    predictions = Predictions(("a", "b"), np.array([0, 1]), probabilities, ("x", "y"))
    assert len(predictions) == 2
    assert predictions.labels.tolist() == [1, 0]
    np.testing.assert_array_equal(predictions.confidences, np.array([0.8, 0.5], dtype=np.float32))


def test_shapes_must_fit() -> None:
    with pytest.raises(ValueError, match="2 paths and 2 class names"):
        Predictions(("a", "b"), np.array([0]), np.zeros((2, 2), dtype=np.float32), ("x", "y"))
    predictions = random_predictions(2, ("x", "y"))
    with pytest.raises(ValueError, match="do not fit 2 pictures"):
        replace(predictions, distances=np.zeros(3, dtype=np.float32))


@pytest.mark.parametrize("measured", [True, False])
def test_some_of_the_pictures_in_an_order_of_ones_own(measured: bool) -> None:
    predictions = random_predictions(6, ODD_NAMES)
    if not measured:
        predictions = replace(predictions, distances=None)
    rows = np.array([5, 0, 3])
    some = predictions.take(rows)
    assert some.paths == tuple(predictions.paths[row] for row in rows)
    assert_same(some.take(np.array([1])), predictions.take(np.array([0])))
    assert_same(predictions.take(np.arange(6)), predictions)
    assert len(predictions.take(np.array([], dtype=np.int64))) == 0


def test_joined_parts_are_the_whole() -> None:
    predictions = random_predictions(7, ODD_NAMES)
    parts = [predictions.take(rows) for rows in np.split(np.arange(7), [2, 3])]
    assert_same(join_predictions(parts), predictions)
    assert_same(join_predictions(parts[:1]), parts[0])


def test_a_part_without_distances_leaves_the_whole_without() -> None:
    predictions = random_predictions(4, ("x", "y"))
    whole = join_predictions([predictions, replace(predictions, distances=None)])
    assert_same(whole.take(np.arange(4, 8)), replace(predictions, distances=None))


def test_other_probabilities_of_the_same_pictures() -> None:
    predictions = random_predictions(4, ("x", "y"))
    turned = predictions.with_probabilities(predictions.probabilities[:, ::-1])
    np.testing.assert_array_equal(turned.confidences, predictions.confidences)
    assert_same(turned.with_probabilities(predictions.probabilities), predictions)


HEADER = "path,target,predicted,confidence,distance,p(x),p(y)\n"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "its columns should be path, target"),
        ("path,label,split\na,x,train\n", 1, "its columns should be"),
        ("path,target,predicted,confidence,p(x),p(y)\n", 1, "its columns should be"),
        (HEADER + "a,x,x,1,,1,0\nb,z,x,1,,1,0\n", 3, "'z'"),
        (HEADER + "a,x,x,1,,1\n", 2, "1 probabilities for 2 classes"),
        (HEADER + "a,x\n", 2, "not enough values"),
        (HEADER + "a,x,x,1,,one,0\n", 2, "one"),
        (HEADER + "a,x,x,1,,nan,0\n", 2, "not between 0 and 1"),
        (HEADER + "a,x,x,1,,1.5,0\n", 2, "not between 0 and 1"),
        (HEADER + "a,x,x,1,near,1,0\nb,x,x,1,0.5,1,0\n", 2, "near"),
        (HEADER + "a,x,x,1,0.5,1,0\nb,x,x,1,,1,0\nc,x,x,1,0.5,1,0\n", 3, "others have none"),
        (HEADER + "a,x,x,1,,1,0\nb,x,x,1,0.5,1,0\n", 3, "others have none"),
    ],
)
def test_a_wrong_table_is_named_with_its_line(tmp_path: Path, text: str, line: int, reason: str) -> None:
    path = tmp_path / "test.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as raised:
        load_predictions(path)
    message = str(raised.value)
    assert message.startswith(f"{path}, line {line}: ")
    assert reason in message
    assert "\n" not in message


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(DataError, match=r"picture\.png, line 1: not a table of predictions"):
        load_predictions(path)
