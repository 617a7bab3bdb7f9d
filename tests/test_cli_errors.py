"""Wrong use is answered in one line that says what to do, with an exit code for its kind, and leaves nothing behind."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

Cli = Callable[..., subprocess.CompletedProcess[str]]
WritePictures = Callable[..., Path]
RUN = Path("runs/photos-test_efficientnet-1")
TINY = "--backbone test_efficientnet --weights none --size 64 --epochs 2 --head-width 256 --device cpu"


@pytest.fixture(scope="module")
def place(finished: Path, write_pictures: WritePictures) -> Path:
    """What is wrong in many ways, beside `photos/` and its run."""
    write_pictures(finished / "oneclass", {"apple": 4})
    write_pictures(finished / "single", {"apple": 4, "leaf": 1})
    write_pictures(finished / "pair", {"apple": 4, "leaf": 2})
    write_pictures(finished / "other", {"apple": 2, "sea": 2})
    for folder in ("empty", "photos-and-empty/apple", "photos-and-empty/leaf"):
        (finished / folder).mkdir(parents=True)
    write_pictures(finished / "photos-and-empty", {"apple": 2})
    bad = write_pictures(finished / "bad", {"apple": 10, "leaf": 10})
    (bad / "apple" / "000.jpg").write_text("this is text")
    whole = (bad / "apple" / "001.jpg").read_bytes()
    (bad / "apple" / "001.jpg").write_bytes(whole[: len(whole) // 2])
    (bad / "leaf" / "001.jpg").write_bytes(b"")
    (finished / "file").write_text("text")
    (finished / "list.yaml").write_text("- epochs\n")
    (finished / "key.yaml").write_text("learning_rat: 1\n")
    (finished / "value.yaml").write_text("epochs: many\n")
    (finished / "latin.yaml").write_bytes(b"source: caf\xe9\n")
    save_file(timm.create_model("test_vit", pretrained=False).state_dict(), finished / "vit.safetensors")
    return finished


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a failed command says on standard error."""
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("frostline: ")
    return line.removeprefix("frostline: ")


