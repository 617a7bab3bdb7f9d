"""Make docs/benchmarks.md and its plots from the figures in benchmarks/results: `python benchmarks/report.py`."""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median, mode
from textwrap import fill
from typing import Any

from figures import Entry, epoch_ends, grouped, missing_epochs, test_accuracy, total_seconds
from growth import fit_growth, fit_slope
from measure import HERE, RESULTS
from plots import COLOURS, LABELS, plot_comparison, plot_growth
from report_deploy import exports, installation
from report_doctor import duplicates, labels
from report_fewshot import few_pictures
from report_gains import gains
from report_gpu import on_a_gpu
from report_service import many_pictures, service
from tables import spread, table

DOCS = HERE.parent / "docs"

Content = dict[str, Any]
"""What a file of figures holds: `machine`, `settings` and `entries`."""

_INTRODUCTION = """# Benchmarks

How long frostline takes, alone and beside other tools, and how much memory. Each command below adds its figures to
`benchmarks/results/`, and `make bench-report` makes this page from them. The commands need the folders that
`FROSTLINE_DATA` and `FROSTLINE_WEIGHTS` name; `make bench` runs all but `serve.py`, which wants a run of yours.

Where a thing was measured several times, a figure is the median, with the lowest and the highest.
"""

_COMPARISON = """## Beside other tools

`python benchmarks/compare.py --arrays FOLDER`, after `python benchmarks/prepare.py FOLDER`

CIFAR-10. All tools train on the same {train:,} pictures, choose on the same {val:,} and are tested on the same
{test:,}, one tool after another. Wall time is that of the whole process, from a cold start with an empty cache to the
test accuracy: imports, decoding and evaluation are in it. Every `mobilenetv2_100` starts from the same weights. Times
faster is the Keras script's wall time over that of the row.
"""

_FORMER_COMPARISON = """## Beside other tools, on AVX2

The same on an older processor, before frostline's recipes trained more layers of larger pictures, with peers that were
not measured again.
"""

_TOOLS = {
    "frostline 1 epoch, MobileNetV2": "the recipe `fast` with `--backbone mobilenetv2_100 --size 96 "
    "--trainable-layers 60 --epochs 1`; the other rows of frostline's are recipes with no more than another backbone.",
    "keras": "the last 20 layers, Adam at 1e-4, `ImageDataGenerator`, batches of 64, 30 epochs.",
    "torch": "the same layers, rate, augmentation, batches and epochs as the Keras script, with `DataLoader` and "
    "torchvision's transforms. What is frozen stays in evaluation mode.",
    "fastai": "`vision_learner(...).fine_tune(5)` with `aug_transforms()`, as its documentation shows it: an epoch of "
    "the head, then five of the whole network.",
    "sklearn": "`LogisticRegression` on the network's standardised features, which torch computes once.",
}
"""What is done where a tool's name does not say it."""

_FEW_EPOCHS = """\\* Few epochs were run. Wall time is what they took, and for each epoch that is missing of the tool's
whole training the median epoch, the first one left out. Rates of fastai fall over the epochs that it is asked for, so
its accuracy is that of a short training.
"""

_TRUNK = """### The trunk

The trunk of {backbone} below its last 20 layers at 96 px, on {pictures:,} pictures, in turns with OpenVINO's own
`benchmark_app` on the same converted model (float32, throughput hint, batches of 16, inputs that stay in memory):
"""

_EPOCHS = """### An epoch

The last 20 layers at 96 px, batches of {batch_size}, seconds of the training part of an epoch of {pictures:,} pictures.
Uncached, pictures go through the trunk in every epoch; cached, once for each view.
"""

_VIEWS = """### Augmentation

What making the network's input takes, with the default augmentation. The first view of each picture is plain, that is
resized and no more; the others are varied.
"""

_MEMORY = """## Memory

`python benchmarks/memory.py`

Largest memory of the process and its children together. The growing datasets are folders of made JPEG pictures of 256
px, no two files alike, at `--size 64`: `quick` is `--recipe quick`, `train` an epoch of the default options.
"""

_GROWTH = """## Growth

`python benchmarks/growth.py -- OPTIONS`

Wall time of `frostline train cifar10 OPTIONS` on class-balanced parts of CIFAR-10, of which a tenth validates and the
test split shrinks in proportion. The exponent tells how time grows with the pictures, or with the pixels of the input
(the square of its side): 1 is in proportion. Beside it stands that of the growing part alone, from t = a + b n^c with
the start-up a.
"""


def gigabytes(entries: Iterable[Entry]) -> str:
    """Peak memory."""
    return spread([entry["peak_bytes"] / 1e9 for entry in entries], ".2f")


