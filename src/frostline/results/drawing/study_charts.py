"""Optuna's own plots of a study, made legible, and in the look of all other charts."""

import io
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.category import StrCategoryFormatter
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter, StrMethodFormatter

from frostline.results.drawing.canvas import DARK, LIGHT, Palette, coloured
from frostline.results.drawing.charts import Chart, svg_uri

if TYPE_CHECKING:
    from matplotlib.colorbar import Colorbar
    from matplotlib.legend import Legend
    from optuna.study import Study

_ACCURACY = "validation accuracy"
_WIDE = (9.4, 3.1)
_HALF = (4.6, 3.1)
"""Inches."""

_SLICES = 3
"""Options in one row of slices."""

Draw = Callable[[Palette], Figure]


def study_charts(study: "Study", best: int) -> list[Chart]:
    """History, importances, the epochs of all trials, parallel coordinates, and slices by option.

    `best` is the number of the trial that was chosen. With fewer than two trials that were not pruned, there is only
    what can be drawn of them.
    """
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    charts = [
        _chart(partial(_history, study), "Accuracy of each trial, and the best so far"),
        _chart(partial(_epochs, study, best), "Accuracy after each epoch of each trial"),
    ]
    if len({trial.value for trial in complete}) < 2:
        return charts
    options = sorted(complete[0].params)
    charts.append(_chart(partial(_importances, study), "How much of the differences each option explains"))
    charts.append(_chart(partial(_parallel, study), "The options of each trial that was not pruned, as a line"))
    for start in range(0, len(options), _SLICES):
        some = options[start : start + _SLICES]
        charts.append(_chart(partial(_slices, study, some), f"Accuracy against {', '.join(some)}"))
    return charts


def _chart(draw: Draw, text: str) -> Chart:
    return Chart(text, *(svg_uri(_svg(draw, palette)) for palette in (LIGHT, DARK)))


def _svg(draw: Draw, palette: Palette) -> bytes:
    """What Optuna draws through pyplot, as SVG without a background."""
    if "matplotlib.pyplot" not in sys.modules:
        matplotlib.use("agg")
    from matplotlib import pyplot
    from optuna.exceptions import ExperimentalWarning

    with _house_style(palette), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", "The figure layout has changed to tight")
        figure = draw(palette)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
        pyplot.close(figure)
        return stream.getvalue()


@contextmanager
def _house_style(palette: Palette) -> Iterator[None]:
    """Matplotlib in our style, and for the style that Optuna asks for by name."""
    style = coloured(palette)
    library: dict[str, Any] = matplotlib.style.library
    before = library["ggplot"]
    library["ggplot"] = style
    try:
        with matplotlib.style.context(["default", style]):
            yield
    finally:
        library["ggplot"] = before


def _history(study: "Study", palette: Palette) -> Figure:
    from optuna.visualization.matplotlib import plot_optimization_history

    axes = plot_optimization_history(study, target_name=_ACCURACY)
    axes.collections[0].set_color(palette.grey)
    for line in axes.lines:
        line.set(color=palette.blue, alpha=1, drawstyle="steps-post", label="best so far")
    axes.collections[0].set_label("a trial that was not pruned")
    axes.legend(loc="lower right")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _finished(axes, "Trials", "trial", _ACCURACY, _HALF)


def _epochs(study: "Study", best: int, palette: Palette) -> Figure:
    from optuna.visualization.matplotlib import plot_intermediate_values

    axes = plot_intermediate_values(study)
    _drop(axes.get_legend())
    for line in axes.lines:
        chosen = line.get_label() == f"Trial{best}"
        line.set(color=palette.blue if chosen else palette.grey, alpha=1 if chosen else 0.45, markersize=3)
        line.set(linewidth=2 if chosen else 1, zorder=3 if chosen else 2)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _finished(axes, "Epochs, the best trial in blue", "epoch", _ACCURACY, _HALF)


def _importances(study: "Study", palette: Palette) -> Figure:
    from optuna.visualization.matplotlib import plot_param_importances

    axes = plot_param_importances(study)
    _drop(axes.get_legend())
    for bar in axes.patches:
        bar.set_color(palette.blue)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    return _finished(axes, "Importances (PED-ANOVA)", "part of the differences", "", _HALF)


def _parallel(study: "Study", palette: Palette) -> Figure:
    from optuna.visualization.matplotlib import plot_parallel_coordinate

    first = plot_parallel_coordinate(study, target_name="accuracy")
    figure = first.figure
    assert isinstance(figure, Figure)
    lines = first.collections[0]
    _drop(lines.colorbar)
    lines.set(cmap=_shades(palette), linewidth=1.4)
    for axes in figure.axes:
        axes.set_position((0.05, 0.2, 0.9, 0.68))
        axes.grid(visible=False)
        _plain_numbers(axes.yaxis)
        for label in axes.get_yticklabels():
            label.set(fontsize=7, color=palette.ink, path_effects=[withStroke(linewidth=3, foreground=palette.paper)])
    names = [label.get_text().replace("_", "\n") for label in first.get_xticklabels()]
    first.set_xticks(first.get_xticks(), names, rotation=0, fontsize=8)
    first.set_title("Options of the trials, the better the bluer")
    figure.set_size_inches(*_WIDE)
    return figure


def _slices(study: "Study", options: list[str], palette: Palette) -> Figure:
    from optuna.visualization.matplotlib import plot_slice

    drawn = plot_slice(study, params=options, target_name=_ACCURACY)
    panels = [drawn] if isinstance(drawn, Axes) else list(drawn)
    figure = panels[0].figure
    figure.suptitle("")
    _drop(panels[-1].collections[0].colorbar)
    for panel in panels:
        panel.collections[0].set(cmap=_shades(palette), edgecolor=palette.blue)
        panel.set_title("")
        _plain_numbers(panel.xaxis)
        panel.tick_params(axis="x", labelsize=8)
        panel.yaxis.set_major_formatter(PercentFormatter(1.0))
    return _finished(panels[0], "", panels[0].get_xlabel(), _ACCURACY, (_WIDE[0] * max(len(panels), 2) / _SLICES, 2.4))


def _drop(part: "Legend | Colorbar | None") -> None:
    """Remove a part of a drawing, if it is there."""
    if part is not None:
        part.remove()


def _plain_numbers(axis: Axis) -> None:
    """Label a logarithmic axis with numbers such as 0.002, and choices without quotation marks."""
    if axis.get_scale() == "log":
        axis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    elif isinstance(formatter := axis.get_major_formatter(), StrCategoryFormatter):
        places = axis.get_major_locator()()
        axis.set_ticks(places, [text.strip("'") for text in formatter.format_ticks(places)])


def _shades(palette: Palette) -> Any:
    """From what is hardly seen to what stands out."""
    return LinearSegmentedColormap.from_list("shades", [palette.grid, palette.blue])


def _finished(axes: Axes, title: str, x_label: str, y_label: str, size: tuple[float, float]) -> Figure:
    """Name a drawing in our words, and bring its figure to this size in inches."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.set_layout_engine("constrained")
    figure.set_size_inches(*size)
    axes.set_title(title)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    return figure
