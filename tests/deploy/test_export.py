"""An artefact answers as its classifier does, by its real runtime; one that does not is not let out."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image
from tests.deploy.conftest import CLASSES, make_carrier, make_pictures
from torch import Tensor

from frostline.data.dataset import Picture
from frostline.deploy import onnx_format, openvino_format, torchscript_format
from frostline.deploy.answering import Answering
from frostline.deploy.export import default_output, export, run_in_memory
from frostline.deploy.proof_pictures import ProofPictures, find_proof_pictures
from frostline.errors import ConfigError, ExportError, ModelError
from frostline.model.classifier import ImageClassifier
from frostline.model.exported import FILES, ExportedClassifier, ExportFormat
from frostline.model.network_classifier import NetworkClassifier
from frostline.model.prediction import Prediction
from frostline.model.runtimes import BATCH

FORMATS: tuple[ExportFormat, ...] = ("onnx", "openvino", "torchscript")
TOLERANCE = 2e-5
"""Of probabilities, for the same pixels."""
ROUNDING = 5e-3
"""Of probabilities, where a few pixels may be rounded to the other level."""

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def proof(labelled: Path) -> ProofPictures:
    return find_proof_pictures(Path("nowhere"), str(labelled))


@pytest.fixture(scope="module", autouse=True)
def _converted_once() -> Iterator[None]:
    """Converting the same network to ONNX takes seconds each time."""
    convert = onnx_format._network
    kept: dict[int, Any] = {}

    def converted(classifier: NetworkClassifier) -> Any:
        if id(classifier) not in kept:
            kept[id(classifier)] = convert(classifier)
        return deepcopy(kept[id(classifier)])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_format, "_network", converted)
        yield


@pytest.fixture(scope="module")
def artefacts(
    carrier: NetworkClassifier, proof: ProofPictures, tmp_path_factory: pytest.TempPathFactory
) -> dict[ExportFormat, Path]:
    """Folders of artefacts that have passed the gate."""
    place = tmp_path_factory.mktemp("artefacts")
    return {form: export(carrier, form, place / form, proof).folder for form in FORMATS}


def assert_same(expected: list[Prediction], found: list[Prediction], tolerance: float = TOLERANCE) -> None:
    assert len(expected) == len(found)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other.probabilities, one.probabilities, rtol=0, atol=tolerance)
        assert one.distance is not None
        assert other.distance == pytest.approx(one.distance, abs=tolerance)
        assert (other.answer, other.unsure, other.far) == (one.answer, one.unsure, one.far)


@pytest.mark.parametrize("form", FORMATS)
def test_an_artefact_answers_as_its_classifier(
    form: ExportFormat, artefacts: dict[ExportFormat, Path], carrier: NetworkClassifier, shapes: list[Picture]
) -> None:
    exported = ImageClassifier.load(artefacts[form])
    expected = carrier.predict(shapes)
    assert {prediction.unsure for prediction in expected} == {True, False}
    assert exported.class_names == CLASSES
    assert_same(expected, exported.predict(shapes))
    assert_same(expected, ImageClassifier.load(artefacts[form] / FILES[form]).predict(shapes))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("resize_mode", ["crop", "stretch"])
def test_an_artefact_fits_pictures_as_pillow_does(
    form: ExportFormat, resize_mode: str, shapes: list[Picture], tmp_path: Path
) -> None:
    stretching = make_carrier(resize_mode)
    module = {"onnx": onnx_format, "openvino": openvino_format, "torchscript": torchscript_format}[form]
    from frostline.deploy.export import _describe

    module.save(module.convert(stretching), tmp_path, _describe(stretching, "float32").to_json())
    exported = ExportedClassifier.load(tmp_path)
    for picture, expected in zip(shapes, stretching.predict(shapes), strict=True):
        found = exported.answer_whole(picture)
        np.testing.assert_allclose(found.probabilities[0], expected.probabilities, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("count", [1, 2, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH + 5])
def test_the_size_of_a_batch_changes_nothing(
    form: ExportFormat, count: int, artefacts: dict[ExportFormat, Path], carrier: NetworkClassifier
) -> None:
    pictures = make_pictures([(64, 64), (30, 30), (90, 70)] * (count // 3 + 1))[:count]
    assert_same(carrier.predict(pictures), ImageClassifier.load(artefacts[form]).predict(pictures, batch_size=200))


def test_a_classifier_runs_in_memory_as_its_artefact_does(carrier: NetworkClassifier, shapes: list[Picture]) -> None:
    assert_same(carrier.predict(shapes), run_in_memory(carrier).predict(shapes))


@pytest.mark.parametrize("form", FORMATS)
def test_the_gate_s_figures_are_kept_and_the_readme_s_code_runs(
    form: ExportFormat, artefacts: dict[ExportFormat, Path], carrier: NetworkClassifier, tmp_path: Path
) -> None:
    folder = artefacts[form]
    seen = json.loads((folder / "parity.json").read_text(encoding="utf-8"))
    assert seen["passed"]
    assert (seen["format"], seen["pictures"], seen["failures"]) == (form, 24, [])
    assert seen["fitted"]["top1"] == seen["whole"]["top1"] == 1
    assert seen["exported"]["bytes"] == sum((folder / name).stat().st_size for name in _files(form))
    (picture,) = make_pictures([(150, 100)])
    Image.fromarray(picture).save(tmp_path / "picture.jpg", quality=100, subsampling=0)
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    for name in _files(form):
        (tmp_path / name).symlink_to(folder / name)
    command = [sys.executable, "-W", "ignore", "-X", "utf8", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    (expected,) = carrier.predict([tmp_path / "picture.jpg"])
    assert done.returncode == 0, done.stderr
    answer, _, probability = done.stdout.strip().rpartition(" ")
    assert answer == expected.label
    assert float(probability) == pytest.approx(expected.confidence, abs=ROUNDING)


def _files(form: ExportFormat) -> tuple[str, ...]:
    return (FILES[form], "model.bin") if form == "openvino" else (FILES[form],)


def _replace_in_onnx(old: str, new: str) -> Callable[[pytest.MonkeyPatch], None]:
    def change(patch: pytest.MonkeyPatch) -> None:
        assert old in onnx_format._PREPROCESSING
        patch.setattr(onnx_format, "_PREPROCESSING", onnx_format._PREPROCESSING.replace(old, new))

    return change


def _nearest_in_openvino(patch: pytest.MonkeyPatch) -> None:
    from openvino import opset15 as ops

    def nearest(x: Any, width: Any) -> Any:
        return ops.interpolate(x, width, "nearest", "sizes", axes=openvino_format._whole([3]))

    patch.setattr(openvino_format, "_resize", nearest)


def _unnormalised_in_openvino(patch: pytest.MonkeyPatch) -> None:
    plain = openvino_format._of_channels
    patch.setattr(
        openvino_format, "_of_channels", lambda values: plain((0.5, 0.5, 0.5) if max(values) < 0.3 else (0,) * 3)
    )


def _swapped_in_openvino(patch: pytest.MonkeyPatch) -> None:
    right = openvino_format._preprocessing

    def swapped(preprocessing: Any) -> tuple[Any, Any]:
        from openvino import opset15 as ops

        pictures, pixels = right(preprocessing)
        return pictures, ops.gather(pixels, openvino_format._whole([2, 1, 0]), openvino_format._whole(1))

    patch.setattr(openvino_format, "_preprocessing", swapped)


_UNIT = "centred = Sub (unit, mean)"
WRONG: dict[str, tuple[ExportFormat, Callable[[pytest.MonkeyPatch], None]]] = {
    "onnx, channels swapped": (
        "onnx",
        _replace_in_onnx(
            "exact = Cast <to = 1> (upright)",
            "order = Constant <value_ints = [2, 1, 0]> ()\nswapped = Gather <axis = 1> (upright, order)\n"
            "exact = Cast <to = 1> (swapped)",
        ),
    ),
    "onnx, not normalised": (
        "onnx",
        _replace_in_onnx("normalised = Div (centred, std)", "normalised = Identity (unit)"),
    ),
    "onnx, nearest": (
        "onnx",
        _replace_in_onnx('mode = "cubic", {resize}', 'mode = "nearest"'),
    ),
    "openvino, channels swapped": ("openvino", _swapped_in_openvino),
    "openvino, not normalised": ("openvino", _unnormalised_in_openvino),
    "openvino, nearest": ("openvino", _nearest_in_openvino),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_preprocessing_does_not_pass_the_gate(
    wrong: str, carrier: NetworkClassifier, proof: ProofPictures, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    form, change = WRONG[wrong]
    change(monkeypatch)
    with pytest.raises(ExportError, match=r"disagrees with the classifier and was not kept: the same answer for \d"):
        export(carrier, form, tmp_path / "out", proof)
    assert list(tmp_path.iterdir()) == []


def test_a_disagreeing_artefact_is_kept_on_demand_and_says_so(
    carrier: NetworkClassifier,
    proof: ProofPictures,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    WRONG["onnx, not normalised"][1](monkeypatch)
    exported = export(carrier, "onnx", tmp_path / "out", proof, allow_disagreement=True)
    assert list(exported.parity.failures())
    assert not json.loads((tmp_path / "out" / "parity.json").read_text(encoding="utf-8"))["passed"]
    assert "does not agree" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    capsys.readouterr()
    ImageClassifier.load(tmp_path / "out")
    assert "does not agree with the classifier that it was made from: the same answer" in capsys.readouterr().err


def test_int8_is_smaller_and_is_proved_by_its_own_measure(
    carrier: NetworkClassifier, proof: ProofPictures, artefacts: dict[ExportFormat, Path], tmp_path: Path
) -> None:
    exported = export(carrier, "openvino", tmp_path / "out", proof, int8=True, allow_disagreement=True)
    assert exported.parity.precision == "int8"
    assert exported.parity.required.agreement == 0.985
    assert (tmp_path / "out" / "model.bin").stat().st_size < (artefacts["openvino"] / "model.bin").stat().st_size
    assert "int8" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_what_cannot_be_made_here_is_refused(
    carrier: NetworkClassifier, proof: ProofPictures, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="--int8 is for --format openvino, not for onnx"):
        export(carrier, "onnx", tmp_path / "out", proof, int8=True)
    (tmp_path / "there").mkdir()
    with pytest.raises(ConfigError, match="is there already and nothing is replaced"):
        export(carrier, "onnx", tmp_path / "there", proof)
    monkeypatch.setattr("frostline.deploy.export.find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(ConfigError, match=r"--format onnx needs onnxscript: pip install 'frostline\[export\]'"):
        export(carrier, "onnx", tmp_path / "out", proof)


@pytest.mark.parametrize("form", FORMATS)
def test_damaged_artefacts_are_named(form: ExportFormat, artefacts: dict[ExportFormat, Path], tmp_path: Path) -> None:
    for name in _files(form):
        content = (artefacts[form] / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=rf"{FILES[form]} cannot be used: .*; export the classifier anew"):
        ImageClassifier.load(tmp_path)


def test_a_stranger_s_model_is_no_artefact(artefacts: dict[ExportFormat, Path], tmp_path: Path) -> None:
    model = onnx.load(artefacts["onnx"] / "model.onnx")
    (described,) = model.metadata_props
    later = json.loads(described.value) | {"format_version": 99}
    for value, message in {
        json.dumps(later): "has format version 99, this frostline reads 1; update frostline",
        "[]": "was not made by frostline export",
        json.dumps({"format_version": 1, "frostline": "0"}): "was not made by frostline export",
    }.items():
        described.value = value
        onnx.save(model, tmp_path / "model.onnx")
        with pytest.raises(ModelError, match=message):
            ImageClassifier.load(tmp_path)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="it does not say what its classes are"):
        ImageClassifier.load(tmp_path / "model.onnx")


_WITHOUT = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Without())
from frostline.cli import main
sys.argv = ["frostline", *{arguments!r}]
main()
"""
HEAVY = {"torch", "torchvision", "timm", "scipy", "sklearn", "matplotlib", "safetensors", "jinja2", "huggingface_hub"}


