"""The section of docs/benchmarks.md on a GPU."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from tables import spread, table

Row = Mapping[str, Any]

_UNKNOWN = "not measured"

_HEAD = """## On a GPU

`make bench-gpu GPU_DATA=FOLDER GPU_WEIGHTS=FOLDER`
"""

_ABOUT = """CIFAR-10 on one GPU: {where}. Pretraining is not counted: the networks start from ImageNet weights,
cifar10-airbench from none. Seconds are from decoded pictures in the processor's memory to the accuracy on the 10,000
test pictures; *cold* is the first training of a process, compiling included, *warm* every later one. {seeds}"""

_GOALS = {
    "accuracy": ("{backbone} to 96.5% in 30 s", "mobilenetv2_100"),
    "fast": ("{backbone} to 94% in 2 s", "best backbone"),
    "faster": ("{backbone} to 96% in 10 s", "best backbone"),
}


def on_a_gpu(path: Path) -> str:
    """The section, from the figures in a file; what was not measured on a GPU says so."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    machine = content.get("machine", {})
    measured = machine.get("device") in ("cuda", "mps") and content.get("pictures") is None
    rows: Mapping[str, Row] = content["rows"] if measured else {}
    where = "none was at hand, so that nothing here is measured"
    if measured:
        versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items() if number)
        where = f"{machine['card']}, driver {machine['driver']}, Python {machine['python']}, {versions}"
    most = max((len(rows[name]["accuracy"]) for name in _GOALS if name in rows), default=0)
    seeds = f"Accuracies and warm seconds are of {most} seeds." if most else ""
    lines = [*(_goal(name, rows.get(name)) for name in _GOALS), _airbench(rows.get("airbench"))]
    lines += [*_rates(rows.get("rates")), _repeats(rows)]
    columns = ("what", "measured", "cold, s", "warm, s")
    about = fill(_ABOUT.format(where=where, seeds=seeds), 120)
    return "\n".join([_HEAD, about, "", table(columns, lines)])


def _goal(name: str, row: Row | None) -> Sequence[str]:
    text, backbone = _GOALS[name]
    if row is None:
        return text.format(backbone=backbone), _UNKNOWN, "", ""
    what = text.format(backbone=f"{row['backbone']} at {row['size']} px")
    reached = f"{spread([100 * each for each in row['accuracy']], '.2f')}%"
    return what, reached, f"{row['cold_seconds']:.1f}", spread(row["seconds"], ".2f")


def _airbench(row: Row | None) -> Sequence[str]:
    what = "cifar10-airbench on the same card"
    if row is None:
        return what, _UNKNOWN, "", ""
    accuracy = spread([100 * each for each in row["accuracy"]], ".2f")
    return f"{what} ({row['script']})", f"{accuracy}%", "", spread(row["seconds"], ".2f")


def _rates(row: Row | None) -> list[Sequence[str]]:
    names = (
        "training the whole network at 128 px, at least 25,000 pictures/s, batches on the device",
        "frozen layers at 128 px, at least 120,000 pictures/s",
        "end to end over batches on the device, at least 90%, pictures on the device",
        "the same, pictures streamed from the processor's memory",
    )
    if row is None:
        return [(name, _UNKNOWN, "", "") for name in names]
    shares = [row[name] / row["train_on_device"] for name in ("train_end_to_end", "train_streamed")]
    found = (f"{row['train_on_device']:,.0f}", f"{row['frozen']:,.0f}", *(f"{share:.0%}" for share in shares))
    cold = ("", f"{row['frozen_cold_seconds']:.1f}", "", "")
    return [(name, figure, first, "") for name, figure, first in zip(names, found, cold, strict=True)]


def _repeats(rows: Mapping[str, Row]) -> Sequence[str]:
    what = "the same training twice, one after the other"
    trained = [rows[name] for name in _GOALS if name in rows]
    if not trained:
        return what, _UNKNOWN, "", ""
    if all(row["repeats_bit_for_bit"] for row in trained):
        return what, "losses are the same bit for bit", "", ""
    return what, f"losses differ by up to {max(row['loss_difference'] for row in trained):.1e}", "", ""
