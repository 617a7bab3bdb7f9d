"""What a run says about itself when training is over: predictions, figures, pictures and report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset, SplitName
from frostline.data.splits import Splits
from frostline.errors import DataError
from frostline.model.flip import Mirrored, average_of
from frostline.model.network_classifier import NetworkClassifier, Scores
from frostline.progress import Stopwatch
from frostline.results.calibration import Answered, Scaling, measure_answered, measure_calibration
from frostline.results.figures import Accuracy, RunFigures, SplitTrust, TrustFigures
from frostline.results.metrics import accuracy_interval, compute_metrics
from frostline.results.pages.model_card import write_model_card
from frostline.results.pages.report import write_report
from frostline.results.predictions import Predictions, load_predictions, save_predictions
from frostline.results.record import read_run
from frostline.results.run_folder import RunFolder
from frostline.training.batches import ActivationBatches
from frostline.training.calibrate import calibrate, choose_threshold, require_one_threshold
from frostline.training.cross_fit import FOLDS, OutOfFold
from frostline.training.fit import Fitted
from frostline.training.int8 import Int8Cost
from frostline.training.scoring import score_together
from frostline.training.setup import Model
from frostline.training.showcase import draw_pictures


@dataclass(frozen=True)
class Trained:
    """A run whose training is over."""

    folder: RunFolder
    config: TrainConfig
    dataset: Dataset
    splits: Splits
    model: Model
    batches: ActivationBatches
    fitted: Fitted
    judged: OutOfFold | None
    """The validation pictures, where the head learnt from them too: what was said of each out of fold."""


def headline_of(splits: Splits) -> SplitName:
    """The split that a run's figures are of: the test pictures, where there are any."""
    return "test" if len(splits.test) else "val"


def finish(
    trained: Trained,
    clock: Stopwatch,
    planned_seconds: Mapping[str, float] | None,
    int8_cost: Int8Cost | None,
    report: bool = True,
) -> RunFigures:
    """Predict, measure and, for a `report`, draw; leave it all in the run folder. Only the first rank draws."""
    folder, classifier = trained.folder, trained.model.classifier
    scores = _score_held_out(trained)
    predictions = {name: classifier.predictions_of(found) for name, found in scores.items()}
    folder.predictions.mkdir(exist_ok=True)
    for name, found in predictions.items():
        save_predictions(found, folder.predictions / f"{name}.csv")
    trust = measure_trust(classifier, scores)
    flip_tta = _measure_flip_tta(trained, predictions) if trained.config.tta == "flip" else None
    figures = _measure(trained, predictions, trust, flip_tta, planned_seconds, int8_cost)
    clock.lap("evaluate")
    if not trained.batches.ranks.is_first:
        return figures
    if report:
        shown = predictions[figures.figures_of]
        draw_pictures(folder, trained.dataset, classifier, trained.fitted.history, shown, figures.headline)
        clock.lap("draw")
    figures = replace(figures, seconds=dict(clock.seconds))
    figures.save(folder.metrics)
    if report:
        _write_pages(folder)
    return figures


def change_threshold(path: Path, config: TrainConfig) -> RunFigures:
    """Set the threshold for `unsure` of a finished run by `target_accuracy` or `coverage` of these options, or none.

    It is chosen on the run's own predictions of its validation pictures; no picture is read. Classifier, figures,
    options, report and model card are written anew. Raises `ConfigError` or `DataError` where the run is not whole.
    """
    require_one_threshold(config)
    record = read_run(path)
    if record.missing or record.figures is None or record.config is None:
        raise DataError(f"{path} is not a whole run, so its threshold cannot be changed: {'; '.join(record.missing)}")
    folder, classifier = record.folder, NetworkClassifier.load(path)
    threshold = choose_threshold(record.predictions["val"], config)
    classifier.trust = replace(classifier.trust, unsure_below=threshold)
    splits = {
        name: replace(of_split, answered=_answered(threshold, record.predictions[name]))
        for name, of_split in record.figures.trust.splits.items()
    }
    figures = replace(record.figures, trust=replace(record.figures.trust, unsure_below=threshold, splits=splits))
    wanted = {"target_accuracy": config.target_accuracy, "coverage": config.coverage}
    record.config.model_copy(update=wanted).save(folder.config)
    classifier.save(folder.classifier)
    figures.save(folder.metrics)
    _write_pages(folder)
    return figures


def _write_pages(folder: RunFolder) -> None:
    """Write what is made from the other files of a run."""
    record = read_run(folder.path)
    write_report(record, folder.report)
    write_model_card(record, folder.classifier / "README.md")


