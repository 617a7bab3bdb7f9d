"""Measure the parts of a training, each beside what it is compared with, in one process: `python benchmarks/parts.py`.

Compared things take turns, several times over, so that what else the machine does meets both.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from measure import RESULTS, Results
from numpy.typing import NDArray

from frostline.config import TrainConfig
from frostline.data.pixels import read_pixels
from frostline.data.sources import load_dataset
from frostline.data.splits import Splits, make_splits
from frostline.model.engines import OPENVINO_BATCH, OpenVinoEngine, convert_module, import_openvino
from frostline.training.batches import ActivationBatches
from frostline.training.cache import ActivationCache
from frostline.training.checkpoints import Checkpoints
from frostline.training.fit import fit
from frostline.training.setup import Model, build_model, load_configured_backbone, make_batches, make_stage

BACKBONES = ("tf_efficientnet_lite0", "mobilenetv2_100")
TRUNK_BACKBONE = "mobilenetv2_100"
WHOLE_EPOCHS = 5
"""Of a training on all of CIFAR-10 with the default options."""

PARTS = ("matmul", "trunk", "epoch")

_CHUNK = 256
"""Pictures that the engine is given at once, as frostline does while it fills its cache."""

_BENCHMARK_APP = """
from frostline.model.engines import import_openvino
import_openvino()
from openvino.tools.benchmark.main import main
main()
"""

Figures = dict[str, list[float]]
"""Values by name, one for each repeat."""


@dataclass(frozen=True)
class Training:
    """Everything that a training has before its first epoch."""

    config: TrainConfig
    model: Model
    batches: ActivationBatches
    """Nothing of them is kept."""

    @property
    def train(self) -> NDArray[np.int64]:
        """The training pictures."""
        return self.batches.train_indices

    def views(self, view: int, batch_size: int) -> Iterator[torch.Tensor]:
        """One view of every training picture, batch by batch."""
        for start in range(0, len(self.train), batch_size):
            yield self.batches.activations.views(self.train[start : start + batch_size], view)

    def keep(self, folder: Path) -> ActivationBatches:
        """The batches with all views kept in a cache in `folder`, which is filled first."""
        wanted = self.batches.wanted(int(self.config.views))
        cache = ActivationCache(folder, sys.maxsize)
        return replace(self.batches, activations=self.batches.activations.keep(wanted, cache))

    def fill(self, view: int) -> float:
        """Seconds in which an empty cache is filled with one view of the training pictures."""
        with tempfile.TemporaryDirectory() as folder:
            cache = ActivationCache(Path(folder), sys.maxsize)
            return seconds_of(lambda: self.batches.activations.keep({view: self.train}, cache))


def prepare(backbone: str, pictures: int) -> Training:
    """Set up a training of the last 20 layers at 96 px on some of CIFAR-10, all else as it is by default."""
    dataset = load_dataset("cifar10")
    whole = make_splits(dataset)
    train = np.random.default_rng(0).choice(whole.train, pictures, replace=False)
    splits = Splits(np.sort(train), whole.val[:_CHUNK], whole.test[:0])
    loaded, config = load_configured_backbone(dataset, TrainConfig(backbone=backbone, size=96, trainable_layers=20))
    model = build_model(dataset, loaded, config)
    pixels, _ = read_pixels(dataset, size=96, resize_mode=config.resize_mode)
    return Training(config, model, make_batches(model, dataset, pixels, splits, config))


def take_turns(repeats: int, **measured: Callable[[], float]) -> Figures:
    """Measure each thing once a round, for some rounds; the first round warms up and is left out."""
    figures: Figures = {name: [] for name in measured}
    for round_ in range(repeats + 1):
        for name, measure in measured.items():
            value = measure()
            if round_:
                figures[name].append(round(value, 4))
    return figures


def seconds_of(action: Callable[[], object]) -> float:
    """Wall time of an action."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def measure_matmul(repeats: int) -> Figures:
    """Rate of a float32 product of two matrices of 1,024 x 1,024, in GFLOP/s."""
    left, right, product = torch.rand(3, 1024, 1024)
    cores = torch.get_num_threads()

    def rate(threads: int, products: int = 50) -> float:
        torch.set_num_threads(threads)
        seconds = seconds_of(lambda: [torch.mm(left, right, out=product) for _ in range(products)])
        torch.set_num_threads(cores)
        return products * 2 * 1024**3 / seconds / 1e9

    return take_turns(repeats, one_thread=lambda: rate(1), all_threads=lambda: rate(cores))


