from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from frostline.results.drawing.charts import curve_charts
from frostline.results.drawing.plots import plot_curves
from frostline.results.history import EpochRecord


def make_history(val_losses: list[float]) -> list[EpochRecord]:
    return [
        EpochRecord(epoch, 1.0, 0.5, val_loss, 0.8, 1e-4 / epoch, 10.0, 100.0)
        for epoch, val_loss in enumerate(val_losses, start=1)
    ]


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


@pytest.mark.parametrize("epochs", [1, 60])
def test_curves_mark_the_epoch_that_is_kept(tmp_path: Path, figures: list[Figure], epochs: int) -> None:
    val_losses = [1 + abs(epoch - epochs // 2) / 10 for epoch in range(epochs)]
    plot_curves(make_history(val_losses), tmp_path / "curves.png")
    best = int(np.argmin(val_losses)) + 1
    loss, accuracy, rate = figures[0].axes
    assert loss.get_title("right") == f"best epoch {best}: validation 1.000"
    assert accuracy.get_title("right") == f"best epoch {best}: validation 80.0%"
    np.testing.assert_array_equal(np.asarray(loss.lines[1].get_ydata()), val_losses)
    np.testing.assert_array_equal(np.asarray(rate.lines[0].get_ydata()), 1e-4 / np.arange(1, epochs + 1))
    with Image.open(tmp_path / "curves.png") as image:
        assert image.width > 1500


def test_no_epoch_is_said(tmp_path: Path, figures: list[Figure]) -> None:
    plot_curves([], tmp_path / "curves.png")
    assert figures[0].texts[0].get_text().startswith("No epoch was finished")


def test_the_same_history_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        plot_curves(make_history([0.9, 0.8]), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_start_alone_is_no_curve() -> None:
    start = EpochRecord(0, 1.0, 0.5, 1.0, 0.8, 0.0, 10.0, 100.0)
    assert curve_charts([]) == curve_charts([start]) == []
    assert len(curve_charts([start, *make_history([1.0])])) == 3