@pytest.mark.parametrize(("form", "others"), [("onnx", {"openvino"}), ("openvino", {"onnxruntime"})])
def test_an_artefact_needs_its_runtime_alone(
    form: ExportFormat,
    others: set[str],
    artefacts: dict[ExportFormat, Path],
    carrier: NetworkClassifier,
    tmp_path: Path,
) -> None:
    (picture,) = make_pictures([(150, 100)])
    Image.fromarray(picture).save(tmp_path / "picture.png")
    script = _WITHOUT.format(absent=HEAVY | others, arguments=["predict", str(artefacts[form]), "picture.png"])
    command = [sys.executable, "-X", "utf8", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    (expected,) = carrier.predict([picture])
    assert f"{expected.label} {expected.confidence:.4f}" in done.stdout


@pytest.mark.parametrize("arguments", [("explain", "p.png"), ("export", "--format", "onnx", "--output", "out")])
def test_what_needs_the_network_refuses_an_artefact(
    arguments: tuple[str, ...], artefacts: dict[ExportFormat, Path], cli: Callable[..., Any]
) -> None:
    command, *others = arguments
    done = cli(command, artefacts["onnx"], *others)
    assert done.returncode == 4
    assert "is an export, without its network: name the run or classifier" in done.stderr


def test_what_is_not_installed_is_named(artefacts: dict[ExportFormat, Path], tmp_path: Path) -> None:
    for absent, arguments, message in (
        ({"onnxruntime"}, ["predict", str(artefacts["onnx"]), "p.png"], "pip install 'frostline[runtime]'"),
        ({"torch"}, ["train", "digits"], "this needs the package torch, which is not installed"),
    ):
        command = [sys.executable, "-c", _WITHOUT.format(absent=absent, arguments=arguments)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_the_command_exports_a_run_and_predicts_with_it(
    finished: Path, cli: Callable[..., Any], tmp_path: Path
) -> None:
    run = finished / "runs" / "photos-test_efficientnet-1"
    done = cli("export", run, "--format", "openvino", "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert f"validation pictures of {run.name}" in done.stdout
    assert re.search(r"same answer +100\.00%", done.stdout)
    picture = finished / "photos" / "leaf" / "000.jpg"
    assert cli("predict", tmp_path / "out", picture).stdout == cli("predict", run, picture).stdout
    again = cli("export", run, "--format", "openvino", "--output", tmp_path / "out")
    assert (again.returncode, len(again.stderr.splitlines())) == (2, 1)
    shown = cli("export", run, "--format", "openvino", "--output", tmp_path / "second", "--json")
    assert json.loads(shown.stdout)["passed"]
    assert default_output(run, "onnx", int8=False) == run / "exports" / "onnx"
    assert default_output(run, "openvino", int8=True) == run / "exports" / "openvino-int8"


def test_a_failed_gate_has_an_exit_code_of_its_own(
    finished: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    right = Answering.forward

    def turned(self: Answering, features: Tensor) -> tuple[Tensor, ...]:
        probabilities, *others = right(self, features)
        return (probabilities.flip(1), *others)

    monkeypatch.setattr(Answering, "forward", turned)
    run = finished / "runs" / "photos-test_efficientnet-1"
    done = cli("export", run, "--format", "openvino", "--output", tmp_path / "out")
    assert done.returncode == 5, done.stdout
    assert "was not kept" in done.stderr
    assert not (tmp_path / "out").exists()


def test_onnx_runtime_reports_nothing(artefacts: dict[ExportFormat, Path], tmp_path: Path) -> None:
    """Its telemetry keeps an identifier of the machine in the user's folders, where it is on."""
    home = tmp_path / "home"
    home.mkdir()
    code = f"from frostline import ImageClassifier; ImageClassifier.load({str(artefacts['onnx'])!r})"
    quiet = {"CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS"}
    environment = {name: value for name, value in os.environ.items() if name not in quiet and "XDG" not in name}
    done = subprocess.run([sys.executable, "-c", code], env={**environment, "HOME": str(home)}, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert list(home.rglob("*")) == []


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells it")
@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_memory_stays_level_over_many_sizes_of_picture(form: ExportFormat, artefacts: dict[ExportFormat, Path]) -> None:
    classifier = ExportedClassifier.load(artefacts[form])
    sides = np.random.default_rng(0).permutation(np.arange(20, 140))

    def answer(widths: slice) -> int:
        for width in sides[widths].tolist():
            for height in range(20, 140, 10):
                classifier.answer_whole(np.full((height, width, 3), 90, np.uint8))
        lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))

    before = answer(slice(0, 40))
    assert answer(slice(40, 120)) < before + (16 << 20), "960 sizes that it had not seen"
