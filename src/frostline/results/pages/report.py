"""A run on one page: what it came to, what the classifier knows, and whether to believe it.

The page is made from the run folder alone and holds all that it shows; it asks no network for anything.
"""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from frostline import __version__
from frostline.files import atomic_write
from frostline.results.drawing.charts import Chart, coverage_chart, curve_charts, reliability_chart
from frostline.results.pages.matrix import Matrix
from frostline.results.pages.render import render
from frostline.results.pages.report_text import answered_at, headline, settings, trained_in_a_sentence
from frostline.results.predictions import Predictions
from frostline.results.record import RunRecord
from frostline.results.selection import Rows, confident_mistakes, furthest, unsure_hits
from frostline.results.thumbnails import explained


@dataclass(frozen=True)
class Shown:
    """One picture on the page."""

    path: str
    picture: str | None
    """A URI that holds it; None where it was not kept."""
    explained: str | None
    """The same of its explanation."""
    true: str
    answer: str
    confidence: float
    distance: float | None
    far: bool


@dataclass(frozen=True)
class Gallery:
    """Pictures that have something in common."""

    name: str
    title: str
    explanation: str
    pictures: list[Shown]


def write_report(record: RunRecord, path: Path) -> None:
    """Write the page. What the run folder lacks is said on it. Raises `OSError` where it cannot be written."""
    script = files("frostline.results.pages").joinpath("templates/report.js").read_text(encoding="utf-8")
    predictions = record.headline
    page = render(
        "report.html",
        record=record,
        figures=record.figures,
        version=__version__,
        headline=headline(record),
        sentence=trained_in_a_sentence(record),
        curves=curve_charts(record.history),
        matrix=None if predictions is None else Matrix.of(predictions, record.thumbnails),
        galleries=[] if predictions is None else list(_galleries(record, predictions)),
        trust_charts=_trust_charts(record, predictions),
        answered=answered_at(record),
        settings=settings(record),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )
    with atomic_write(path) as file:
        file.write(page)


def _galleries(record: RunRecord, predictions: Predictions) -> Iterator[Gallery]:
    wrong = int((predictions.labels != predictions.targets).sum())
    yield Gallery(
        "mistakes",
        "The most confident mistakes",
        f"{wrong:,} of {len(predictions):,} pictures are answered wrongly. Beside each is what in it spoke for the "
        "answer (HiResCAM, a form of Grad-CAM): where that is not the object, something else was learnt.",
        _show(record, predictions, confident_mistakes(predictions), with_explanations=True),
    )
    yield Gallery(
        "unsure",
        "Right, but least sure",
        "The right answers of lowest confidence: what is hard, and what more pictures would help with.",
        _show(record, predictions, unsure_hits(predictions)),
    )
    yield Gallery(
        "far",
        "Furthest from the training pictures",
        "By one minus the cosine of their features to the nearest training picture (Sun et al. 2022). They may show "
        "something that the classifier has never seen, and a high confidence means little there.",
        _show(record, predictions, furthest(predictions)),
    )


def _show(record: RunRecord, predictions: Predictions, rows: Rows, *, with_explanations: bool = False) -> list[Shown]:
    beyond = None if record.figures is None else record.figures.trust.far_beyond
    distances = predictions.distances
    return [
        Shown(
            path=predictions.paths[row],
            picture=record.thumbnails.uri(str(row)),
            explained=record.thumbnails.uri(explained(row)) if with_explanations else None,
            true=predictions.class_names[predictions.targets[row]],
            answer=predictions.class_names[predictions.labels[row]],
            confidence=float(predictions.confidences[row]),
            distance=None if distances is None else float(distances[row]),
            far=distances is not None and beyond is not None and float(distances[row]) > beyond,
        )
        for row in rows.tolist()
    ]


def _trust_charts(record: RunRecord, predictions: Predictions | None) -> list[Chart]:
    if record.figures is None or predictions is None:
        return []
    trust = record.figures.trust
    of_split = trust.splits[record.figures.figures_of]
    return [reliability_chart(of_split.before, of_split.after), coverage_chart(predictions, trust.unsure_below)]
