"""The commands that use a trained classifier on pictures."""

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from frostline.cli_options import COLUMNS, FILE, PATH, TTA, config_options, new_file
from frostline.cli_output import counted, print_json, print_metrics
from frostline.config import TestTimeAugmentation
from frostline.errors import ConfigError, DataError

if TYPE_CHECKING:
    from frostline.data.dataset import SplitName
    from frostline.model.classifier import ImageClassifier
    from frostline.results.answers import Answer

TABLE_BATCH = 128
"""Pictures in a batch where nobody waits for the first answers; a divisor of `answer_table.PIECE`."""


@click.command()
@click.argument("classifier", type=PATH)
@click.argument("source")
@config_options("data_dir", *COLUMNS)
@click.option("--split", type=click.Choice(["train", "val", "test"]), help="Only the pictures of this split of SOURCE.")
@TTA
@click.option("--csv", "csv_file", type=FILE, callback=new_file, help="Save the predictions to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def evaluate(
    classifier: Path,
    source: str,
    data_dir: Path | None,
    split: "SplitName | None",
    tta: TestTimeAugmentation,
    csv_file: Path | None,
    as_json: bool,
    **columns: str | None,
) -> None:
    """Measure a classifier on labelled pictures.

    CLASSIFIER is the folder of a run or of a classifier, SOURCE is as in `frostline train`. Without --split, the test
    split is used where SOURCE brings one, else all pictures.
    """
    from frostline.data.tables import Columns
    from frostline.model.evaluation import evaluate_source

    named = Columns(**{name.removesuffix("_column"): value for name, value in columns.items()})
    metrics = evaluate_source(
        classifier, source, data_dir=data_dir, columns=named, split=split, tta=tta, csv_file=csv_file
    )
    if as_json:
        print_json(metrics.to_dict())
    else:
        print_metrics(metrics, f"{counted(metrics)} of {source}")


@click.command()
@click.argument("classifier", type=PATH)
@click.argument("pictures", nargs=-1, required=True)
@click.option(
    "--top-k", type=click.IntRange(min=1), default=1, show_default=True, help="Classes to give for each picture."
)
@TTA
@click.option("--csv", "csv_file", type=FILE, callback=new_file, help="Write a table to this file.")
@click.option("--continue", "go_on", is_flag=True, help="Go on with a --csv or an --output that was stopped.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="What does the work."
)
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), help="Write parquet files to this folder, with ray."
)
@click.option("--ray-address", metavar="ADDRESS", help="The Ray cluster to join, or auto; else one is started.")
@config_options("path_column")
def predict(
    classifier: Path,
    pictures: Sequence[str],
    top_k: int,
    tta: TestTimeAugmentation,
    csv_file: Path | None,
    go_on: bool,
    as_json: bool,
    engine: Literal["local", "ray"],
    output: Path | None,
    ray_address: str | None,
    path_column: str | None,
) -> None:
    """Classify pictures.

    CLASSIFIER is the folder of a run or of a classifier. PICTURES are files, folders, patterns such as "new/*.jpg", or
    - for a list of files on standard input. The answers come in the same order. Where the classifier has a threshold
    (see train --target-accuracy), pictures of less confidence are answered unsure; those that are far from what it was
    trained on are flagged. A picture that cannot be read is a row with its error, and the exit code is 3 then.

    With --csv, the rows gather in FILE.partial until all are there. If that is stopped, the same command with
    --continue goes on.

    With --engine ray, the machines of a Ray cluster share the work, or all cores of this one. PICTURES may be addresses
    such as s3://bucket/photos, too, and parquet tables of pictures or of their paths.
    """
    if csv_file is not None and as_json:
        raise ConfigError("--csv and --json cannot both be given")
    if engine == "ray":
        if output is None or csv_file is not None or as_json:
            raise ConfigError("--engine ray writes parquet files: give --output FOLDER, without --csv and --json")
        _fail_for_unreadable(_predict_on_ray(classifier, pictures, top_k, tta, output, go_on, ray_address, path_column))
        return
    for flag, value in (("--output", output), ("--ray-address", ray_address), ("--path-column", path_column)):
        if value is not None:
            raise ConfigError(f"{flag} is for --engine ray: give that too, or leave it out")
    if go_on and csv_file is None:
        raise ConfigError("--continue goes on with a table: give the --csv that was stopped")
    from frostline.model.classifier import ImageClassifier, digest_classifier
    from frostline.results.answer_table import Origin, save_answers
    from frostline.results.answers import write_json, write_text

    inputs = _inputs(pictures)
    loaded = ImageClassifier.load(classifier).with_tta(tta)
    classes = min(top_k, len(loaded.class_names))
    if csv_file is not None:
        origin = Origin(digest_classifier(classifier), classes, tta, tuple(pictures))
        answer_each = partial(_answers, loaded, classes, batch_size=TABLE_BATCH)
        errors = save_answers(csv_file, origin, inputs, answer_each, go_on=go_on)
    else:
        write = write_json if as_json else write_text
        errors = write(_answers(loaded, classes, inputs), sys.stdout, classes)
    _fail_for_unreadable(errors)


