"""Make docs/benchmarks.md and its plot from the figures of `compare.py`: `python benchmarks/report.py`."""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

from frostline.results.canvas import canvas

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"

LABELS = {
    "keras": "Keras script",
    "fastai": "fastai fine_tune",
    "torch": "PyTorch loop",
    "sklearn": "scikit-learn probe",
}

_HEAD = """# Benchmarks

Made by `python benchmarks/report.py` from `benchmarks/results.json`, which `compare.py` writes. All tools train on the
same 45,000 pictures of CIFAR-10, choose on the same 5,000 and are tested on the same 10,000, from the same pretrained
MobileNetV2 weights, one after another on one machine. Times are whole processes, from a cold start to the test
accuracy, imports, decoding and evaluation included.
"""


def total_seconds(run: dict[str, Any]) -> float:
    """Wall time of a whole training: measured, or for one that ran few epochs, with the median epoch for the others."""
    epochs = [event["seconds"] for event in run["events"] if event["event"] == "epoch"]
    missing = (run["full_epochs"] or len(epochs)) - len(epochs)
    if missing <= 0:
        return float(run["seconds"])
    ready = next(event["seconds"] for event in run["events"] if event["event"] == "ready")
    steps = [after - before for before, after in zip([ready, *epochs], epochs, strict=False)]
    return float(run["seconds"] + missing * median(steps))


def spread(values: list[float], form: str) -> str:
    """The median, and lowest to highest where there are several."""
    middle = format(median(values), form)
    return middle if len(values) == 1 else f"{middle} ({min(values):{form}} to {max(values):{form}})"


def table(runs: list[dict[str, Any]]) -> str:
    """One row for each tool."""
    lines = ["| tool | runs | test accuracy | wall time, s | peak memory, GB |", "|---|---|---|---|---|"]
    for name, group in by_tool(runs).items():
        partial = any(total_seconds(run) != run["seconds"] for run in group)
        times = spread([total_seconds(run) for run in group], ",.0f") + (" *" if partial else "")
        accuracies = [run["events"][-1]["test_accuracy"] for run in group]
        shown = "not trained to its end *" if partial else spread(accuracies, ".4f")
        memory = spread([run["peak_bytes"] / 1e9 for run in group], ".2f")
        lines.append(f"| {LABELS.get(name, name)} | {len(group)} | {shown} | {times} | {memory} |")
    return "\n".join(lines)


def by_tool(runs: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The runs of each tool."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        groups[run["tool"]].append(run)
    return groups


def plot(runs: list[dict[str, Any]], path: Path) -> None:
    """Validation accuracy against wall time, a line for each tool's first run."""
    with canvas(path, 8.0, 4.5, "constrained") as figure:
        axes = figure.subplots()
        for name, group in by_tool(runs).items():
            points = [(e["seconds"], e["val_accuracy"]) for e in group[0]["events"] if "val_accuracy" in e]
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=LABELS.get(name, name))
        axes.set_xscale("log")
        axes.set_xlabel("seconds from the start of the process")
        axes.set_ylabel("validation accuracy")
        axes.legend(loc="lower right")


def main() -> None:
    """Write the page and the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=HERE / "results.json")
    results = json.loads(parser.parse_args().results.read_text(encoding="utf-8"))
    machine = results["machine"]
    plot(results["runs"], DOCS / "images" / "benchmark.png")
    note = (
        "\\* Few epochs were run. Wall time is what they took and the median epoch for each that is missing of the "
        "tool's whole training: 30 epochs of the Keras script and the PyTorch loop, 5 of fastai after its first one.\n"
    )
    text = "\n".join(
        [
            _HEAD,
            f"Machine: {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}.\n",
            table(results["runs"]),
            "",
            note,
            "![Validation accuracy against wall time](images/benchmark.png)",
            "",
        ]
    )
    (DOCS / "benchmarks.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
