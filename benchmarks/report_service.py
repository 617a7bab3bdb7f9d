"""The sections of docs/benchmarks.md on the service and on many pictures, from serve.py and predict.py."""

from collections.abc import Sequence
from typing import Any

from figures import Entry, grouped
from tables import spread, table

_SERVICE = """## The service

`python benchmarks/serve.py RUN PICTURES`

`frostline serve` beside a plain starlette handler that decodes by Pillow, prepares by torchvision and computes by torch
(`benchmarks/peers/starlette_server.py`). Clients are in one process of their own on the same two cores; each has one
connection, and sends the next JPEG as soon as it has its answer. An export is served by ONNX Runtime.
"""

_MANY = """## Many pictures

`python benchmarks/predict.py`

`frostline predict FOLDER --csv` of a network made for tests, at 32 px, on links to few files: in one folder (flat), or
in folders of 1,000 (tree). Memory is the largest of the process, without pages of files. Other work ran on the machine,
so speeds are low.
"""


def service(content: dict[str, Any]) -> str:
    """Throughput and latency by clients."""
    sections = [_SERVICE]
    for (network,), entries in grouped(content["entries"], "network").items():
        kilobytes = entries[0]["mean_bytes"] / 1000
        sections.append(f"{network}, {entries[0]['pictures']} JPEG files of {kilobytes:.0f} kB in the mean:\n")
        plain = {
            clients: [entry["pictures_per_second"] for entry in group]
            for (name, clients), group in grouped(entries, "service", "clients").items()
            if name == "plain starlette"
        }
        rows = [_service_row(*key, group, plain[key[1]]) for key, group in _by_clients(entries)]
        columns = ("clients", "service", "pictures/s", "over the plain one", "p50, ms", "p99, ms", "failures")
        sections.append(table(columns, rows))
    return "\n".join(sections)


def _by_clients(entries: Sequence[Entry]) -> list[tuple[tuple[Any, ...], list[Entry]]]:
    groups = grouped(entries, "service", "clients")
    return sorted(groups.items(), key=lambda item: int(item[0][1]))


def _service_row(name: str, clients: int, group: Sequence[Entry], plain: Sequence[float]) -> Sequence[str]:
    rates = [entry["pictures_per_second"] for entry in group]
    return (
        str(clients),
        name,
        spread(rates, ".0f"),
        spread([rate / other for rate, other in zip(rates, plain, strict=True)], ".1f"),
        spread([entry["p50_ms"] for entry in group], ".0f"),
        spread([entry["p99_ms"] for entry in group], ".0f"),
        str(sum(entry["failures"] for entry in group)),
    )


def many_pictures(content: dict[str, Any]) -> str:
    """Memory and speed by the number of files."""
    rows = [
        (
            entry["case"],
            f"{entry['pictures']:,}",
            f"{entry['peak_own_bytes'] / 1e6:.0f}",
            f"{entry['pictures_per_second']:,.0f}",
        )
        for entry in content["entries"]
    ]
    return "\n".join([_MANY, table(("folders", "pictures", "peak memory, MB", "pictures/s"), rows)])
