"""What the report of a run says in words and tables."""

from dataclasses import dataclass
from typing import Any

from pydantic import ByteSize

from frostline.config import TrainConfig, default_text
from frostline.data.dataset import SPLIT_WORDS
from frostline.results.calibration import Answered, measure_answered, threshold_for_accuracy
from frostline.results.comparison.paired import SIGNIFICANT, Pairs, accuracy_difference, mcnemar
from frostline.results.comparison.text import probability
from frostline.results.predictions import Predictions
from frostline.results.record import RunRecord

_TARGETS = (0.95, 0.98, 0.99, 0.995)
"""Accuracies of what is answered that the report has a line for."""


@dataclass(frozen=True)
class Figure:
    """A figure with its 95% interval, where it has one, and what it is of."""

    name: str
    value: float
    interval: tuple[float, float] | None
    note: str = ""


@dataclass(frozen=True)
class Headline:
    """The figures that stand first; all are of the same pictures."""

    of: str
    """Which pictures."""
    figures: tuple[Figure, ...]
    """The classifier's first, then the baselines."""
    note: str
    """What must be known to read them; empty where nothing."""


@dataclass(frozen=True)
class Setting:
    """One option of the run."""

    name: str
    value: str
    default: str
    changed: bool


@dataclass(frozen=True)
class AnsweredAt:
    """What a threshold that was chosen on validation pictures comes to on the pictures of the headline."""

    wanted: float
    """Accuracy, on the validation pictures."""
    val: Answered
    found: Answered


def headline(record: RunRecord) -> Headline | None:
    """Accuracy, and what it is to be held against; None without figures."""
    figures = record.figures
    if figures is None:
        return None
    metrics = figures.headline
    shown = [Figure("this classifier", metrics.accuracy, (metrics.accuracy_low, metrics.accuracy_high))]
    if metrics.imbalanced:
        note = "mean recall over the classes, since they differ much in size"
        shown.append(Figure("balanced accuracy", metrics.balanced_accuracy, None, note))
    if figures.flip_tta is not None:
        flips = figures.flip_tta[figures.figures_of]
        note = "each answer averaged with that of the mirror image, as predict --tta flip does"
        shown.append(Figure("with flips averaged", flips.accuracy, (flips.accuracy_low, flips.accuracy_high), note))
    if figures.probe is not None:
        probe = figures.probe
        note = "the pretrained features without any training of the backbone"
        shown.append(Figure("linear probe", probe.accuracy, (probe.accuracy_low, probe.accuracy_high), note))
    majority = figures.majority
    largest = figures.class_names[max(range(len(figures.train_counts)), key=figures.train_counts.__getitem__)]
    note = f"answering {largest} always"
    shown.append(Figure("largest class", majority.accuracy, (majority.accuracy_low, majority.accuracy_high), note))
    notes = []
    if record.headline and record.probe and record.headline.paths == record.probe.paths:
        notes.append(_against_probe(record.headline, record.probe))
    if figures.figures_of == "val" and figures.val_folds is None:
        notes.append("There is no test split: these are the pictures on which the epoch was chosen, so it is too good.")
    elif figures.figures_of == "val":
        notes.append("There is no test split.")
    if figures.val_folds is not None:
        notes.append(out_of_fold(figures.val_folds))
    if figures.interrupted:
        notes.append("The training was stopped before its end.")
    return Headline(f"{metrics.pictures:,} {SPLIT_WORDS[figures.figures_of]} pictures", tuple(shown), " ".join(notes))


def out_of_fold(folds: int) -> str:
    """How the validation figures were made where the head learnt from the validation pictures too."""
    return (
        f"The validation figures are out of fold: the pictures were few, so the head learnt from all of them, and each "
        f"was judged by one of {folds} heads that had not seen it."
    )


def _against_probe(predictions: Predictions, probe: Predictions) -> str:
    """Whether training the backbone was worth it, judged on the same pictures."""
    pairs = Pairs.count(probe.labels == probe.targets, predictions.labels == predictions.targets)
    gain, p_value = accuracy_difference(pairs), mcnemar(pairs)
    interval = f"95% interval {100 * gain.low:+z.1f} to {100 * gain.high:+z.1f}, McNemar {probability(p_value)}"
    if p_value >= SIGNIFICANT:
        return f"It cannot be told apart from the linear probe ({interval})."
    better = "better" if gain.value > 0 else "worse"
    return f"It is {100 * abs(gain.value):.1f} points {better} than the linear probe ({interval})."


def trained_in_a_sentence(record: RunRecord) -> str:
    """What was trained on what; empty where neither options nor figures are there."""
    config, figures = record.config, record.figures
    if config is None or figures is None:
        return ""
    weights = record.environment.get("weights", {}).get("description", "unknown weights")
    pretrained = "from random weights" if str(weights).startswith("none") else f"pretrained ({weights})"
    pictures = f"{sum(figures.train_counts):,} pictures of {len(figures.class_names):,} classes"
    if figures.epochs == 0:
        done = f"the linear probe of its features was fitted to {pictures}"
    else:
        layers = (
            f"the last {figures.trained_layers} of {figures.layers} layers" if figures.trained_layers else "no layer"
        )
        kept = "the linear probe before them" if figures.best_epoch == 0 else f"epoch {figures.best_epoch}"
        epochs = f"{figures.epochs:,} {'epoch' if figures.epochs == 1 else 'epochs'}"
        done = f"{layers} and a new head were trained on {pictures} for {epochs}, of which {kept} was kept"
    return f"{config.backbone} at {config.size} px, {pretrained}: {done}."


def settings(record: RunRecord) -> dict[str, list[Setting]]:
    """Every option by its group, with those that were changed marked; empty where they are not there."""
    groups: dict[str, list[Setting]] = {}
    if record.config is None:
        return groups
    changed = record.environment.get("changed_options", ())
    for name, field in TrainConfig.model_fields.items():
        extra = field.json_schema_extra
        group = str(extra["group"]) if isinstance(extra, dict) else ""
        setting = Setting(name, _text(getattr(record.config, name)), _text(field.default), name in changed)
        groups.setdefault(group, []).append(setting)
    return groups


def answered_at(record: RunRecord) -> list[AnsweredAt]:
    """For some accuracies, the threshold that gives it on the validation pictures, and what it gives elsewhere."""
    val, found = record.predictions.get("val"), record.headline
    if val is None or found is None:
        return []
    lines = []
    for wanted in _TARGETS:
        threshold = threshold_for_accuracy(val, wanted)
        lines.append(AnsweredAt(wanted, measure_answered(val, threshold), measure_answered(found, threshold)))
    return lines


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return default_text(value) if isinstance(value, (bool, ByteSize)) else str(value)