CASES = [
    # wrong words on the command line
    ("trian photos", 2, "no such command 'trian'. Did you mean 'train'? (see frostline --help)"),
    ("--unknown", 2, "no such option '--unknown' (see frostline --help)"),
    ("train", 2, "no SOURCE: name a folder of pictures, an archive or a dataset, such as: frostline train digits"),
    ("train photos more", 2, "got unexpected extra argument (more) (see frostline train --help)"),
    ("train photos --leraning-rate 1", 2, "no such option '--leraning-rate'. Did you mean '--learning-rate'?"),
    ("train photos --epochs", 2, "option '--epochs' requires an argument"),
    ("predict", 2, "missing argument 'CLASSIFIER' (see frostline predict --help)"),
    (f"predict {RUN}", 2, "missing argument 'PICTURES...'"),
    # wrong values of options
    ("train photos --lr -1", 2, "invalid value for '--learning-rate' / '--lr': should be greater than 0, not '-1'"),
    ("train photos --lr nan", 2, "invalid value for '--learning-rate' / '--lr': should be a finite number, not 'nan'"),
    ("train photos --lr inf", 2, "invalid value for '--learning-rate' / '--lr': should be a finite number, not 'inf'"),
    ("train photos --dropout=", 2, "invalid value for '--dropout': it is empty"),
    ("train photos --runs-dir=", 2, "invalid value for '--runs-dir': it is empty"),
    ("train photos --epochs 1.5", 2, "invalid value for '--epochs': should be a whole number, not '1.5'"),
    ("train photos --batch-size 1", 2, "invalid value for '--batch-size': should be greater than or equal to 2, not"),
    (
        "train photos --augment mild",
        2,
        "invalid value for '--augment': should be 'none', 'light', 'medium' or 'strong'",
    ),
    (
        "train photos --trainable-layers -1",
        2,
        "invalid value for '--trainable-layers': should be all or a whole number",
    ),
    ("layers test_efficientnet --size 5", 2, "invalid value for '--size': should be greater than or equal to 16"),
    ("train photos --recipe clasic", 2, "unknown recipe 'clasic'; did you mean classic?"),
    ("train photos --recipe=", 2, "unknown recipe ''; there is fast, classic"),
    (f"train photos {TINY} --trainable-layers 9999", 2, "trainable_layers is 9999, but the backbone has 43 layers"),
    ("train photos --trunk-precision int4", 2, "invalid value for '--trunk-precision': should be 'float32' or 'int8'"),
    (f"train photos {TINY} --trunk-precision int8 --trainable-layers all", 2, "int8 has no trunk to run: all layers"),
    # configuration files
    ("train photos --config none.yaml", 2, "cannot read the configuration none.yaml: No such file or directory"),
    ("train photos --config photos", 2, "cannot read the configuration photos: Is a directory"),
    ("train photos --config list.yaml", 2, "list.yaml must hold options as `name: value` lines"),
    ("train photos --config key.yaml", 2, "unknown option 'learning_rat' in key.yaml; did you mean learning_rate?"),
    ("train photos --config value.yaml", 2, "epochs in value.yaml should be a whole number, not 'many'"),
    ("train photos --config latin.yaml", 2, "latin.yaml is not text in UTF-8 (at byte 11): save it as UTF-8"),
    # runs to resume
    ("train --resume none", 2, "no such run: none"),
    ("train --resume photos", 2, "photos is not the folder of a run: it has no config.yaml"),
    (f"train --resume {RUN}", 2, f"{RUN} is finished, nothing is left to resume"),
    (f"train --resume {RUN} --epochs 3", 2, "--resume goes on with a run's own options"),
    # pictures and their folders
    ("train none", 3, "no such folder, archive or dataset: none; `frostline datasets` lists the named ones"),
    ("train digit", 3, "no such folder, archive or dataset: digit; did you mean digits?"),
    ("train ", 3, "the name of the source is empty"),
    ("train empty", 3, "empty holds no pictures: expected a folder of pictures for each class"),
    ("train photos/apple", 3, "photos/apple has pictures but no class folders"),
    ("train photos/apple/000.jpg", 3, "photos/apple/000.jpg is neither a folder nor a whole zip or tar archive"),
    (f"train oneclass {TINY}", 3, "oneclass has only one class (apple): at least two folders of pictures are needed"),
    (f"train photos-and-empty {TINY}", 3, "photos-and-empty: the class folder leaf holds no pictures"),
    (f"train single {TINY}", 3, "each class needs 3: leaf (1); add pictures, or remove the class"),
    (f"train pair {TINY}", 3, "each class needs 3: leaf (2); add pictures, or draw no test split (--test-fraction 0)"),
    ("train photos --splits none.csv", 3, "cannot read the splits file none.csv: No such file or directory"),
    ("datasets --data-dir none", 3, "no such folder of datasets: none"),
    # backbones, weights and classifiers
    ("train photos --backbone mobilenet_v2", 4, "unknown backbone 'mobilenet_v2'; did you mean "),
    ("layers mobilenetv2_10", 4, "unknown backbone 'mobilenetv2_10'; did you mean mobilenetv2_1"),
    ("layers test_vit --size 100", 4, "test_vit cannot take pictures of 100 pixels"),
    ("backbones zzz", 4, "no backbone's name contains 'zzz'; `frostline backbones` lists all"),
    ("train photos --backbone test_efficientnet --weights none.pth", 4, "none.pth: the weights file cannot be read"),
    ("train photos --backbone test_efficientnet --weights vit.safetensors", 4, "not the weights of test_efficientnet"),
    ("train photos --backbone test_efficientnet --weights photos/sky/000.jpg", 4, "not a torch file of plain"),
    ("predict none photos", 4, "no such run or classifier: none"),
    ("predict photos photos", 4, "photos holds no classifier (no classifier.json)"),
    # a classifier in use
    (f"predict {RUN} photos --top-k 0", 2, "invalid value for '--top-k': 0 is not in the range x>=1"),
    (f"predict {RUN} photos --csv a.csv --json", 2, "--csv and --json cannot both be given"),
    (f"predict {RUN} photos --csv none/a.csv", 2, "invalid value for '--csv': there is no folder none"),
    (f"evaluate {RUN} photos --csv none/a.csv", 2, "invalid value for '--csv': there is no folder none"),
    (f"predict {RUN} photos --csv photos", 2, "invalid value for '--csv': File 'photos' is a directory"),
    (
        f"predict {RUN} photos --csv /dev/null",
        2,
        "invalid value for '--csv': /dev/null is not a file that can be replac",
    ),
    (f"predict {RUN} photos --csv=", 2, "invalid value for '--csv': it is empty"),
    (f"predict {RUN} photos none*.jpg", 3, "no file matches none*.jpg"),
    (f"predict {RUN} photos empty", 3, "empty holds no pictures"),
    (f"predict {RUN} ", 3, "an empty name was given for a picture"),
    (f"evaluate {RUN} other", 3, "the classifier does not know sea of "),
    (f"evaluate {RUN} photos --split val", 3, "photos brings no val split of its own; leave out --split"),
    (f"evaluate {RUN} none", 3, "no such folder, archive or dataset: none"),
]