def comparison(content: Content, images: Path, text: str = _COMPARISON, plot_name: str = "benchmark.png") -> str:
    """A section on other tools."""
    runs = sorted(content["entries"], key=lambda run: list(COLOURS).index(run["tool"]))
    plot_comparison(runs, images / plot_name)
    rows = []
    keras = [total_seconds(run) for run in runs if run["tool"] == "keras"]
    for (name, network), group in grouped(runs, "tool", "network").items():
        star = " *" if missing_epochs(group[0]) > 0 else ""
        accuracy = spread(map(test_accuracy, group), ".4f")
        if star:
            accuracy += f" after {len(epoch_ends(group[0]))} of {group[0]['whole_epochs']} epochs *"
        times = spread(map(total_seconds, group), ",.0f") + star
        faster = spread([median(keras) / total_seconds(run) for run in group], ".1f") if keras else ""
        rows.append((LABELS.get(name, name), network, len(group), accuracy, times, faster, gigabytes(group)))
    columns = ("tool", "network", "runs", "test accuracy", "wall time, s", "times faster", "peak memory, GB")
    note = [_FEW_EPOCHS] if any(missing_epochs(run) > 0 for run in runs) else []
    plot = (
        "![Validation accuracy against wall time: a line for each tool's first run, dotted until the end of a whole "
        f"training where few epochs were run](images/{plot_name})\n"
    )
    measured = {run["tool"] for run in runs}
    tools = [
        fill(f"- {LABELS.get(name, name)}: {text}", 120, subsequent_indent="  ", break_on_hyphens=False)
        for name, text in _TOOLS.items()
        if name in measured
    ]
    about = [*tools, ""] if tools else []
    return "\n".join([text.format(**content["settings"]), *about, table(columns, rows), *note, plot])


def parts(content: Content, images: Path) -> str:
    """The section on the parts of a training."""
    found = {name: group for (name,), group in grouped(content["entries"], "part").items()}
    texts = ["## Parts\n\n`python benchmarks/parts.py`\n"]
    if "matmul" in found:
        rates = found["matmul"][0]["figures"]
        one, all_ = (spread(rates[name], ".0f") for name in ("one_thread", "all_threads"))
        texts.append(
            "What the machine can do: torch multiplies two float32 matrices of 1,024 x 1,024 at\n"
            f"{one} GFLOP/s on one thread and {all_} on all.\n"
        )
    if "trunk" in found:
        texts += [_trunk(entry) for entry in found["trunk"]]
    if "epoch" in found:
        texts += [_epochs(found["epoch"]), _views(found["epoch"])]
    return "\n".join(texts)


def _trunk(entry: Entry) -> str:
    figures = entry["figures"]
    names = {
        "benchmark_app": "`benchmark_app`",
        "engine": "frostline's engine alone",
        "fill": "the pass that fills the cache: views, engine, float16, files",
    }
    rows = [
        (words, spread(figures[name], ",.0f"), spread(_ratios(figures[name], figures["benchmark_app"]), ".2f"))
        for name, words in names.items()
    ]
    return "\n".join([_TRUNK.format(**entry), table(("what", "pictures/s", "over benchmark_app"), rows)])


def _epochs(entries: Sequence[Entry]) -> str:
    columns = ("backbone", "uncached", "cached", "uncached over cached", "filling the cache with one view")
    rows = []
    for entry in entries:
        figures = entry["figures"]
        ratio = spread(_ratios(figures["uncached"], figures["cached"]), ".1f")
        rows.append((entry["backbone"], *(spread(figures[name], ".2f") for name in ("uncached", "cached")), ratio))
        rows[-1] = (*rows[-1], spread(figures["fill"], ".2f"))
    return "\n".join([_EPOCHS.format(**entries[0]), table(columns, rows)])


def _views(entries: Sequence[Entry]) -> str:
    views, epochs = entries[0]["views"], entries[0]["epochs"]
    columns = (
        "backbone",
        "varied views: part of an uncached epoch",
        "plain views: part of an uncached epoch",
        f"all {views} views: part of filling the cache with them and {epochs} cached epochs",
    )
    rows = []
    for entry in entries:
        middle = {name: median(values) for name, values in entry["figures"].items()}
        plain, varied = middle["plain_views"], middle["varied_views"]
        whole = views * middle["fill"] + epochs * middle["cached"]
        shares = (varied / middle["uncached"], plain / middle["uncached"], (plain + (views - 1) * varied) / whole)
        rows.append((entry["backbone"], *(f"{share:.1%}" for share in shares)))
    return "\n".join([_VIEWS, table(columns, rows)])


