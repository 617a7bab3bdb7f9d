from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from frostline.results.confusion import MOST_CLASSES_WITH_COUNTS, plot_confusion_matrix
from frostline.results.metrics import Metrics, compute_metrics
from frostline.results.predictions import Predictions

ODD_NAMES = ("a_$x$_b", "🐱", "猫", "شجرة", "קנגורו", "a_name_that_is_much_too_long_for_any_label", "new\nline", "८")


def make_metrics(class_names: tuple[str, ...], wrong: int = 0) -> Metrics:
    """Four pictures of every class but the last; `wrong` of each are taken for the next class."""
    classes = len(class_names)
    targets = np.repeat(np.arange(classes - 1, dtype=np.int64), 4)
    labels = np.where(np.arange(len(targets)) % 4 < wrong, targets + 1, targets)
    probabilities = np.eye(classes, dtype=np.float32)[labels]
    return compute_metrics(Predictions(("x",) * len(targets), targets, probabilities, class_names), "test")


def pixels(path: Path) -> NDArray[np.int64]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int64)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that is saved while the test runs."""
    saved: list[Figure] = []
    save = Figure.savefig

    def remember(figure: Figure, *arguments: object, **options: object) -> None:
        saved.append(figure)
        save(figure, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Figure, "savefig", remember)
    return saved


@pytest.mark.parametrize("class_names", [("ants", "bees"), ODD_NAMES])
def test_few_classes_show_their_counts(tmp_path: Path, figures: list[Figure], class_names: tuple[str, ...]) -> None:
    plot_confusion_matrix(make_metrics(class_names, wrong=1), tmp_path / "matrix.png")
    matrix, _scale = figures[0].axes
    texts = [text.get_text() for text in matrix.texts]
    assert texts.count("3") == texts.count("1") == len(class_names) - 1
    assert texts.count("no pictures") == 1
    assert len(texts) == len(class_names) * (len(class_names) - 1) + 1


@pytest.mark.parametrize("classes", [MOST_CLASSES_WITH_COUNTS + 1, 100])
def test_many_classes_show_a_list_and_every_label(tmp_path: Path, figures: list[Figure], classes: int) -> None:
    names = (ODD_NAMES * classes)[:classes]
    plot_confusion_matrix(
        make_metrics(tuple(f"{name} {n}" for n, name in enumerate(names)), 2), tmp_path / "matrix.png"
    )
    matrix, _scale, listing = figures[0].axes
    assert [text.get_text() for text in matrix.texts] == ["no pictures"]
    assert len(matrix.get_yticklabels()) == len(matrix.get_xticklabels()) == classes
    assert listing.get_title("left") == "Largest confusions"
    assert [text.get_text() for text in listing.texts[6:8]] == ["2", "50%"]


def test_hundreds_of_classes_stay_within_a_size_that_opens(tmp_path: Path, figures: list[Figure]) -> None:
    plot_confusion_matrix(make_metrics(tuple(map(str, range(400)))), tmp_path / "matrix.png")
    matrix, _scale, listing = figures[0].axes
    assert len(matrix.get_yticklabels()) < 200
    assert listing.get_title("left") == "No mistakes"
    assert max(pixels(tmp_path / "matrix.png").shape) < 4000


@pytest.mark.parametrize(("wrong", "has_mistakes"), [(0, False), (4, True)])
def test_only_mistakes_are_orange(tmp_path: Path, figures: list[Figure], wrong: int, has_mistakes: bool) -> None:
    plot_confusion_matrix(make_metrics(("a", "b", "c"), wrong), tmp_path / "matrix.png")
    cells = np.asarray(figures[0].axes[0].images[0].get_array())[:2, :, :3]
    red_minus_blue = cells[..., 0] - cells[..., 2]
    assert (red_minus_blue > 0.2).any() == has_mistakes
    assert (red_minus_blue < -0.2).any() == (not has_mistakes)