@pytest.mark.parametrize(("line", "code", "message"), CASES, ids=[line.replace("/", ":") for line, *_ in CASES])
def test_wrong_use(cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch, line: str, code: int, message: str) -> None:
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    done = cli(*line.split(" "))
    assert message in error_line(done)
    assert done.returncode == code
    assert sorted(place.rglob("*")) == before


def test_every_unreadable_picture_is_named(cli: Cli, place: Path, tmp_path: Path) -> None:
    done = cli("train", place / "bad", *TINY.split(), "--runs-dir", tmp_path / "runs")
    assert (done.returncode, done.stdout) == (3, "")
    first, *others = done.stderr.splitlines()
    assert first == (
        f"frostline: 3 pictures of {place / 'bad'} cannot be read: mend or remove them, or leave them out by "
        "--skip-unreadable"
    )
    assert [line.split(":")[0] for line in others] == ["  apple/000.jpg", "  apple/001.jpg", "  leaf/001.jpg"]
    assert list((tmp_path / "runs").iterdir()) == []


def test_unreadable_pictures_to_classify_are_rows_with_an_error(cli: Cli, place: Path, tmp_path: Path) -> None:
    given = [place / "bad" / name for name in ("apple/000.jpg", "apple/005.jpg", "gone.jpg", "leaf/001.jpg")]
    for arguments in (["--json"], [], ["--csv", tmp_path / "new.csv"]):
        done = cli("predict", place / RUN, *given, *arguments)
        assert done.returncode == 3
        assert done.stderr == "frostline: 3 pictures could not be read; each is a row with its error\n"
        if arguments == ["--json"]:
            rows = json.loads(done.stdout)
            assert [row["path"] for row in rows] == list(map(str, given))
            assert ["error" in row for row in rows] == [True, False, True, True]
        text = done.stdout or (tmp_path / "new.csv").read_text(encoding="utf-8")
        assert "No such file or directory" in text
        assert "the file is empty (0 bytes)" in text