@click.command()
@click.argument("classifier", type=PATH)
@click.argument("pictures", nargs=-1, required=True)
@click.option("--class", "class_name", metavar="NAME", help="Explain this class, not each picture's most probable one.")
@click.option(
    *("--out", "folder"),
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("explanations"),
    show_default=True,
    help="The folder to write to.",
)
def explain(classifier: Path, pictures: Sequence[str], class_name: str | None, folder: Path) -> None:
    """Show what in a picture speaks for its class.

    CLASSIFIER and PICTURES are as in `frostline predict`. For each picture a PNG is written: to the left what the
    network sees, to the right the same with heat on what speaks for the class, by Grad-CAM. Nothing is overwritten. A
    picture that cannot be read is a row with its error, and the exit code is 3 then.
    """
    from frostline.model.explanations import Explanation, explain_files
    from frostline.model.network_classifier import NetworkClassifier
    from frostline.results.answers import printable

    inputs = _inputs(pictures)
    errors = 0
    for item in explain_files(NetworkClassifier.load(classifier), inputs, folder, class_name):
        if isinstance(item, Explanation):
            shown = f"{item.class_name} {item.probability:.4f}\t{printable(item.file)}"
        else:
            shown, errors = f"error: {item.reason}", errors + 1
        print(f"{printable(item.path)}\t{shown}", flush=True)
    _fail_for_unreadable(errors)


def _inputs(names: Sequence[str]) -> Iterator[Path]:
    """The picture files that are named; `-` stands for standard input."""
    from frostline.data.inputs import expand_inputs

    return expand_inputs(names, _listed(names))


def _listed(names: Sequence[str]) -> Iterable[str]:
    """Standard input, whose names need not be UTF-8 where it is named by `-`."""
    if "-" in names and isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    return sys.stdin


def _predict_on_ray(
    classifier: Path,
    names: Sequence[str],
    top_k: int,
    tta: TestTimeAugmentation,
    folder: Path,
    go_on: bool,
    address: str | None,
    path_column: str | None,
) -> int:
    """See `ray_engine.predict_on_ray`; what can be wrong here is looked at before the cluster is."""
    from frostline.deploy.batch.listing import list_pictures
    from frostline.deploy.batch.ray_engine import import_ray, predict_on_ray
    from frostline.model.classifier import ImageClassifier

    import_ray()
    classes = min(top_k, len(ImageClassifier.load(classifier).class_names))
    pictures = list_pictures(names, _listed(names), path_column)
    return predict_on_ray(classifier, pictures, folder, classes, tta=tta, go_on=go_on, address=address)


def _answers(
    classifier: "ImageClassifier", classes: int, pictures: Iterable[Path], expected: int = 0, batch_size: int = 32
) -> Iterator["Answer"]:
    """What the classifier answers, with so many classes each; see `ImageClassifier.predict_each`."""
    from frostline.model.prediction import Prediction
    from frostline.results.answers import Answer, printable

    for item in classifier.predict_each(pictures, batch_size, expected):
        path = printable(item.path)
        if isinstance(item, Prediction):
            yield Answer(path, item.answer, tuple(item.top(classes)), item.far)
        else:
            yield Answer(path, error=item.reason)


def _fail_for_unreadable(errors: int) -> None:
    """End with the exit code of `DataError` where pictures could not be read."""
    if errors:
        raise DataError(
            f"{errors:,} {'picture' if errors == 1 else 'pictures'} could not be read; each is a row with its error"
        )
