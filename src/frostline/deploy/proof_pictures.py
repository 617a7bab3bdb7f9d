"""The labelled pictures that an export is proved on, and those that 8 bits are calibrated on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.sources import load_configured_dataset, load_dataset
from frostline.data.splits import load_splits
from frostline.errors import ConfigError, DataError
from frostline.model.quantise import MOST_EXAMPLES
from frostline.results.run_folder import RunFolder

MOST_COMPARED = 2_000
"""Pictures that are compared at most; below 1,000, one that differs is too many."""


@dataclass(frozen=True)
class ProofPictures:
    """Pictures of a dataset, by their indices; no picture is in both arrays."""

    dataset: Dataset
    compared: NDArray[np.int64]
    calibration: NDArray[np.int64]
    """In random order."""
    described: str
    """What is compared, in words."""


def find_proof_pictures(classifier: Path, source: str | None, data_dir: Path | None = None) -> ProofPictures:
    """Pictures of a labelled `source`, else those that the classifier's run validated on.

    Of a source, its validation or test split is compared where it brings one. Raises `ConfigError` where the classifier
    is in no run and no source is given, and `DataError` where the pictures are not there any more.
    """
    if source is not None:
        return _of_source(load_dataset(source, data_dir=data_dir))
    for path in (classifier, classifier.parent):
        if RunFolder(path).config.is_file():
            return _of_run(RunFolder(path), data_dir)
    raise ConfigError(
        f"{classifier} is in no run: name labelled pictures to prove the export on, with --pictures SOURCE"
    )


def _of_run(folder: RunFolder, data_dir: Path | None) -> ProofPictures:
    """The run's own validation and training pictures."""
    config = TrainConfig.make(file=folder.config)
    if data_dir is not None:
        config = config.model_copy(update={"data_dir": data_dir})
    try:
        dataset = load_configured_dataset(config)
        splits = load_splits(folder.splits, dataset)
    except DataError as error:
        raise DataError(f"{error}; or prove the export on other labelled pictures, with --pictures SOURCE") from error
    described = f"validation pictures of {folder.path.resolve().name}"
    return ProofPictures(dataset, _some(splits.val, MOST_COMPARED), _draw(splits.train, MOST_EXAMPLES), described)


def _of_source(dataset: Dataset) -> ProofPictures:
    """Pictures of a split that was not trained on, where the source brings one; a drawn part of it calibrates."""
    splits = np.array([sample.split or "" for sample in dataset.samples])
    held_out = next((name for name in ("val", "test") if name in splits), "")
    mixed = _draw(np.flatnonzero(splits == held_out), len(splits))
    if held_out and "train" in splits:
        calibration, compared = _draw(np.flatnonzero(splits == "train"), MOST_EXAMPLES), mixed
    else:
        few = min(MOST_EXAMPLES, len(mixed) // 2)
        calibration, compared = mixed[:few], mixed[few:]
    described = f"{held_out} pictures of {dataset.source}" if held_out else f"pictures of {dataset.source}"
    return ProofPictures(dataset, np.sort(compared[:MOST_COMPARED]), calibration, described)


def _some(indices: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return np.sort(_draw(indices, count))


def _draw(indices: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """So many of these in random order, or all of them where there are fewer; the same ones each time."""
    return np.random.default_rng(0).permutation(indices)[:count]
