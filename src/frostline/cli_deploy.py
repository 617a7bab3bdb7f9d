"""The commands that take a classifier elsewhere: exported, or served."""

from pathlib import Path
from typing import TYPE_CHECKING

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
