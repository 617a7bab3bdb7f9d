"""The section of docs/benchmarks.md on few pictures, from fewshot.py, with its plot."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from textwrap import fill
from typing import Any

from figures import Entry, grouped
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter
from tables import mean_and_deviation, mean_and_range, spread, table

from frostline.results.drawing.canvas import BLUE, ORANGE, canvas

_FEW = """## Few pictures

`python benchmarks/fewshot.py`

Some pictures of each class are drawn from the training split, others for each seed. Every tool gets the same ones as a
folder of PNG files, the same backbone, weights and input size, and the same test pictures: 200 of each class of
CIFAR-10, and the 153 that hymenoptera (ants and bees) calls validation. Every tool trains on all
that are drawn, and chooses nothing by others. Wall time is that of the whole process, from a cold start with an empty
cache to the test accuracy, of which the test's own part stands apart. ± is the standard deviation over the seeds, and
"ahead" the mean over the seeds of what frostline is ahead, with its lowest and highest.
"""

_TOOLS = {
    "frostline": "`frostline train FOLDER`, no option but the backbone: a linear probe, with so few pictures, "
    "and its calibration.",
    "frostline quick": "`--recipe quick`.",
    "scikit-learn probe": "`LogisticRegression` as it is, on features that torch computes once; and behind "
    "`StandardScaler`, as its documentation advises.",
    "fastai": "`vision_learner(...).fine_tune(5)` with `aug_transforms()`, as its documentation shows it; and with as "
    "many epochs as take about a minute. All pictures make one batch where there are fewer than 64.",
    "timm": "`train.py` with its defaults (SGD at 0.1 for 256 pictures, cosine, 5 epochs of warm-up, random crops and "
    "colours, label smoothing), made of timm's own parts (`benchmarks/peers/timm_train.py`), since the script is not "
    "in its package; with the 300 epochs that are its default, and with as many as take about a minute. All pictures "
    "make one batch where there are fewer than 128, and nothing is evaluated between the epochs.",
}
"""What the tools do."""

_LABELS = {
    "sklearn": "scikit-learn probe",
    "sklearn, standardised": "scikit-learn probe, standardised",
    "fastai": "fastai, 5 epochs",
    "timm": "timm, 300 epochs",
}
"""How tools are called whose name is not enough."""

_COLOURS = {
    "frostline": BLUE,
    "frostline quick": "#74b3e0",
    "sklearn": "#868e96",
    "sklearn, standardised": "#ced4da",
    "fastai": "#8bc99b",
    "fastai, a minute": "#2b8a3e",
    "timm, a minute": ORANGE,
    "timm": "#a84300",
}
"""By tool, in the order of the table and the legend."""

_COLUMNS = (
    "pictures a class",
    "tool",
    "runs",
    "test accuracy, %",
    "frostline is ahead by, points",
    "wall time, s",
    "of it the test, s",
)


def few_pictures(content: dict[str, Any], images: Path) -> str:
    """Accuracy and wall time by dataset, pictures a class and tool."""
    entries = sorted(
        (entry for entry in content["entries"] if entry["tool"] in _COLOURS),
        key=lambda entry: (entry["shots"], list(_COLOURS).index(entry["tool"])),
    )
    about = [
        fill(f"- {name}: {text}", 120, subsequent_indent="  ", break_on_hyphens=False) for name, text in _TOOLS.items()
    ]
    sections = [_FEW, *about, ""]
    networks = grouped(entries, "dataset", "backbone", "size")
    for (dataset, backbone, size), group in networks.items():
        sections += [f"{dataset}, {backbone} at {size} px:\n", table(_COLUMNS, _rows(group))]
    _plot(networks, images / "benchmark-few.png")
    sections.append("![Test accuracy against pictures a class, a line for each tool](images/benchmark-few.png)\n")
    return "\n".join(sections)


def _rows(entries: Sequence[Entry]) -> list[Sequence[object]]:
    rows: list[Sequence[object]] = []
    own = {(entry["shots"], entry["seed"]): entry["test_accuracy"] for entry in entries if entry["tool"] == "frostline"}
    for (shots, tool), group in grouped(entries, "shots", "tool").items():
        ahead = [
            100 * (own[shots, entry["seed"]] - entry["test_accuracy"])
            for entry in group
            if tool != "frostline" and (shots, entry["seed"]) in own
        ]
        rows.append(
            (
                shots,
                _LABELS.get(tool, tool),
                len(group),
                mean_and_deviation([100 * entry["test_accuracy"] for entry in group]),
                mean_and_range(ahead) if ahead else "",
                spread([entry["seconds"] for entry in group], ".0f"),
                spread([entry["seconds"] - entry["trained_seconds"] for entry in group], ".0f"),
            )
        )
    return rows


def _plot(networks: dict[tuple[Any, ...], list[Entry]], path: Path) -> None:
    """A panel for each dataset and network."""
    with canvas(path, 3 + 3.5 * len(networks), 4.0, "constrained") as figure:
        panels = figure.subplots(1, len(networks), squeeze=False)[0]
        for axes, ((dataset, backbone, size), entries) in zip(panels, networks.items(), strict=True):
            _draw_panel(axes, entries)
            axes.set_title(f"{dataset}, {backbone} at {size} px", fontsize="medium")
        panels[0].set_ylabel("test accuracy")
        lines = {line.get_label(): line for axes in panels for line in axes.get_lines()}
        figure.legend(list(lines.values()), list(map(str, lines)), loc="outside right upper")


def _draw_panel(axes: Axes, entries: Sequence[Entry]) -> None:
    """The mean of each tool's runs by pictures a class, with a band of a standard deviation."""
    by_tool = grouped(entries, "tool")
    for tool in (tool for tool in _COLOURS if (tool,) in by_tool):
        by_shots = sorted(grouped(by_tool[tool,], "shots").items())
        shots = [amount for (amount,), _ in by_shots]
        accuracies = [[float(entry["test_accuracy"]) for entry in group] for _, group in by_shots]
        means = [mean(values) for values in accuracies]
        spreads = [stdev(values) if len(values) > 1 else 0.0 for values in accuracies]
        low, high = ([m + sign * s for m, s in zip(means, spreads, strict=True)] for sign in (-1, 1))
        axes.fill_between(shots, low, high, color=_COLOURS[tool], alpha=0.15, linewidth=0)
        axes.plot(shots, means, marker="o", markersize=4, color=_COLOURS[tool], label=_LABELS.get(tool, tool))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sorted({entry["shots"] for entry in entries})))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("training pictures a class")
