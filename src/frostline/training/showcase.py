"""The pictures that a run draws and keeps."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from frostline.data.dataset import Dataset, Picture
from frostline.errors import ModelError
from frostline.model.explain import Explainer, overlay
from frostline.model.network_classifier import NetworkClassifier
from frostline.progress import phase, say
from frostline.results.drawing.confusion import plot_confusion_matrix
from frostline.results.drawing.gallery import plot_misclassified
from frostline.results.drawing.plots import plot_curves
from frostline.results.history import EpochRecord
from frostline.results.metrics import Metrics
from frostline.results.predictions import Predictions
from frostline.results.run_folder import RunFolder
from frostline.results.selection import all_shown, confident_mistakes
from frostline.results.thumbnails import SIDE, encode_thumbnail, explained, save_thumbnails


def draw_pictures(
    folder: RunFolder,
    dataset: Dataset,
    classifier: NetworkClassifier,
    history: Sequence[EpochRecord],
    predictions: Predictions,
    metrics: Metrics,
) -> None:
    """Draw the curves, the confusion matrix and the most confident mistakes, and keep what the report shows."""
    index_of = {sample.path: index for index, sample in enumerate(dataset.samples)}

    def read(path: str, min_side: int = 320) -> Picture:
        return dataset.picture(index_of[path], min_side=min_side)

    plot_curves(history, folder.picture("curves"))
    plot_confusion_matrix(metrics, folder.picture("confusion_matrix"))
    plot_misclassified(predictions, read, folder.picture("misclassified"))
    rows = all_shown(predictions)

    def thumbnail(row: int) -> bytes:
        return encode_thumbnail(read(predictions.paths[row], SIDE))

    def pictures() -> Iterator[tuple[str, bytes]]:
        with phase("thumbnails", len(rows)) as advance, ThreadPoolExecutor() as pool:
            for row, jpeg in zip(rows.tolist(), pool.map(thumbnail, rows.tolist()), strict=True):
                yield str(row), jpeg
                advance(1)
        mistakes = confident_mistakes(predictions)
        shown = [read(predictions.paths[row], classifier.preprocessing.size) for row in mistakes]
        yield from _explained(classifier, mistakes.tolist(), shown, predictions.labels[mistakes].tolist())

    save_thumbnails(pictures(), folder.pictures)


def _explained(
    classifier: NetworkClassifier, rows: Sequence[int], pictures: Sequence[Picture], labels: Sequence[int]
) -> Iterator[tuple[str, bytes]]:
    """What in each picture spoke for the class that it was taken for."""
    if not pictures:
        return
    try:
        heats = Explainer(classifier)(pictures, labels)
    except ModelError as error:
        say(f"note: the mistakes are shown without explanations: {error}")
        return
    for row, picture, heat in zip(rows, pictures, heats, strict=True):
        yield explained(row), encode_thumbnail(overlay(classifier.preprocessing.fit(picture), heat, SIDE))
