"""What the figures of `compare.py` and `growth.py` come to, for tables and plots alike."""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

Entry = Mapping[str, Any]


def grouped(entries: Iterable[Entry], *names: str) -> dict[tuple[Any, ...], list[Entry]]:
    """Entries by their values of some names, in order of appearance."""
    groups: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(tuple(entry[name] for name in names), []).append(entry)
    return groups


def epoch_ends(run: Entry) -> list[float]:
    """When each epoch of a tool's run ended, in seconds from its start."""
    return [event["seconds"] for event in run["events"] if event["event"] == "epoch"]


def missing_epochs(run: Entry) -> int:
    """Epochs of a tool's whole training that were not run."""
    ran = len(epoch_ends(run))
    return int(run["whole_epochs"]) - ran if ran else 0


def total_seconds(run: Entry) -> float:
    """Wall time of a tool's whole training: measured, or with a usual epoch for each one that was not run.

    Usual is the median without the first one, which warms up, or trains less than the others do.
    """
    missing = missing_epochs(run)
    if missing <= 0:
        return float(run["seconds"])
    ready = next(event["seconds"] for event in run["events"] if event["event"] == "ready")
    ends = epoch_ends(run)
    epochs = [after - before for before, after in zip([ready, *ends], ends, strict=False)]
    return float(run["seconds"] + missing * median(epochs[1:] or epochs))


def reached(run: Entry) -> list[tuple[float, float]]:
    """Seconds and validation accuracy of each point of a tool's run that has one."""
    return [(event["seconds"], event["val_accuracy"]) for event in run["events"] if "val_accuracy" in event]


def test_accuracy(run: Entry) -> float:
    """Test accuracy at the end of a tool's run."""
    return float(run["events"][-1]["test_accuracy"])