def measure_trunk(repeats: int, pictures: int, app_seconds: int) -> Figures:
    """Pictures/s of the pass that fills the cache, of its engine alone, and of OpenVINO's benchmark_app."""
    training = prepare(TRUNK_BACKBONE, pictures)
    views, count = list(training.views(0, _CHUNK)), len(training.train)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "trunk.xml")
        save_trunk(training.model, tuple(views[0].shape[1:]), model)
        return take_turns(
            repeats,
            fill=lambda: count / training.fill(0),
            engine=lambda: count / seconds_of(lambda: [training.model.engine(chunk) for chunk in views]),
            benchmark_app=lambda: run_benchmark_app(model, app_seconds),
        )


def save_trunk(model: Model, shape: tuple[int, ...], path: Path) -> None:
    """Write the model that frostline's engine runs, in float32 and for its batches."""
    assert isinstance(model.engine, OpenVinoEngine)
    openvino = import_openvino()
    converted = convert_module(model.frozen.trunk.eval(), torch.zeros(2, *shape))
    converted.reshape({0: openvino.PartialShape([OPENVINO_BATCH, *shape])})
    openvino.save_model(converted, path, compress_to_fp16=False)


def run_benchmark_app(model: Path, seconds: int) -> float:
    """Pictures/s that OpenVINO's own tool measures."""
    command = [sys.executable, "-c", _BENCHMARK_APP, "-m", model, "-d", "CPU", "-t", seconds]
    command += ["-hint", "throughput", "-infer_precision", "f32"]
    finished = subprocess.run(  # noqa: S603
        list(map(str, command)), capture_output=True, text=True, check=True, cwd=model.parent
    )
    found = re.search(r"Throughput:\s+([\d.]+)", finished.stdout)
    assert found is not None, finished.stdout
    return float(found[1])


def measure_epochs(repeats: int, backbone: str, pictures: int) -> Figures:
    """Seconds of the training part of an epoch, cached and not, and of what is in it.

    `fill` is one view through the trunk into the cache, `plain_views` and `varied_views` the making of the network's
    input without the trunk, of view 0 and of another one: all for as many pictures as an epoch has.
    """
    training = prepare(backbone, pictures)
    size = training.config.batch_size
    with tempfile.TemporaryDirectory() as folder:
        kept = training.keep(Path(folder, "cache"))
        return take_turns(
            repeats,
            cached=epochs_of(training, kept, Path(folder, "cached")),
            uncached=epochs_of(training, training.batches, Path(folder, "uncached")),
            fill=lambda: training.fill(1),
            plain_views=lambda: seconds_of(lambda: list(map(len, training.views(0, size)))),
            varied_views=lambda: seconds_of(lambda: list(map(len, training.views(1, size)))),
        )


def epochs_of(training: Training, batches: ActivationBatches, folder: Path) -> Callable[[], float]:
    """Each call runs the next epoch, and gives the seconds of its training part."""
    stage = make_stage(training.model, batches.targets[training.train], training.config)
    done = 0

    def run() -> float:
        nonlocal done
        done += 1
        checkpoints = Checkpoints(folder)
        fitted = fit(training.model.tail, batches, replace(stage, epochs=done), checkpoints, lambda _: None)
        return len(training.train) / fitted.history[-1].pictures_per_second

    return run


def main() -> None:
    """Measure the parts asked for, and add their figures to the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=4096, help="training pictures")
    parser.add_argument("--app-seconds", type=int, default=15, help="of each run of benchmark_app")
    parser.add_argument("--results", type=Path, default=RESULTS / "parts.json")
    options = parser.parse_args()
    results = Results(options.results, ("part", "backbone"))
    repeats, pictures = options.repeats, options.pictures
    defaults = TrainConfig()
    about = {"views": defaults.views, "epochs": WHOLE_EPOCHS, "batch_size": defaults.batch_size, "pictures": pictures}

    def add(part: str, backbone: str | None, figures: Figures) -> None:
        print(part, backbone or "", json.dumps(figures), file=sys.stderr)
        results.add({"part": part, "backbone": backbone, **about, "figures": figures})

    if "matmul" in options.parts:
        add("matmul", None, measure_matmul(repeats))
    if "trunk" in options.parts:
        add("trunk", TRUNK_BACKBONE, measure_trunk(repeats, pictures, options.app_seconds))
    if "epoch" in options.parts:
        for backbone in BACKBONES:
            add("epoch", backbone, measure_epochs(repeats, backbone, pictures))


if __name__ == "__main__":
    main()
