"""What a run's classifier cannot do and what its figures do not say, as sentences for its model card."""

from collections.abc import Iterable, Iterator
from itertools import islice

from frostline.data.dataset import SPLIT_WORDS
from frostline.results.figures import RunFigures
from frostline.results.metrics import ClassMetrics, Metrics
from frostline.results.pages.markdown import as_markdown, some_names
from frostline.results.record import RunRecord

_WORST_NAMED = 3
"""Classes that a limit names at most."""

_FEW = 0.5
"""A class with less than this part of the largest one's training pictures is named as small."""


def limits_of(record: RunRecord, figures: RunFigures) -> Iterator[str]:
    """What the classifier cannot do and what its figures do not say, a sentence or two each, as Markdown."""
    metrics = figures.headline
    always = "always names one of them" if figures.trust.unsure_below is None else "names one of them or is unsure"
    yield (
        f"It knows {len(figures.class_names):,} classes and {always}: a picture of anything else gets one of these "
        "names too. The flag for pictures that are far from the training pictures finds only some of those."
    )
    yield (
        "It was measured on pictures of the dataset that it was trained on. Of pictures of another kind, by other "
        "cameras or from other places, the figures say nothing."
    )
    if record.config is not None and record.config.size is not None:
        seen = "the centre of" if record.config.resize_mode == "crop" else "all of"
        yield f"It sees {seen} a picture, at {record.config.size} x {record.config.size} pixels; finer detail is lost."
    yield from _limits_of_figures(figures, metrics)
    yield from _limits_of_classes(figures, metrics)
    if figures.interrupted:
        yield (
            f"Training was interrupted after {figures.epochs} epochs; the classifier is that of epoch "
            f"{figures.best_epoch}, the best until then."
        )


def _limits_of_figures(figures: RunFigures, metrics: Metrics) -> Iterator[str]:
    """What can be doubted about the headline."""
    if figures.test is None and figures.val_folds is not None:
        yield (
            "There were no test pictures. The figures are those of the validation pictures, each judged by a head that "
            "had not seen it but for the calibration of the probabilities."
        )
    elif figures.test is None:
        yield (
            "There were no test pictures. The figures are those of the validation pictures, by which the epoch was "
            "chosen and the probabilities were calibrated, so they are too good."
        )
    width = metrics.accuracy_high - metrics.accuracy_low
    yield (
        f"With {metrics.pictures:,} {SPLIT_WORDS[figures.figures_of]} pictures, accuracy is known to within an "
        f"interval {_points(width)} wide."
    )
    if metrics.accuracy_low <= figures.majority.accuracy:
        yield "Its accuracy cannot be told from that of always naming the largest class: it may have learnt nothing."
    if figures.probe is not None and metrics.accuracy <= figures.probe.accuracy:
        yield "It is no better than a linear probe of the pretrained features, which needs no training of layers."


def _limits_of_classes(figures: RunFigures, metrics: Metrics) -> Iterator[str]:
    """Which classes to be careful with."""
    counts = dict(zip(figures.class_names, figures.train_counts, strict=True))
    few = sorted((name for name in counts if counts[name] < _FEW * max(counts.values())), key=lambda name: counts[name])
    if few:
        yield f"Fewest training pictures: {_some(f'{as_markdown(name)} ({counts[name]:,})' for name in few)}."
    measured = [entry for entry in metrics.per_class if entry.support]
    weak = sorted((entry for entry in measured if entry.recall < 1), key=lambda entry: entry.recall)
    if weak:
        yield f"Lowest recall: {_some(map(_recall, weak))}."
    widest = max(measured, key=lambda entry: entry.recall_high - entry.recall_low)
    yield (
        f"For single classes the intervals are wider, up to {_points(widest.recall_high - widest.recall_low)} "
        f"(recall of {as_markdown(widest.name)}, {widest.support:,} pictures)."
    )
    unseen = [entry.name for entry in metrics.per_class if not entry.support]
    if unseen:
        yield f"Nothing was measured for {some_names(unseen)}: no {SPLIT_WORDS[figures.figures_of]} pictures."


def _recall(entry: ClassMetrics) -> str:
    interval = f"{entry.recall_low:.0%} to {entry.recall_high:.0%}"
    return f"{as_markdown(entry.name)} ({entry.recall:.0%}, interval {interval}, {entry.support:,} pictures)"


def _some(items: Iterable[str]) -> str:
    return ", ".join(islice(items, _WORST_NAMED))


def _points(width: float) -> str:
    return f"{100 * width:.1f} percentage points"
