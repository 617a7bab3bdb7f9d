"""The model card: what a run's classifier is, how good it is and where it ends, as Markdown beside the classifier."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from frostline.data.dataset import SPLIT_WORDS
from frostline.files import atomic_write
from frostline.results.calibration import ANSWER_NOTHING, BINS
from frostline.results.figures import RunFigures, SplitTrust
from frostline.results.pages.limits import limits_of
from frostline.results.pages.markdown import as_markdown, one_line, some_names
from frostline.results.pages.render import render
from frostline.results.pages.report_text import out_of_fold
from frostline.results.record import RunRecord

_USES = {
    "test": "which were kept from all decisions",
    "val": "by which the epoch was chosen and the probabilities were calibrated, so the figures are too good",
}
"""What each split's pictures were used for."""

_KNOWN_LICENCES = frozenset(
    {"afl-3.0", "agpl-3.0", "apache-2.0", "apple-amlr", "apple-ascl", "bsd", "bsd-2-clause", "bsd-3-clause", "cc0-1.0"}
    | {f"cc-{terms}-4.0" for terms in ("by", "by-nc", "by-nc-nd", "by-nc-sa", "by-nd", "by-sa")}
    | {"gemma", "gpl-2.0", "gpl-3.0", "lgpl-3.0", "mit", "mpl-2.0", "openrail", "unknown", "unlicense"}
)
"""Identifiers that a card's `license` may hold (Hugging Face, Licenses); any other licence is `other` with a name."""


def write_model_card(record: RunRecord, path: Path) -> None:
    """Write the card of a run's classifier, in the format of Hugging Face (Mitchell et al. 2019, arXiv:1810.03993).

    What the record lacks is left out. Raises `OSError` where the disk is full.
    """
    figures = record.figures
    dataset = _part(record.environment, "dataset")
    card = render(
        "model_card.md",
        metadata=yaml.safe_dump(_metadata(record), sort_keys=False, allow_unicode=True, width=1000),
        name=as_markdown(record.name),
        summary=" ".join(_summary(record)),
        dataset=_data(dataset),
        notes=[as_markdown(str(note)) for note in (*(dataset.get("notes") or ()), *(record.notes or ()))],
        figures=figures,
        counts=[] if figures is None else list(_counts(figures)),
        answers=[] if figures is None else list(_answers(figures)),
        limits=[] if figures is None else list(limits_of(record, figures)),
        training=list(_training(record)),
        licences=list(_licences(record.environment)),
        text=as_markdown,
        split_words=SPLIT_WORDS,
        use=None if figures is None else _use(figures),
        bins=BINS,
    )
    with atomic_write(path) as file:
        file.write(card.rstrip() + "\n")