def test_no_gpu(cli: Cli, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    arguments = [*TINY.removesuffix("cpu").split(), "cuda", "--runs-dir", tmp_path]
    done = cli("train", place / "photos", *arguments)
    assert done.returncode == 2
    assert error_line(done) == "device cuda is not available on this machine: use --device cpu, or auto"


def test_int8_without_its_package(cli: Cli, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frostline.model.engines.find_spec", lambda name: None)
    done = cli("train", place / "photos", *TINY.split(), "--trunk-precision", "int8", "--runs-dir", tmp_path)
    assert done.returncode == 2
    assert error_line(done) == "trunk_precision int8 comes with the package nncf: pip install 'frostline[int8]'"
    assert list(tmp_path.iterdir()) == []


def test_int8_where_openvino_cannot_run_the_network(
    cli: Cli, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.setattr("frostline.model.engines.convert_module", refuse)
    done = cli("train", place / "photos", *TINY.split(), "--trunk-precision", "int8", "--runs-dir", tmp_path)
    assert done.returncode == 2
    assert error_line(done).endswith("what OpenVINO can run, not for this network: no such operation; leave it out")
    assert list(tmp_path.iterdir()) == []


def test_no_weights_without_a_network(cli: Cli, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("frostline.model.hub.cached_file", lambda backbone: None)
    done = cli("train", place / "photos", "--backbone", "resnet50", "--runs-dir", tmp_path)
    assert done.returncode == 4
    line = error_line(done)
    assert line.startswith("no pretrained weights for resnet50: not in the hub's cache, and HF_HUB_OFFLINE is set")
    assert "tf_efficientnet_lite0 (installed package)" in line
    assert line.endswith("or --weights none")


def test_runs_dir_at_a_file(cli: Cli, place: Path) -> None:
    for name, reason in (("file", "it is a file"), ("file/runs", "Not a directory")):
        done = cli("train", place / "photos", *TINY.split(), "--runs-dir", place / name)
        assert done.returncode == 1
        expected = f"cannot make a run folder in {place / name}: {reason}; choose another place with --runs-dir"
        assert error_line(done) == expected


def test_a_folder_that_is_read_only(cli: Cli, place: Path, mount: Callable[[str], Path]) -> None:
    disk = mount("ro")
    done = cli("train", place / "photos", *TINY.split(), "--runs-dir", disk / "runs")
    assert done.returncode == 1
    assert error_line(done) == (
        f"cannot make a run folder in {disk / 'runs'}: Read-only file system; choose another place with --runs-dir"
    )
    done = cli("predict", place / RUN, place / "photos", "--csv", disk / "new.csv")
    assert done.returncode == 1
    assert error_line(done) == f"read-only file system: {disk / 'new.csv'}"


def test_a_disk_that_fills_up_while_a_table_is_written(cli: Cli, place: Path, mount: Callable[[str], Path]) -> None:
    disk = mount("size=4k")
    done = cli("predict", place / RUN, *[place / "photos"] * 2, "--csv", disk / "new.csv")
    assert done.returncode == 1
    expected = f"no space left on device: {disk / 'new.csv'}; make room on the disk, or write to another one"
    assert error_line(done) == expected
    assert list(disk.iterdir()) == []


@pytest.mark.parametrize("size", ["1m", "2m"], ids=["in the first epoch", "in the second epoch"])
def test_a_disk_that_fills_up_while_a_training_runs(
    cli: Cli, place: Path, mount: Callable[[str], Path], size: str
) -> None:
    disk = mount(f"size={size}")
    done = cli("train", place / "photos", *TINY.split(), "--runs-dir", disk / "runs")
    assert (done.returncode, done.stdout) == (1, "")
    *said, last = done.stderr.splitlines()
    assert not any(line.startswith("frostline: ") for line in said)
    assert last.startswith(f"frostline: no space left on device: {disk / RUN}{os.sep}")
    assert last.endswith("; make room on the disk, or write to another one")
    assert not list(disk.rglob("*.tmp"))

    refused = cli("predict", disk / RUN, place / "photos")
    assert refused.returncode == 4
    assert "finish the run with `frostline train --resume" in error_line(refused)

    mount("remount,size=32m")
    resumed = cli("train", "--resume", disk / RUN)
    assert resumed.returncode == 0
    whole = cli("train", place / "photos", *TINY.split(), "--runs-dir", disk / "again")
    assert whole.returncode == 0
    weights = [disk / name / RUN.name / "classifier" / "model.safetensors" for name in ("runs", "again")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
