from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from frostline.results.drawing.confusion import MOST_CLASSES_WITH_COUNTS, plot_confusion_matrix
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


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that would be saved while the test runs; drawing them takes seconds."""
    saved: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_arguments, **_options: saved.append(figure))
    return saved


@pytest.mark.parametrize("classes", [2, 8, MOST_CLASSES_WITH_COUNTS + 1])
def test_any_names_are_drawn_without_a_warning(tmp_path: Path, classes: int) -> None:
    names = tuple(f"{name} {place}" for place, name in enumerate((ODD_NAMES * classes)[:classes]))
    plot_confusion_matrix(make_metrics(names, wrong=2), tmp_path / "matrix.png")
    with Image.open(tmp_path / "matrix.png") as image:
        assert min(image.size) > 500
    assert [path.name for path in tmp_path.iterdir()] == ["matrix.png"]


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
    plot_confusion_matrix(make_metrics(tuple(map(str, range(1000)))), tmp_path / "matrix.png")
    matrix, _scale, listing = figures[0].axes
    assert len(matrix.get_yticklabels()) < 200
    assert listing.get_title("left") == "No mistakes"
    assert max(figures[0].get_size_inches() * figures[0].dpi) < 4000


@pytest.mark.parametrize(("wrong", "has_mistakes"), [(0, False), (4, True)])
def test_only_mistakes_are_orange(tmp_path: Path, figures: list[Figure], wrong: int, has_mistakes: bool) -> None:
    plot_confusion_matrix(make_metrics(("a", "b", "c"), wrong), tmp_path / "matrix.png")
    cells = np.asarray(figures[0].axes[0].images[0].get_array())[:2, :, :3]
    red_minus_blue = cells[..., 0] - cells[..., 2]
    assert (red_minus_blue > 0.2).any() == has_mistakes
    assert (red_minus_blue < -0.2).any() == (not has_mistakes)