def _part(environment: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """One of the objects in environment.json; empty where it is not there."""
    part = environment.get(name)
    return part if isinstance(part, dict) else {}


def _metadata(record: RunRecord) -> dict[str, Any]:
    """The card's front matter."""
    weights = _part(record.environment, "weights")
    metadata: dict[str, Any] = {}
    if weights.get("licence"):
        metadata |= _licence(str(weights["licence"]))
    metadata |= {"library_name": "frostline", "pipeline_tag": "image-classification"}
    metadata["tags"] = ["frostline", "image-classification", "timm"]
    if weights.get("repository"):
        metadata["base_model"] = str(weights["repository"])
    if record.figures is not None:
        metadata["model-index"] = [{"name": one_line(record.name), "results": [_result(record, record.figures)]}]
    return metadata


def _licence(licence: str) -> dict[str, str]:
    identifier = re.sub(r"[^a-z0-9.]+", "-", licence.lower()).strip("-")
    if identifier in _KNOWN_LICENCES:
        return {"license": identifier}
    return {"license": "other", "license_name": identifier}


def _result(record: RunRecord, figures: RunFigures) -> dict[str, Any]:
    """The accuracy of the headline split, as an entry of `model-index`."""
    dataset = one_line(str(_part(record.environment, "dataset").get("name") or "unnamed pictures"))
    metric = {"type": "accuracy", "value": round(figures.headline.accuracy, 6), "name": "Accuracy"}
    split = "test" if figures.figures_of == "test" else "validation"
    return {
        "task": {"type": "image-classification", "name": "Image Classification"},
        "dataset": {
            "name": dataset,
            "type": re.sub(r"\W+", "-", dataset.lower()).strip("-") or "unnamed",
            "split": split,
        },
        "metrics": [metric],
    }


def _use(figures: RunFigures) -> str:
    """What the pictures of the headline were used for."""
    if figures.figures_of == "val" and figures.val_folds is not None:
        return (
            f"each judged by one of {figures.val_folds} heads that had not seen it; on these answers the probabilities "
            "were calibrated"
        )
    return _USES[figures.figures_of]


def _counts(figures: RunFigures) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each class with its pictures of training, validation and, where there is one, test; the last row sums them."""
    measured = [metrics for metrics in (figures.val, figures.test) if metrics is not None]
    columns = [figures.train_counts, *(tuple(entry.support for entry in each.per_class) for each in measured)]
    for name, *numbers in zip(figures.class_names, *columns, strict=True):
        yield as_markdown(name), tuple(numbers)
    yield "**all**", tuple(map(sum, columns))


def _summary(record: RunRecord) -> Iterator[str]:
    """What it is, in a few sentences."""
    figures, config = record.figures, record.config
    dataset = _part(record.environment, "dataset").get("name")
    names = "" if figures is None else f" that tells {len(figures.class_names):,} classes apart: "
    yield f"An image classifier{names}{'' if figures is None else some_names(figures.class_names)}."
    if config is not None:
        yield f"It is the backbone {as_markdown(config.backbone)} with a head of its own."
    if dataset is not None:
        pictures = "" if figures is None else f" {sum(figures.train_counts):,} pictures of"
        yield f"It was trained on{pictures} {as_markdown(str(dataset))}."
    if figures is not None:
        yield (
            f"Of {figures.headline.pictures:,} {SPLIT_WORDS[figures.figures_of]} pictures it names "
            f"{figures.headline.accuracy:.1%} right."
        )


def _data(dataset: Mapping[str, Any]) -> str:
    """What it was trained on, in a sentence; empty where that is not known."""
    if not dataset:
        return ""
    licence = as_markdown(str(dataset.get("licence") or "not stated"))
    return f"{as_markdown(str(dataset.get('name', 'unnamed')))}; licence: {licence}."


def _answers(figures: RunFigures) -> Iterator[str]:
    """What the classifier says of its own answers, a sentence or two each."""
    trust, split = figures.trust, SPLIT_WORDS[figures.figures_of]
    measured = trust.splits.get(figures.figures_of)
    yield f"Probabilities are calibrated: logits are divided by a temperature of {trust.scaling.temperature:.3g}."
    if trust.unsure_below is None:
        yield "It has no threshold for `unsure`: it names a class for every picture, however low its confidence."
    elif trust.unsure_below >= ANSWER_NOTHING:
        yield "No threshold gave the accuracy that was asked for: it answers `unsure` to every picture."
    else:
        yield f"It answers `unsure` below a confidence of {trust.unsure_below:.4f}{_answered(measured, split)}."
    flagged = "" if measured is None else f", and {measured.far:.1%} of the {split} pictures"
    yield (
        f"It flags a picture as far from the training pictures where their distance is over {trust.far_beyond:.3g}: "
        f"1% of the validation pictures at most{flagged}. Such a picture may show something that it does not know. "
        "The distance is one minus the cosine to the nearest features of a training picture."
    )


def _answered(measured: SplitTrust | None, split: str) -> str:
    if measured is None or measured.answered is None:
        return ""
    answered = measured.answered
    right = "" if answered.accuracy is None else f", {answered.accuracy:.1%} of them right"
    return f": {answered.coverage:.1%} of the {split} pictures are answered{right}"


def _training(record: RunRecord) -> Iterator[tuple[str, str]]:
    """How it was trained: what, and how much of it."""
    config, figures = record.config, record.figures
    if config is not None:
        yield "backbone", as_markdown(config.backbone)
    if figures is not None:
        if figures.val_folds is not None:
            yield "validation figures", out_of_fold(figures.val_folds)
        yield "layers trained", _layers(figures)
        yield "parameters of the head", f"{figures.trainable_parameters.get('head', 0):,}"
        yield "epochs", _epochs(figures)
        yield "time", f"{sum(figures.seconds.values()):,.0f} s"
    if config is not None:
        yield "input size", "that of the backbone" if config.size is None else f"{config.size} x {config.size} pixels"
        if figures is None or figures.epochs:
            yield "augmentation", config.augment
            yield "optimiser", f"{config.optimizer}, batches of {config.batch_size}"
        yield "seed", str(config.seed)
    versions = {"frostline": record.environment.get("frostline"), "python": record.environment.get("python")}
    known = {name: value for name, value in {**versions, **_part(record.environment, "versions")}.items() if value}
    if known:
        yield "versions", as_markdown(", ".join(f"{name} {value}" for name, value in known.items()))


def _layers(figures: RunFigures) -> str:
    if figures.trained_layers == 0:
        return "none of the backbone"
    parameters = f"{figures.trainable_parameters.get('backbone', 0):,} parameters"
    return f"the backbone's last {figures.trained_layers} of {figures.layers} ({parameters})"


def _epochs(figures: RunFigures) -> str:
    if figures.epochs == 0:
        return "none: the head is a linear probe in closed form"
    best = f"epoch {figures.best_epoch}" if figures.best_epoch else "the start before the first"
    return f"{figures.epochs}; {best} was the best on the validation pictures"


def _licences(environment: Mapping[str, Any]) -> Iterator[str]:
    """Of the weights and of the pictures, a sentence each."""
    weights, dataset = _part(environment, "weights"), _part(environment, "dataset")
    if weights:
        digest = f" (SHA-256 `{weights['sha256']}`)" if weights.get("sha256") else ""
        yield (
            f"Weights that it began with: {as_markdown(str(weights.get('description', 'not stated')))}{digest}; "
            f"licence: {as_markdown(str(weights.get('licence') or 'not stated'))}."
        )
    if dataset:
        yield f"Pictures: {_data(dataset)}"
