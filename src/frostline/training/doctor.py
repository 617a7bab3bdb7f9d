"""The data doctor at work: every picture is decoded once and goes through the network once."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frostline.config import TrainConfig
from frostline.data.audit.audit import Audit
from frostline.data.audit.classes import inspect_classes
from frostline.data.audit.duplicates import DuplicateGroup, find_duplicates
from frostline.data.audit.grouping import group_duplicates
from frostline.data.audit.inspector import Inspector
from frostline.data.audit.labels import Suspect, find_suspects
from frostline.data.audit.neighbours import NEIGHBOURS, find_neighbours
from frostline.data.audit.outliers import find_outliers
from frostline.data.audit.pictures import PictureFacts, find_oddities
from frostline.data.audit.thumbnails import Fingerprint
from frostline.data.dataset import Dataset
from frostline.data.pixels import Pixels, read_pixels
from frostline.data.splits import Splits
from frostline.errors import DataError
from frostline.model.backbone import Backbone
from frostline.model.engines import make_engine
from frostline.progress import Stopwatch, phase, say
from frostline.results.pages.audit import write_audit_page
from frostline.results.run_folder import create_run_folder
from frostline.training.out_of_fold import FOLDS, out_of_fold_probabilities
from frostline.training.setup import build_model, keep_activations, load_configured_backbone, make_batches
from frostline.training.start import features_of

_AUDIT = "check.json"
"""Name of the file of all that was found."""

Features = NDArray[np.float32]
Indices = NDArray[np.int64]


def check(dataset: Dataset, config: TrainConfig) -> Audit:
    """Examine a dataset: its files, its classes, its duplicates, its labels, and what does not belong.

    Of the options, backbone, weights, size and cache count: the backbone sees every picture as it is, and its features
    are kept for the next time. Nothing of the user's is changed. Raises `ModelError` or `ConfigError` where the
    backbone cannot be had, and `DataError` where no picture can be read.
    """
    clock = Stopwatch()
    seen = _see(dataset, config, clock)
    neighbours = find_neighbours(seen.features, NEIGHBOURS)
    groups = find_duplicates(seen.fingerprints, seen.features, neighbours)
    clock.lap("duplicates")
    suspects, unchecked = _find_suspects(seen.features, dataset.targets[seen.readable], groups, config.seed)
    clock.lap("labels")
    outliers = find_outliers(seen.features, neighbours)
    clock.lap("outliers")
    return Audit(
        dataset=dataset,
        findings=find_oddities(seen.facts),
        classes=inspect_classes(dataset),
        duplicates=seen.originals(groups),
        suspects=tuple(replace(suspect, index=int(seen.readable[suspect.index])) for suspect in suspects),
        outliers=tuple(replace(outlier, index=int(seen.readable[outlier.index])) for outlier in outliers),
        unchecked_classes=tuple(dataset.class_names[target] for target in unchecked),
        seconds=clock.seconds,
    )


def keep_duplicates_together(dataset: Dataset, config: TrainConfig) -> Dataset:
    """The dataset with pictures that show the same in one group, which no split divides; see `check`."""
    seen = _see(dataset, config, Stopwatch())
    groups = seen.originals(find_duplicates(seen.fingerprints, seen.features))
    pictures = sum(len(group.indices) for group in groups)
    say(f"note: {pictures:,} pictures in {len(groups):,} groups of duplicates stay together")
    return group_duplicates(dataset, groups)


@dataclass(frozen=True)
class _Seen:
    """What one look at every picture brings."""

    facts: Sequence[PictureFacts]
    """Of every picture."""
    readable: Indices
    """The pictures that the rest is of, by their index in the dataset."""
    fingerprints: Sequence[Fingerprint]
    features: Features

    def originals(self, groups: Sequence[DuplicateGroup]) -> tuple[DuplicateGroup, ...]:
        """The groups of rows with their pictures' indices in the dataset."""
        return tuple(replace(group, indices=tuple(self.readable[list(group.indices)].tolist())) for group in groups)


