"""The commands that take a classifier elsewhere: exported, or served."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from frostline.cli_options import PATH
from frostline.cli_output import print_export, print_json

if TYPE_CHECKING:
    from frostline.model.exported import ExportFormat

FORMATS = ("onnx", "openvino", "torchscript")


@click.command()
@click.argument("classifier", type=PATH)
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="What is to run the classifier.")
@click.option("--int8", is_flag=True, help="Weights and activations in 8 bits, for OpenVINO; calibrated on pictures.")
@click.option("--output", type=PATH, metavar="FOLDER", help="The new folder; by default exports/FORMAT in CLASSIFIER.")
@click.option("--pictures", metavar="SOURCE", help="Labelled pictures to prove it on, not those of CLASSIFIER's run.")
@click.option("--data-dir", type=PATH, help="Where named datasets are looked for first.")
@click.option("--allow-disagreement", is_flag=True, help="Keep an artefact that fails the gate, marked as such.")
@click.option("--json", "as_json", is_flag=True, help="Print what the gate saw as JSON.")
def export(
    classifier: Path,
    form: "ExportFormat",
    int8: bool,
    output: Path | None,
    pictures: str | None,
    data_dir: Path | None,
    allow_disagreement: bool,
    as_json: bool,
) -> None:
    """Export a classifier, and prove that it still agrees.

    CLASSIFIER is the folder of a run or of a classifier. One artefact takes uint8 RGB pictures of any size and gives
    calibrated probabilities; resizing and normalisation are in it. It is then run beside the classifier on the run's
    validation pictures, read anew from their files: where less than 99.9% of the answers agree (98.5% for --int8, which
    may lose half a point of accuracy), nothing is kept, and the exit code is 5. What was seen is in its parity.json.
    `frostline predict` and `frostline serve` take the artefact as they take a classifier.
    """
    from frostline.deploy.export import default_output, require_exportable
    from frostline.deploy.export import export as export_classifier
    from frostline.deploy.proof_pictures import find_proof_pictures
    from frostline.model.network_classifier import NetworkClassifier

    require_exportable(form, int8=int8)
    folder = output or default_output(classifier, form, int8=int8)
    loaded = NetworkClassifier.load(classifier)
    proof = find_proof_pictures(classifier, pictures, data_dir)
    exported = export_classifier(loaded, form, folder, proof, int8=int8, allow_disagreement=allow_disagreement)
    if as_json:
        print_json({"folder": str(exported.folder), **exported.parity.to_dict()})
    else:
        print_export(exported)


@click.command()
@click.argument("classifier", type=PATH)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0 is all of them.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8000, show_default=True, help="0: one that is free.")
@click.option(
    "--token", envvar="FROSTLINE_TOKEN", help="What clients must send as bearer token; better in FROSTLINE_TOKEN."
)
@click.option("--top-k", type=int, default=5, show_default=True, help="Classes in an answer, if the client is silent.")
@click.option("--max-body-bytes", type=int, default=20 * 2**20, show_default=True, help="Of a request.")
@click.option("--max-pixels", type=int, default=50_000_000, show_default=True, help="Width times height of a picture.")
@click.option("--max-pictures", type=int, default=32, show_default=True, help="In one request.")
@click.option("--max-seconds", type=float, default=30.0, show_default=True, help="For one request.")
@click.option("--max-requests", type=int, default=64, show_default=True, help="In flight at a time.")
@click.option("--batch-size", type=int, default=16, show_default=True, help="Pictures computed at once; 1: singly.")
@click.option("--batch-wait", type=float, default=2.0, show_default=True, help="Milliseconds to wait for others.")
def serve(classifier: Path, **settings: Any) -> None:
    """Serve a classifier by HTTP, with a page to drop pictures on.

    CLASSIFIER is the folder of a run, of a classifier, or what `frostline export` wrote. POST /predict takes pictures
    as a form or as the body itself, and answers in JSON; the page is at /, the description of all routes at
    /openapi.json, figures for Prometheus at /metrics. Pictures that come at the same time are computed together.
    SIGTERM or Ctrl-C stops it once all that was accepted is answered.
    """
    from frostline.deploy.server.run import serve as run_server
    from frostline.deploy.server.settings import Settings

    run_server(classifier, Settings(**settings))