def _score_held_out(trained: Trained) -> dict[SplitName, Scores]:
    """Run the validation and test pictures through the network from their files, as a user would.

    The classifier is calibrated on the validation pictures, and saved, before it sees the test pictures.
    """
    classifier, dataset, splits = trained.model.classifier, trained.dataset, trained.splits
    scores: dict[SplitName, Scores] = {
        "val": calibrate(trained.model, trained.batches, dataset, splits.val, trained.config, trained.judged)
    }
    classifier.save(trained.folder.classifier)
    if len(splits.test):
        scores["test"] = score_together(classifier, dataset, splits.test, "predict test", trained.batches.ranks)
    return scores


def _measure(
    trained: Trained,
    predictions: Mapping[SplitName, Predictions],
    trust: TrustFigures,
    flip_tta: Mapping[SplitName, Accuracy] | None,
    planned_seconds: Mapping[str, float] | None,
    int8_cost: Int8Cost | None,
) -> RunFigures:
    """The figures but for the time that they took."""
    dataset, model, fitted = trained.dataset, trained.model, trained.fitted
    metrics = {name: compute_metrics(found, name) for name, found in predictions.items()}
    counts = np.bincount(dataset.targets[trained.splits.train], minlength=len(dataset.class_names))
    headline = headline_of(trained.splits)
    return RunFigures(
        figures_of=headline,
        val=metrics["val"],
        test=metrics.get("test"),
        class_names=dataset.class_names,
        train_counts=tuple(counts.tolist()),
        majority=_measure_majority(predictions[headline], counts.tolist()),
        probe=_measure_probe(trained.folder.probe_predictions),
        flip_tta=flip_tta,
        trust=trust,
        best_epoch=fitted.best_epoch,
        epochs=fitted.history[-1].epoch,
        interrupted=fitted.interrupted,
        layers=len(model.frozen.layers),
        trained_layers=len(model.frozen.layers) - model.frozen.first_trainable,
        trainable_parameters={
            "backbone": model.frozen.trainable_parameters,
            "head": sum(parameter.numel() for parameter in model.tail.head.parameters()),
        },
        seconds={},
        planned_seconds=planned_seconds,
        int8_trunk=None if int8_cost is None else asdict(int8_cost),
        val_folds=None if trained.judged is None else FOLDS,
    )


def measure_trust(classifier: NetworkClassifier, scores: Mapping[SplitName, Scores]) -> TrustFigures:
    """What the classifier knows of its answers, and what that does to each split."""
    trust = classifier.trust
    assert trust.training is not None
    splits: dict[SplitName, SplitTrust] = {}
    for name, of_split in scores.items():
        assert of_split.distances is not None
        found = classifier.predictions_of(of_split)
        raw = found.with_probabilities(Scaling().probabilities(of_split.logits))
        splits[name] = SplitTrust(
            before=measure_calibration(raw),
            after=measure_calibration(found),
            answered=_answered(trust.unsure_below, found),
            far=float((of_split.distances > trust.training.threshold).mean()),
        )
    return TrustFigures(trust.scaling, trust.unsure_below, trust.training.threshold, splits)


def _answered(threshold: float | None, predictions: Predictions) -> Answered | None:
    return None if threshold is None else measure_answered(predictions, threshold)


def _measure_flip_tta(trained: Trained, predictions: Mapping[SplitName, Predictions]) -> dict[SplitName, Accuracy]:
    """How often the answers are right that are averaged over each picture and its mirror image."""
    classifier, judged, ranks = trained.model.classifier, trained.judged, trained.batches.ranks
    measured: dict[SplitName, Accuracy] = {}
    for name, plain in predictions.items():
        if name == "val" and judged is not None:
            assert judged.mirrored_logits is not None
            mirrored = classifier.trust.probabilities(judged.mirrored_logits)
        else:
            indices, title = getattr(trained.splits, name), f"predict {name}, mirrored"
            own = Mirrored(classifier).predict_dataset(trained.dataset, ranks.share(indices), title)
            mirrored = ranks.join_rows(indices, own.probabilities)
        averaged = plain.with_probabilities(average_of(plain.probabilities, mirrored))
        measured[name] = _measure_accuracy(averaged)
    return measured


def _measure_majority(predictions: Predictions, train_counts: Sequence[int]) -> Accuracy:
    """How often the largest class of the training pictures would be right."""
    return _accuracy(int((predictions.targets == int(np.argmax(train_counts))).sum()), len(predictions))


def _measure_probe(path: Path) -> Accuracy | None:
    """How good the linear probe is; None where it was not predicted, since it is the classifier itself."""
    if not path.exists():
        return None
    return _measure_accuracy(load_predictions(path))


def _measure_accuracy(predictions: Predictions) -> Accuracy:
    return _accuracy(int((predictions.labels == predictions.targets).sum()), len(predictions))


def _accuracy(right: int, pictures: int) -> Accuracy:
    return Accuracy(right / pictures, *accuracy_interval(right, pictures))
