"""The ELPV dataset: electroluminescence pictures of solar cells, out of the package elpv-dataset."""

from importlib.util import find_spec
from pathlib import Path

from frostline.data.dataset import Dataset, Sample
from frostline.data.folders import FileStore
from frostline.errors import DataError

CLASS_NAMES = ("defective", "functional")
LICENCE = "CC BY-NC-SA 4.0"
NOTE = (
    "a cell counts as defective where its probability of a defect is above one half: experts judged it so, "
    "certain (1) or not (2/3)"
)


def find_solar_cells() -> Path | None:
    """The folder with the installed package's labels and pictures; None where the package is not installed."""
    package = find_spec("elpv_dataset")
    if package is None or package.origin is None:
        return None
    return Path(package.origin).with_name("data")


def load_solar_cells() -> Dataset:
    """Load 2,624 grey pictures of 300 x 300 pixels, functional against defective; the source brings no splits.

    The probabilities 0, 1/3, 2/3 and 1 stand for functional and defective cells, certain or not, as in
    Deitsch et al. 2019 (doi:10.1016/j.solener.2019.02.067). Raises `DataError` where the package is not installed.
    """
    folder = find_solar_cells()
    if folder is None:
        raise DataError("solar-cells comes with the package elpv-dataset: pip install 'frostline[solar-cells]'")
    samples = read_labels(folder / "labels.csv")
    return Dataset("solar-cells", str(folder), samples, CLASS_NAMES, FileStore(folder), LICENCE, (NOTE,))


def read_labels(path: Path) -> tuple[Sample, ...]:
    """Read lines of picture path, defect probability and module type, parted by blanks. Raises `DataError`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}; install elpv-dataset again") from error
    samples = []
    for number, line in enumerate(lines, 1):
        try:
            picture, probability, _ = line.split()
            defective = float(probability) > 0.5
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {line!r} is no label; install elpv-dataset again") from error
        samples.append(Sample(picture, CLASS_NAMES.index("defective" if defective else "functional")))
    return tuple(samples)
