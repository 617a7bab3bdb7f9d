"""The model card: valid metadata, every figure of the run, nothing that a name could break."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData
from markdown_it import MarkdownIt

from frostline.config import TrainConfig
from frostline.results.calibration import ANSWER_NOTHING
from frostline.results.figures import RunFigures
from frostline.results.pages.model_card import write_model_card
from frostline.results.predictions import Predictions
from frostline.results.record import RunRecord
from frostline.results.run_folder import RunFolder
from frostline.results.thumbnails import Thumbnails

ODD_NAMES = (
    "a|b",
    "<script>alert(1)</script>",
    "🥭 mango",
    "two\nlines\n---\nlicense: none",
    "key: value",
    "\"double\" and 'single'",
    "`code` **bold**",
    "שלום",
)
ENVIRONMENT = {
    "frostline": "0.1.0",
    "python": "3.12.3",
    "versions": {"torch": "2.13.0", "timm": "1.0.31"},
    "weights": {
        "description": "model.safetensors from timm's hub",
        "sha256": "ab12" * 16,
        "licence": "apache-2.0",
        "repository": "timm/mobilenetv2_100.ra_in1k",
    },
    "dataset": {"name": "photos", "licence": "CC BY-SA 4.0", "notes": ["the labels are the folders' names"]},
}
Draw = Callable[..., Predictions]
MakeFigures = Callable[..., RunFigures]


@pytest.fixture
def record(tmp_path: Path, draw_predictions: Draw, make_figures: MakeFigures) -> RunRecord:
    """A run on test pictures of three classes."""
    names = ("ant", "bee", "cat")
    return RunRecord(
        folder=RunFolder(tmp_path / "photos-mobilenetv2_100-1"),
        config=TrainConfig.make(recipe="classic"),
        environment=ENVIRONMENT,
        history=(),
        figures=make_figures(draw_predictions(names), draw_predictions(names, 300, seed=1)),
        predictions={},
        probe=None,
        layers=(),
        notes=("3 pictures are there twice | or more",),
        thumbnails=Thumbnails({}),
        missing=(),
    )


def with_environment(record: RunRecord, part: str, **changes: Any) -> RunRecord:
    return replace(record, environment={**ENVIRONMENT, part: {**ENVIRONMENT[part], **changes}})  # type: ignore[dict-item]


def card_of(record: RunRecord, folder: Path) -> str:
    path = folder / "README.md"
    write_model_card(record, path)
    return path.read_text(encoding="utf-8")


def read_by_hugging_face(card: str) -> ModelCardData:
    data = ModelCard(card).data
    assert isinstance(data, ModelCardData)
    return data


def metadata_of(card: str) -> dict[str, Any]:
    start, metadata, _ = card.split("---\n", 2)
    assert start == ""
    values = yaml.safe_load(metadata)
    assert isinstance(values, dict)
    return values


def tables_of(card: str) -> list[list[list[str]]]:
    """The cells of every table, by row, as a reader sees them."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(card.split("---\n", 2)[2])
    assert not [token for token in tokens if token.type == "html_block"]
    tables: list[list[list[str]]] = []
    for position, token in enumerate(tokens):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type in ("th_open", "td_open"):
            children = tokens[position + 1].children or []
            assert not [child for child in children if child.type == "html_inline"]
            tables[-1][-1].append("".join(child.content for child in children))
    return tables