def _see(dataset: Dataset, config: TrainConfig, clock: Stopwatch) -> _Seen:
    """Decode every picture, look at it, and compute its features."""
    config = config.model_copy(update={"trainable_layers": 0, "features": "last", "augment": "none", "views": 1})
    backbone, config = load_configured_backbone(dataset, config)
    inspector = Inspector(dataset.pictures)
    pixels, unreadable = read_pixels(
        inspector.watch(dataset), size=backbone.size, resize_mode=config.resize_mode, skip_unreadable=True
    )
    readable = np.setdiff1d(np.arange(len(dataset)), [item.index for item in unreadable])
    if not len(readable):
        first = unreadable[0]
        raise DataError(f"{dataset.source}: no picture can be read; of the first, {first.path}: {first.reason}")
    clock.lap("pictures")
    features = compute_features(dataset, config, backbone, pixels, readable)
    clock.lap("features")
    paths = [sample.path for sample in dataset.samples]
    return _Seen(
        facts=[inspector.facts[path] for path in paths],
        readable=readable,
        fingerprints=[inspector.fingerprints[paths[index]] for index in readable],
        features=features,
    )


def compute_features(
    dataset: Dataset, config: TrainConfig, backbone: Backbone, pixels: Pixels, indices: Indices
) -> Features:
    """The backbone's pooled features of pictures as they are, (pictures, features), kept in the cache if it is on.

    `config` has no trainable layer and no augmentation, so that the trunk is the whole backbone and there is one view.
    """
    model = build_model(dataset, backbone, config)
    nothing = indices[:0]
    batches = make_batches(model, dataset, pixels, Splits(indices, nothing, nothing), config)
    batches = keep_activations(model, batches, config, range(0), probe=True)
    shape = tuple(batches.activations.read(indices[:1], 0).shape[1:])
    body = make_engine(model.frozen.body, shape, model.device)
    with phase("features", len(indices)) as advance:
        return features_of(body, batches, indices, advance)


def _find_suspects(
    features: Features, targets: Indices, groups: Sequence[DuplicateGroup], seed: int
) -> tuple[tuple[Suspect, ...], Indices]:
    """Rows whose label is suspect, and the classes that have too few pictures to tell."""
    counts = np.bincount(targets)
    checked = np.flatnonzero(counts >= FOLDS)
    unchecked = np.flatnonzero((counts > 0) & (counts < FOLDS))
    if len(checked) < 2:
        return (), np.unique(targets)
    rows = np.flatnonzero(np.isin(targets, checked))
    place = np.full(len(targets), -1)
    place[rows] = np.arange(len(rows))
    together = [kept for group in groups if len(kept := [int(place[i]) for i in group.indices if place[i] >= 0]) > 1]
    compact = np.searchsorted(checked, targets[rows])
    probabilities = out_of_fold_probabilities(features[rows], compact, together, seed)
    return tuple(
        replace(
            suspect,
            index=int(rows[suspect.index]),
            given=int(checked[suspect.given]),
            expected=int(checked[suspect.expected]),
        )
        for suspect in find_suspects(probabilities, compact)
    ), unchecked


def last_check(dataset: Dataset, runs_dir: Path) -> str | None:
    """What the last `frostline check` of the same source found, in one line; None where none is in `runs_dir`."""
    checks = sorted(runs_dir.glob(f"*-check-*/{_AUDIT}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in checks:
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if Path(values["source"]).absolute() == Path(dataset.source).absolute():
                found = ", ".join(f"{count:,} {name}" for name, count in values["found"].items())
                return f"frostline check found {found or 'nothing'}: see {path.parent.name}"
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # a check that is damaged, or another file of that name: nothing is known from it
    return None


def save_audit(audit: Audit, runs_dir: Path) -> Path:
    """Write `check.json` and the page `check.html` into a new folder below `runs_dir`; returns the folder."""
    folder = create_run_folder(runs_dir, audit.dataset.name, "check")
    folder.write_json(folder.path / _AUDIT, audit.to_dict())
    write_audit_page(audit, folder.path / "check.html")
    return folder.path
