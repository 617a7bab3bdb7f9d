"""A comparison of runs as one HTML page that needs nothing beside it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from frostline import __version__
from frostline.files import atomic_write
from frostline.results.comparison.comparison import ComparedRun, Comparison
from frostline.results.comparison.disagreements import Kind
from frostline.results.comparison.text import figure_rows, setting_rows, verdicts
from frostline.results.drawing.canvas import Palette
from frostline.results.drawing.charts import Chart, make_chart
from frostline.results.drawing.text import drawable
from frostline.results.history import EpochRecord, best_of
from frostline.results.pages.render import render

_COLOURS = (
    *("#3b82c4", "#e0701c", "#2e9e6b", "#a06bd6", "#d64550"),
    *("#a0764a", "#d66fb0", "#24a3b5", "#8f9a2d", "#7b8794"),
)
"""Of the runs, in order; each can be told from paper and from dark."""

_DASHES = ("-", "--", ":", "-.")
"""Where there are more runs than colours."""

_FEW_EPOCHS = 40
"""Up to this many, each epoch is a dot on the line."""

_NAME_COLUMNS = 32


def colour_of(place: int) -> str:
    """The colour of a run, by its place among them."""
    return _COLOURS[place % len(_COLOURS)]


def write_comparison_page(comparison: Comparison, path: Path) -> None:
    """Write the page. Raises `OSError` where it cannot be written."""
    page = render(
        "compare.html",
        comparison=comparison,
        verdicts=verdicts(comparison),
        figures=figure_rows(comparison),
        settings=list(setting_rows(comparison)),
        charts=_charts(comparison.runs),
        titles=_titles(comparison.runs),
        colours=[colour_of(place) for place in range(len(comparison.runs))],
        version=__version__,
    )
    with atomic_write(path) as file:
        file.write(page)


def new_page(run: Path) -> Path:
    """Claim `compare-<number>.html` beside a run's folder with the next free number; the file is empty."""
    folder = run.parent if run.name not in ("", "..") else run.resolve().parent
    number = 1
    while True:
        path = folder / f"compare-{number}.html"
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return path


def _titles(runs: Sequence[ComparedRun]) -> dict[Kind, str]:
    """What each kind of disagreement is called."""
    first, *others = (run.name for run in runs)
    if len(others) == 1:
        return {
            "lost": f"Only {first} is right",
            "won": f"Only {others[0]} is right",
            "wrong": "Both are wrong, each in its own way",
        }
    return {
        "lost": f"{first} is right, another is wrong",
        "won": f"{first} is wrong, another is right",
        "wrong": "All are wrong, not in the same way",
    }


def _charts(runs: Sequence[ComparedRun]) -> list[Chart]:
    """Validation accuracy and loss of all runs; none where no run has a history."""
    if not any(run.record.history for run in runs):
        return []

    def accuracy(axes: Axes, palette: Palette) -> None:
        _draw(axes, palette, runs, lambda record: record.val_accuracy)
        axes.set_title("Validation accuracy")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))

    def loss(axes: Axes, palette: Palette) -> None:
        _draw(axes, palette, runs, lambda record: record.val_loss)
        axes.set_title("Validation loss")
        axes.legend()

    return [
        make_chart(accuracy, "Validation accuracy of all runs over the epochs"),
        make_chart(loss, "Validation loss of all runs over the epochs"),
    ]


def _draw(axes: Axes, palette: Palette, runs: Sequence[ComparedRun], value: Callable[[EpochRecord], float]) -> None:
    """One line for each run, with a ring about the epoch that it kept."""
    for place, run in enumerate(runs):
        history = run.record.history
        if not history:
            continue
        colour, dashes = colour_of(place), _DASHES[place // len(_COLOURS) % len(_DASHES)]
        axes.plot(
            [record.epoch for record in history],
            [value(record) for record in history],
            label=drawable(run.name, _NAME_COLUMNS),
            color=colour,
            linestyle=dashes,
            marker="o" if len(history) <= _FEW_EPOCHS else None,
            markersize=3.5,
        )
        best = best_of(history)
        (ring,) = axes.plot([best.epoch], [value(best)], marker="o", markersize=8, color=colour)
        ring.set_markerfacecolor(palette.paper)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
