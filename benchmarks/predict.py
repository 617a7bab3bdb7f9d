"""Measure `frostline predict FOLDER --csv` on folders of up to a million pictures: `python benchmarks/predict.py`.

The pictures are hard links to a few made JPEG files, in one folder or a thousand in each, and are removed afterwards.
They are tiny and so is the network: what is measured is what there is around it, and whether its memory grows.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import RESULTS, Results, watch
from memory import CLASSES, draw_pictures
from PIL import Image

SIDE = 32
TRAINING = ("--backbone", "test_efficientnet", "--weights", "none", "--size", SIDE, "--trainable-layers", 0)
LAYOUTS = ("flat", "tree")
_IN_A_FOLDER = 1_000
"""Pictures in each folder of a tree."""


def write_pictures(folder: Path) -> list[Path]:
    """Small JPEG files, a folder for each class."""
    paths = []
    for number, drawn in enumerate(draw_pictures()):
        path = folder / f"class-{number % CLASSES}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.open(io.BytesIO(drawn)).resize((SIDE, SIDE)).save(path)
        paths.append(path)
    return paths


def train(pictures: Path, folder: Path) -> Path:
    """The run of a tiny classifier."""
    command = [sys.executable, "-m", "frostline", "train", str(pictures), *map(str, TRAINING), "--runs-dir", "runs"]
    watch(command, folder, FROSTLINE_CACHE=str(folder / "cache"))
    return next((folder / "runs").iterdir())


@contextmanager
def links(files: list[Path], count: int, layout: str) -> Iterator[Path]:
    """A folder of so many pictures."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for number in range(count):
            if layout == "tree" and number % _IN_A_FOLDER == 0:
                folder = Path(place, f"{number // _IN_A_FOLDER}")
                folder.mkdir()
            (folder / f"IMG_{number}.jpg").hardlink_to(files[number % len(files)])
        yield Path(place)


def measure(results: Results, run: Path, files: list[Path], layout: str, count: int) -> None:
    """Predict one folder and add its figures."""
    table = run.parent / "predictions.csv"
    with links(files, count, layout) as folder:
        command = [sys.executable, "-m", "frostline", "predict", str(run), str(folder), "--csv", str(table)]
        finished = watch(command, run.parent)
    with table.open(encoding="utf-8") as file:
        assert sum(1 for _ in file) == count + 1, "not every picture has a row"
    results.add(
        {
            "case": layout,
            "pictures": count,
            "network": f"test_efficientnet at {SIDE} px",
            "peak_bytes": finished.peak_bytes,
            "peak_own_bytes": finished.peak_own_bytes,
            "seconds": round(finished.seconds, 2),
            "pictures_per_second": round(count / finished.seconds, 1),
        }
    )
    memory = f"{finished.peak_own_bytes / 1e6:.0f} MB without files"
    print(f"{layout}, {count:,} pictures: {memory}, {count / finished.seconds:,.0f} pictures/s", file=sys.stderr)


def main() -> None:
    """Measure the cases asked for, and add their figures to the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", choices=LAYOUTS, default=LAYOUTS)
    parser.add_argument("--pictures", nargs="*", type=int, default=[1_000, 30_000, 1_000_000])
    parser.add_argument("--results", type=Path, default=RESULTS / "predict.json")
    options = parser.parse_args()
    results = Results(options.results, ("case", "pictures"))
    with tempfile.TemporaryDirectory() as place:
        files = write_pictures(Path(place, "photos"))
        run = train(Path(place, "photos"), Path(place))
        for count in options.pictures:
            for layout in options.cases:
                measure(results, run, files, layout, count)


if __name__ == "__main__":
    main()