def test_hugging_face_reads_the_metadata(record: RunRecord, tmp_path: Path) -> None:
    data = read_by_hugging_face(card_of(record, tmp_path))
    assert data.license == "apache-2.0"
    assert data.library_name == "frostline"
    assert data.pipeline_tag == "image-classification"
    assert data.base_model == "timm/mobilenetv2_100.ra_in1k"
    assert data.model_name == "photos-mobilenetv2_100-1"
    assert record.figures is not None
    assert data.eval_results is not None
    (result,) = data.eval_results
    assert (result.dataset_name, result.dataset_type, result.dataset_split) == ("photos", "photos", "test")
    assert (result.metric_type, result.metric_value) == ("accuracy", round(record.figures.headline.accuracy, 6))


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("CC BY-SA 4.0", {"license": "cc-by-sa-4.0"}),
        ("dinov3-license", {"license": "other", "license_name": "dinov3-license"}),
        (None, {}),
    ],
)
def test_the_licence_of_the_weights(
    record: RunRecord, tmp_path: Path, licence: str | None, expected: dict[str, str]
) -> None:
    card = card_of(with_environment(record, "weights", licence=licence), tmp_path)
    metadata = metadata_of(card)
    assert {name: value for name, value in metadata.items() if name.startswith("license")} == expected
    assert f"licence: {licence or 'not stated'}." in card


def test_weights_from_elsewhere_name_no_base_model(record: RunRecord, tmp_path: Path) -> None:
    other = with_environment(record, "weights", repository=None, sha256=None)
    card = card_of(other, tmp_path)
    assert "base_model" not in metadata_of(card)
    assert "SHA-256" not in card


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_of_dataset_and_run(record: RunRecord, tmp_path: Path, name: str) -> None:
    odd = with_environment(record, "dataset", name=name, licence=name)
    folder = RunFolder(tmp_path / name.replace("/", "_"))
    card = card_of(replace(odd, folder=folder), tmp_path)
    (entry,) = metadata_of(card)["model-index"]
    assert entry["results"][0]["dataset"]["name"] == " ".join(name.split())
    assert entry["name"] == " ".join(folder.path.name.split())
    assert "license" in metadata_of(card)
    assert len(tables_of(card)) == 4
    assert read_by_hugging_face(card).pipeline_tag == "image-classification"


def test_odd_class_names_are_shown_as_they_are(
    record: RunRecord, tmp_path: Path, draw_predictions: Draw, make_figures: MakeFigures
) -> None:
    figures = make_figures(draw_predictions(ODD_NAMES), draw_predictions(ODD_NAMES, 240, seed=1))
    card = card_of(replace(record, figures=figures), tmp_path)
    shown = [" ".join(name.split()) for name in ODD_NAMES]
    counts, _, classes, _ = tables_of(card)
    assert [row[0] for row in counts[1:-1]] == shown
    assert [row[0] for row in classes[1:]] == shown
    assert {len(row) for row in counts} == {4}
    assert {len(row) for row in classes} == {7}
    assert "<script" not in card
    assert metadata_of(card)["license"] == "apache-2.0"


def test_the_figures_are_those_of_the_run(record: RunRecord, tmp_path: Path) -> None:
    card = card_of(record, tmp_path)
    assert record.figures is not None
    metrics = record.figures.headline
    counts, figures, classes, training = tables_of(card)
    assert counts[1] == ["ant", "100", "20", "100"]
    assert counts[-1] == ["all", "303", "60", "300"]
    values = {row[0]: row[1:] for row in figures}
    interval = f"{metrics.accuracy_low:.1%} to {metrics.accuracy_high:.1%}"
    assert values["accuracy"] == [f"{metrics.accuracy:.1%}", interval]
    assert values["accuracy of always naming the largest class"] == ["25.0%", "20.0% to 30.0%"]
    assert values["accuracy of a linear probe of the pretrained features"] == ["37.5%", "30.0% to 45.0%"]
    assert values["macro F1"][0] == f"{metrics.macro_f1:.3f}"
    assert values["loss (cross-entropy, nats)"][0] == f"{metrics.loss:.4f}"
    error = record.figures.trust.splits["test"].after.error
    assert values["expected calibration error (15 bins)"][0] == f"{error:.4f}"
    for entry, row in zip(metrics.per_class, classes[1:], strict=True):
        assert row[:3] == [entry.name, f"{entry.support}", f"{entry.recall:.1%}"]
        assert row[5] == f"{entry.precision_low:.1%} to {entry.precision_high:.1%}"
    options = dict(training[1:])
    assert options["layers trained"] == "the backbone's last 20 of 147 (1,206,080 parameters)"
    assert options["epochs"] == "3; epoch 2 was the best on the validation pictures"
    assert options["versions"] == "frostline 0.1.0, python 3.12.3, torch 2.13.0, timm 1.0.31"