def _ratios(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """Round by round."""
    return [value / other for value, other in zip(values, others, strict=True)]


def memory(content: Content, images: Path) -> str:
    """The section on memory."""
    rows: list[Sequence[str]] = []
    for (case,), group in grouped(content["entries"], "case").items():
        name = f"`frostline train cifar10 {group[0]['options']}`" if case == "cifar10" else case
        before: Entry | None = None
        for entry in sorted(group, key=lambda entry: entry["pictures"]):
            more = "" if before is None else f"{_growth_a_picture(before, entry) / 1e3:.1f}"
            own = f"{entry['peak_own_bytes'] / 1e9:.2f}"
            rows.append((name, f"{entry['pictures']:,}", gigabytes([entry]), own, more))
            before = entry
    columns = ("run", "pictures", "peak memory, GB", "without files, GB", "kB of it for each picture more")
    return "\n".join([_MEMORY, table(columns, rows)])


def _growth_a_picture(before: Entry, after: Entry) -> float:
    """Bytes for each picture that one run has more than another one."""
    return float((after["peak_own_bytes"] - before["peak_own_bytes"]) / (after["pictures"] - before["pictures"]))


def growth(content: Content, images: Path) -> str:
    """The section on how wall time grows."""
    entries = content["entries"]
    plot_growth(entries, images / "benchmark-growth.png")
    columns = ("options", "what grows", "wall time, s", "exponent", "exponent without start-up", "start-up, s")
    rows = [_growth_row(given, axis, group) for (given, axis), group in grouped(entries, "options", "axis").items()]
    plot = "![Wall time against pictures and against input size](images/benchmark-growth.png)\n"
    return "\n".join([_GROWTH, table(columns, rows), plot])


def _growth_row(options: str, axis: str, group: Sequence[Entry]) -> Sequence[str]:
    listed = sorted(grouped(group, axis, "epochs").items())
    differ = len({epochs for (_, epochs), _ in listed}) > 1
    shown = []
    for (amount, epochs), same in listed:
        times = spread([entry["seconds"] for entry in same], ",.0f")
        shown.append(f"{amount:,}: {times}" + (f" in {epochs} epochs" if differ else ""))
    what = "pictures" if axis == "pictures" else f"side in pixels, {group[0]['pictures']:,} pictures"
    return f"`{options}`", what, ", ".join(shown), *_exponents(axis, group)


def _exponents(axis: str, group: Sequence[Entry]) -> Sequence[str]:
    """The exponent overall, the exponent without start-up and the start-up, where there are enough amounts."""
    amounts = [float(entry[axis]) ** (2 if axis == "size" else 1) for entry in group]
    if len(set(amounts)) < 3:
        return "", "", ""
    seconds = [float(entry["seconds"]) for entry in group]
    fitted = fit_growth(amounts, seconds)
    return f"{fit_slope(amounts, seconds).exponent:.2f}", f"{fitted.exponent:.2f}", f"{fitted.start:.0f}"


SECTIONS: dict[str, Callable[[Content, Path], str]] = {
    "compare.json": comparison,
    "compare_avx2.json": lambda content, images: comparison(content, images, _FORMER_COMPARISON, "benchmark-avx2.png"),
    "fewshot.json": few_pictures,
    "gains.json": lambda content, _: gains(content),
    "parts.json": parts,
    "memory.json": memory,
    "growth.json": growth,
    "duplicates.json": lambda content, _: duplicates(content),
    "labels.json": lambda content, _: labels(content),
    "export.json": lambda content, _: exports(content),
    "install.json": lambda content, _: installation(content),
    "serve.json": lambda content, _: service(content),
    "predict.json": lambda content, _: many_pictures(content),
}
"""By file of figures, what makes its section; in the page's order."""


def describe_machine(machine: Content) -> str:
    """What was measured on, in a few words."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"{machine['cpu']} with {machine['instructions']}, {machine['cores']} cores, "
        f"{machine['memory_bytes'] / 1e9:.0f} GB of memory; "
        f"Python {machine['python']}, {versions}."
    )


def main() -> None:
    """Write the page and its plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of figures")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the page; its plots go to images/ in it")
    options = parser.parse_args()
    images = options.docs / "images"
    images.mkdir(parents=True, exist_ok=True)
    found = {name: options.results / name for name in SECTIONS if (options.results / name).exists()}
    contents = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in found.items()}
    if not contents:
        raise SystemExit(f"{options.results} holds no figures: run `make bench` first")
    machines = {name: describe_machine(content["machine"]) for name, content in contents.items()}
    usual = mode(machines.values())
    texts = [_INTRODUCTION, fill(f"Machine: {usual}", 120) + "\n"]
    for name, content in contents.items():
        texts.append(SECTIONS[name](content, images))
        if machines[name] != usual:
            texts.append(fill(f"These were measured on another machine: {machines[name]}", 120) + "\n")
    texts.append(on_a_gpu(options.results / "gpu.json"))
    (options.docs / "benchmarks.md").write_text("\n".join(texts), encoding="utf-8")


if __name__ == "__main__":
    main()
