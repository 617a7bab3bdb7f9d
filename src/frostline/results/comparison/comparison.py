"""Runs side by side: their settings, their figures on the pictures that all of them have, and where they disagree."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from frostline.config import TrainConfig
from frostline.data.dataset import SplitName
from frostline.errors import ConfigError
from frostline.results.comparison.caveats import caveats
from frostline.results.comparison.disagreements import Disagreements, find_disagreements
from frostline.results.comparison.paired import Difference, Pairs, accuracy_difference, mcnemar, mean_difference
from frostline.results.comparison.pairing import align, common_rows, headline_of
from frostline.results.metrics import Metrics, compute_metrics, cross_entropies
from frostline.results.predictions import Predictions
from frostline.results.record import RunRecord
from frostline.results.selection import Rows

_SAME_TRAINING = {"data_dir", "runs_dir", "cache", "cache_limit", "tensorboard", "mlflow"}
"""Options that say where things lie and what is kept: they change no figure."""


@dataclass(frozen=True, slots=True)
class Paired:
    """A run against the first one, on the same pictures."""

    pairs: Pairs
    accuracy: Difference
    """As a fraction."""
    loss: Difference
    """In nats."""
    p_value: float
    """McNemar's."""


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """One of the runs, on the common pictures."""

    name: str
    """The folder's name; its path, where two have the same."""
    record: RunRecord
    rows: Rows
    """The common pictures as rows of its own predictions."""
    metrics: Metrics
    """Of the common pictures."""
    against_first: Paired | None
    """None for the first run itself."""

    @property
    def val_accuracy(self) -> float | None:
        """Of its own validation pictures; None where it is not known."""
        figures = self.record.figures
        return None if figures is None else figures.val.accuracy

    @property
    def seconds(self) -> float | None:
        """What the run took in all; None where it is not known."""
        figures = self.record.figures
        return None if figures is None else sum(figures.seconds.values())

    @property
    def trainable_parameters(self) -> int | None:
        """Of backbone and head; None where they are not known."""
        figures = self.record.figures
        return None if figures is None else sum(figures.trainable_parameters.values())

    def to_dict(self) -> dict[str, Any]:
        """Its figures, as JSON can hold them."""
        measured = ("accuracy", "accuracy_low", "accuracy_high", "loss", "macro_f1", "balanced_accuracy")
        return {
            "run": str(self.record.folder.path),
            **{name: getattr(self.metrics, name) for name in measured},
            **{name: getattr(self, name) for name in ("val_accuracy", "seconds", "trainable_parameters")},
            "against_first": self.against_first and asdict(self.against_first),
        }


@dataclass(frozen=True, slots=True)
class Setting:
    """An option that is not the same in all runs."""

    name: str
    values: tuple[Any, ...]
    """Of each run; None where it is not set, or the options of the run are not known."""


@dataclass(frozen=True)
class Comparison:
    """At least two runs; the first is what the others are measured against."""

    runs: tuple[ComparedRun, ...]
    split: SplitName | Literal["all"]
    """What the pictures are to every run; all where they are not the same split to each."""
    settings: tuple[Setting, ...]
    caveats: tuple[str, ...]
    """What the reader should know before believing the figures, a sentence each."""
    disagreements: tuple[Disagreements, ...]

    @property
    def pictures(self) -> int:
        """How many all runs have."""
        return len(self.runs[0].rows)

    def thumbnail(self, row: int) -> str | None:
        """A common picture as a URI that holds it; None where no run has kept it."""
        uris = (run.record.thumbnails.uri(str(run.rows[row])) for run in self.runs)
        return next((uri for uri in uris if uri is not None), None)

    def to_dict(self) -> dict[str, Any]:
        """Figures, settings and the disagreements that are shown, as JSON can hold them."""
        return {
            "pictures": self.pictures,
            "split": self.split,
            "runs": [run.to_dict() for run in self.runs],
            "settings": {setting.name: list(setting.values) for setting in self.settings},
            "caveats": list(self.caveats),
            "disagreements": [asdict(each) for each in self.disagreements],
        }


def compare_runs(records: Sequence[RunRecord]) -> Comparison:
    """Compare runs on the pictures that the headline predictions of all of them have, paired by path.

    Raises `ConfigError` for fewer than two runs or one given twice, and `DataError` where a run has no predictions,
    the runs have no picture in common, or they do not agree about the names of the classes or what a picture shows.
    """
    names = _names(records)
    headlines = [headline_of(record) for record in records]
    rows = common_rows(headlines, records)
    aligned = align([each.predictions.take(chosen) for each, chosen in zip(headlines, rows, strict=True)], names)
    splits = {each.split for each in headlines}
    split = splits.pop() if len(splits) == 1 else "all"
    runs = tuple(
        ComparedRun(
            name,
            record,
            chosen,
            compute_metrics(predictions, split),
            _against(aligned[0], predictions) if predictions is not aligned[0] else None,
        )
        for name, record, chosen, predictions in zip(names, records, rows, aligned, strict=True)
    )
    return Comparison(
        runs,
        split,
        tuple(_settings(records)),
        tuple(caveats(names, records, headlines, aligned[0].paths)),
        find_disagreements(aligned),
    )


def _names(records: Sequence[RunRecord]) -> list[str]:
    """What to call each run; raises `ConfigError` where there are too few, or one twice."""
    if len(records) < 2:
        raise ConfigError("a comparison needs at least two runs: frostline compare RUN RUN")
    places = [record.folder.path.resolve() for record in records]
    for record, place in zip(records, places, strict=True):
        if places.count(place) > 1:
            raise ConfigError(f"{record.folder.path} is given twice: compare it with another run")
    names = [record.name for record in records]
    return names if len(set(names)) == len(names) else [str(record.folder.path) for record in records]


def _against(first: Predictions, second: Predictions) -> Paired:
    """What sets the second run apart from the first."""
    pairs = Pairs.count(first.labels == first.targets, second.labels == second.targets)
    loss = mean_difference(cross_entropies(first), cross_entropies(second))
    return Paired(pairs, accuracy_difference(pairs), loss, mcnemar(pairs))


def _settings(records: Sequence[RunRecord]) -> Iterator[Setting]:
    """The options that differ, in the order of `TrainConfig`; without those that change no figure."""
    options = [None if record.config is None else record.config.model_dump() for record in records]
    for name in TrainConfig.model_fields:
        values = tuple(None if each is None else each[name] for each in options)
        known = [value for value, each in zip(values, options, strict=True) if each is not None]
        if name not in _SAME_TRAINING and any(value != known[0] for value in known):
            yield Setting(name, values)