def test_use_data_answers_and_licences_are_told(record: RunRecord, tmp_path: Path) -> None:
    card = card_of(record, tmp_path)
    assert 'ImageClassifier.load(".")' in card
    assert "frostline predict . picture.jpg" in card
    assert "300 test pictures, which were kept from all decisions" in card
    assert "photos; licence: CC BY-SA 4.0." in card
    assert "- 3 pictures are there twice \\| or more" in card
    assert "- the labels are the folders' names" in card
    assert "It answers `unsure` below a confidence of 0.6000" in card
    assert "distance is over 0.188" in card
    assert "1.5% of the test pictures" in card
    assert "model.safetensors from timm's hub (SHA-256 `ab12" in card
    assert "## Limits\n\n- It knows 3 classes" in card
    assert card.endswith(".\n")
    assert "\n\n\n" not in card


@pytest.mark.parametrize(
    ("threshold", "said"),
    [(None, "It has no threshold for `unsure`"), (ANSWER_NOTHING, "it answers `unsure` to every picture")],
)
def test_other_thresholds(record: RunRecord, tmp_path: Path, threshold: float | None, said: str) -> None:
    assert record.figures is not None
    trust = replace(record.figures.trust, unsure_below=threshold)
    assert said in card_of(replace(record, figures=replace(record.figures, trust=trust)), tmp_path)


def test_without_test_pictures(
    record: RunRecord, tmp_path: Path, draw_predictions: Draw, make_figures: MakeFigures
) -> None:
    card = card_of(replace(record, figures=make_figures(draw_predictions(("a", "b")))), tmp_path)
    assert "60 validation pictures, by which the epoch was chosen" in card
    assert {len(row) for row in tables_of(card)[0]} == {3}
    assert metadata_of(card)["model-index"][0]["results"][0]["dataset"]["split"] == "validation"


def test_a_class_that_was_not_measured(
    record: RunRecord, tmp_path: Path, draw_predictions: Draw, make_figures: MakeFigures
) -> None:
    figures = make_figures(draw_predictions(("a", "b", "c"), 2))
    _, _, classes, _ = tables_of(card_of(replace(record, figures=figures), tmp_path))
    assert classes[3] == ["c", "0", "not measured", "", "", "", ""]


def test_a_linear_probe_has_no_optimiser(record: RunRecord, tmp_path: Path) -> None:
    assert record.figures is not None
    probe = replace(record.figures, epochs=0, best_epoch=0, trained_layers=0, probe=None)
    options = dict(tables_of(card_of(replace(record, figures=probe), tmp_path))[3][1:])
    assert options["epochs"] == "none: the head is a linear probe in closed form"
    assert options["layers trained"] == "none of the backbone"
    assert "optimiser" not in options
    start = replace(record.figures, best_epoch=0)
    assert "the start before the first was the best" in card_of(replace(record, figures=start), tmp_path)


@pytest.mark.parametrize(
    ("missing", "gone"),
    [
        ({"figures": None}, ["## Figures", "## Limits", "model-index", "| class |"]),
        ({"config": None}, ["| seed |", "It is the backbone"]),
        ({"environment": {}}, ["## Licences", "license:", "| versions |", "It was trained on"]),
        ({"notes": None}, ["there twice"]),
        ({"figures": None, "config": None, "environment": {}, "notes": None}, ["## Data", "## Training"]),
    ],
)
def test_what_is_missing_is_left_out(
    record: RunRecord, tmp_path: Path, missing: dict[str, Any], gone: list[str]
) -> None:
    whole = card_of(record, tmp_path)
    card = card_of(replace(record, **missing), tmp_path)
    for text in gone:
        assert text in whole
        assert text not in card
    assert "\n\n\n" not in card
    assert "None" not in card
    assert read_by_hugging_face(card).library_name == "frostline"
