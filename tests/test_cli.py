"""The command line as it should be used: what it prints, where, and how its options reach the training."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pydantic import ByteSize
from rich.table import Table

from frostline.cli_output import print_table
from frostline.config import TrainConfig
from frostline.data.named.registry import NAMED
from frostline.errors import FrostlineError
from frostline.recipes import RECIPES
from frostline.results.predictions import load_predictions

Cli = Callable[..., subprocess.CompletedProcess[str]]
COMMANDS = [
    *("backbones", "cache", "check", "compare", "datasets", "evaluate", "explain", "export"),
    *("layers", "predict", "report", "runs", "serve", "sweep", "threshold", "train"),
]
RUN = Path("runs/photos-test_efficientnet-1")
TINY = ("--backbone", "test_efficientnet", "--weights", "none", "--size", 64, "--epochs", 1, "--head-width", 32)

ALL_OPTIONS: dict[str, Any] = {
    **{"data_dir": Path("data"), "val_fraction": 0.25, "test_fraction": 0.5, "splits": Path("splits.csv")},
    **{"path_column": "file", "label_column": "class", "split_column": "part"},
    **{"group_column": "patient", "time_column": "date", "group_duplicates": True, "folds": 5},
    **{"actions": Path("actions.csv"), "check": False, "sampling": "balanced"},
    **{"skip_unreadable": True, "resize_mode": "stretch", "backbone": "resnet18", "weights": "none"},
    **{"trainable_layers": "all", "batch_norm": "adapt", "head_width": 16, "head_activation": "gelu", "dropout": 0.5},
    **{"size": 32, "start_size": 16, "augment": "none", "rotation": 1.0, "shift": 0.5, "shear": 2.0, "zoom": 0.25},
    **{
        "horizontal_flip": False,
        "trivial_augment": True,
        "random_erasing": 0.5,
        "mixup": 0.5,
        "cutmix": 1.0,
        "enlarge": 2.0,
        "epochs": 3,
        "batch_size": 2,
    },
    **{"optimizer": "sgd", "learning_rate": 1e-5, "head_lr_multiplier": 10.0, "layer_decay": 0.5},
    **{"weight_decay": 0.0, "momentum": 0.5, "schedule": "one-cycle", "warmup_epochs": 0.5, "label_smoothing": 0.5},
    **{"clip_norm": 0.5, "ema_decay": 0.5, "class_weights": "balanced", "patience": 2},
    **{"device": "cpu", "precision": "bfloat16"},
    **{
        "features": "depths",
        "head_start": "random",
        "views": "fresh",
        "activation_precision": "float32",
        "trunk_precision": "int8",
        "cache": False,
        "cache_limit": ByteSize(3_000_000),
    },
    **{"target_accuracy": 0.99, "coverage": 0.9, "tta": "flip"},
    **{"seed": 5, "deterministic": True, "runs_dir": Path("elsewhere"), "time_limit": timedelta(minutes=10)},
    **{"tensorboard": True, "mlflow": True},
}
"""A value for each option that is not its default."""


def flag(name: str, value: object) -> list[str]:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    return [f"--{option}", str(value)]


@pytest.fixture
def configured(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Callable[..., TrainConfig]:
    """The options with which `frostline train digits ...` would train."""

    def run(*arguments: object) -> TrainConfig:
        seen = []

        def stop(dataset: object, config: TrainConfig, **_: object) -> None:
            seen.append(config)
            raise FrostlineError("stop here")

        monkeypatch.setattr("frostline.data.sources.load_configured_dataset", lambda config: None)
        monkeypatch.setattr("frostline.training.run.train", stop)
        monkeypatch.setattr("frostline.training.folds.cross_validate", stop)
        done = cli("train", "digits", *arguments)
        assert done.stderr == "frostline: stop here\n"
        return seen[0]

    return run


def test_help_lists_the_commands(cli: Cli) -> None:
    done = cli("--help")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()] == (
        COMMANDS
    )
    assert "\\b" not in done.stdout
    assert "..." not in done.stdout.partition("Commands:\n")[2].partition("\n\n")[0]  # nothing is cut off


def test_without_a_command_the_help_is_shown_and_the_exit_code_is_that_of_wrong_use(cli: Cli) -> None:
    done = cli()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == cli("--help").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cli: Cli, command: str) -> None:
    done = cli(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: frostline {command} ")


def test_version(cli: Cli) -> None:
    assert cli("--version").stdout.startswith("frostline, version ")


def test_train_help_has_every_option(cli: Cli) -> None:
    shown = " ".join(cli("train", "--help").stdout.split())
    for name, field in TrainConfig.model_fields.items():
        if name != "source":
            assert f"--{name.replace('_', '-')} " in f"{shown} ".replace(",", " "), name
            assert str(field.description) in shown, name
    assert "--seed INTEGER Seed of the split, the views, the batches and the new layers. [default: 0]" in shown
    assert "--label-smoothing NUMBER Label smoothing. [default: 0.1]" in shown


def test_every_option_reaches_the_training(configured: Callable[..., TrainConfig]) -> None:
    assert {*ALL_OPTIONS, "source", "recipe"} == set(TrainConfig.model_fields)
    config = configured(*(word for name, value in ALL_OPTIONS.items() for word in flag(name, value)))
    assert config == TrainConfig(source="digits", **ALL_OPTIONS)


def test_other_names_of_options(configured: Callable[..., TrainConfig]) -> None:
    config = configured("--lr", "0.5", "--optimiser", "adam", "--trainable-layers", "7")
    assert (config.learning_rate, config.optimizer, config.trainable_layers) == (0.5, "adam", 7)


def test_flags_go_before_the_file_before_the_recipe(configured: Callable[..., TrainConfig], tmp_path: Path) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("epochs: 7\nbatch_size: 16\nskip_unreadable: true\nsource: photos/\n", encoding="utf-8")
    config = configured("--recipe", "classic", "--config", file, "--batch-size", "8", "--no-skip-unreadable")
    assert (config.epochs, config.batch_size, config.skip_unreadable, config.source) == (7, 8, False, "digits")
    assert config.backbone == RECIPES["classic"]["backbone"]


def test_train_prints_results_on_stdout_and_progress_on_stderr(finished: Path) -> None:
    out, err = ((finished / f"{name}.txt").read_text(encoding="utf-8") for name in ("stdout", "stderr"))
    accuracy, *rest = out.splitlines()
    figures = json.loads((finished / RUN / "metrics.json").read_text(encoding="utf-8"))
    assert accuracy.split()[:3] == ["test", "accuracy", f"{figures['test']['accuracy']:.4f}"]
    assert "95% interval" in accuracy
    assert "12 test pictures, epoch 1 of 1" in accuracy
    paths = [Path(line.split()[-1]) for line in rest if str(finished) in line]
    assert [path.name for path in paths] == ["report.html", "classifier"]
    assert all(path.exists() for path in paths)
    assert "epoch 1/1  loss" in err
    assert str(finished / RUN) in err
    assert "accuracy  " in out
    assert "test accuracy" not in err
    assert "\x1b" not in out + err


def test_train_prints_json(cli: Cli, finished: Path, tmp_path: Path) -> None:
    done = cli("train", finished / "photos", *TINY, "--test-fraction", 0, "--runs-dir", tmp_path, "--json")
    assert done.returncode == 0
    printed = json.loads(done.stdout)
    folder = Path(printed.pop("folder"))
    assert printed == json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert (printed["figures_of"], printed["test"]) == ("val", None)


def test_without_a_test_split_the_figures_are_said_to_be_of_validation(
    cli: Cli, finished: Path, tmp_path: Path
) -> None:
    done = cli("train", finished / "photos", *TINY, "--test-fraction", 0, "--runs-dir", tmp_path)
    assert done.stdout.startswith("val accuracy ")
    assert "6 val pictures, on which the epoch was chosen: there is no test split" in done.stdout
    assert "test accuracy" not in done.stdout


def test_the_config_of_a_run_repeats_it(configured: Callable[..., TrainConfig], finished: Path) -> None:
    saved = yaml.safe_load((finished / RUN / "config.yaml").read_text(encoding="utf-8"))
    config = configured("--config", finished / RUN / "config.yaml")
    assert config.model_dump() == {**saved, "source": "digits"}


def test_a_stopped_training_exits_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("frostline.training.run.train", interrupt)
    done = cli("train", "digits")
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "frostline: stopped by Ctrl-C")


def test_evaluate_all_pictures(cli: Cli, finished: Path, tmp_path: Path) -> None:
    done = cli("evaluate", finished / RUN, finished / "photos", "--csv", tmp_path / "all.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("accuracy ")
    assert f"; all 60 pictures of {finished / 'photos'})" in done.stdout
    assert "test" not in done.stdout.replace(str(finished), "")  # some of these pictures were trained on
    assert len(load_predictions(tmp_path / "all.csv")) == 60


def test_evaluate_a_split(cli: Cli, finished: Path, write_pictures: Callable[..., Path], tmp_path: Path) -> None:
    for split, count in (("train", 2), ("test", 3)):
        write_pictures(tmp_path / "new" / split, {"apple": count, "sky": count})
    classifier = finished / RUN / "classifier"
    assert "6 test pictures of" in cli("evaluate", classifier, tmp_path / "new").stdout
    figures = json.loads(cli("evaluate", classifier, tmp_path / "new", "--split", "train", "--json").stdout)
    assert (figures["split"], figures["pictures"]) == ("train", 4)


def test_predict_keeps_the_order_of_its_input(cli: Cli, finished: Path) -> None:
    photos = finished / "photos"
    listed = f"{photos / 'leaf' / '003.jpg'}\n{photos / 'apple' / '001.jpg'}\n"
    given = [photos / "sky" / "019.jpg", "-", f"{photos}/apple/00[0-2].jpg", photos / "sky"]
    done = cli("predict", finished / RUN, *given, stdin=listed.encode())
    assert (done.returncode, done.stderr) == (0, "")
    names = [line.split("\t")[0].removeprefix(f"{photos}/") for line in done.stdout.splitlines()]
    apples = [f"apple/{number:03}.jpg" for number in range(3)]
    skies = [f"sky/{number:03}.jpg" for number in range(20)]
    assert names == ["sky/019.jpg", "leaf/003.jpg", "apple/001.jpg", *apples, *skies]


def test_predict_gives_at_most_as_many_classes_as_there_are(cli: Cli, finished: Path, tmp_path: Path) -> None:
    picture = finished / "photos" / "sky" / "000.jpg"
    (row,) = json.loads(cli("predict", finished / RUN, picture, "--top-k", 9, "--json").stdout)
    assert sorted(each["class"] for each in row["top"]) == ["apple", "leaf", "sky"]
    assert sum(each["probability"] for each in row["top"]) == pytest.approx(1)
    assert cli("predict", finished / RUN, picture, "--top-k", 9, "--csv", tmp_path / "new.csv").stdout == ""
    with (tmp_path / "new.csv").open(newline="", encoding="utf-8") as file:
        header, cells = csv.reader(file)
    named = ["class", "probability", "class_2", "probability_2", "class_3", "probability_3"]
    assert header == ["path", "answer", *named, "far", "error"]
    assert cells[2::2][:3] == [each["class"] for each in row["top"]]
    assert cells[1] == row["answer"] == row["top"][0]["class"]


def test_predict_writes_names_that_are_not_utf_8(cli: Cli, finished: Path, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff.jpg"
    shutil.copy(finished / "photos" / "sky" / "000.jpg", os.fsdecode(name))
    for arguments, stdin in (([tmp_path], b""), (["-"], name + b"\n"), ([tmp_path, "--csv", tmp_path / "x.csv"], b"")):
        done = cli("predict", finished / RUN, *arguments, stdin=stdin)
        assert (done.returncode, done.stderr) == (0, "")
        assert "\\xff.jpg" in (done.stdout or (tmp_path / "x.csv").read_text(encoding="utf-8"))


def test_layers_shows_what_trains(cli: Cli) -> None:
    done = cli("layers", "mobilenetv2_100", "--trainable-layers", 20, "--size", 96)
    assert done.returncode == 0
    rows = [line for line in done.stdout.splitlines() if line.split()[:1] and line.split()[0].isdigit()]
    assert [int(row.split()[0]) for row in rows] == list(range(len(rows)))
    assert sum(row.rstrip().endswith("trainable") for row in rows) == 20
    assert "1,206,080 parameters" in done.stdout


def test_backbones_are_listed_with_their_size(cli: Cli) -> None:
    rows = [line.split() for line in cli("backbones", "mobilenetv2_1").stdout.splitlines()]
    assert ["mobilenetv2_100", "2,223,872", "224", "px"] in [row[:4] for row in rows]


def test_datasets_are_listed_on_one_line_each(cli: Cli) -> None:
    _, *rows = cli("datasets").stdout.splitlines()
    assert [row.split()[0] for row in rows] == list(NAMED)
    assert any(row.rstrip().endswith("frostline[solar-cells]") for row in rows)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_table_fits_the_terminal_and_loses_nothing(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    header = ["first", "second", "third"]
    words = ["[bold]:smile:", "a_long_word_of_fifty_letters_that_has_no_space_in_it", "note"]
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    table = Table(*header)
    table.add_row(*words)
    print_table(table)
    lines = click.unstyle(terminal.getvalue()).splitlines()
    assert max(map(len, lines)) <= width
    assert sorted("".join(lines).replace(" ", "")) == sorted("".join([*header, *words]))


def test_a_closed_pipe_ends_the_program_quietly(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "many").write_text(f"{finished / 'photos' / 'sky' / '000.jpg'}\n" * 3_000, encoding="utf-8")
    command = [sys.executable, "-m", "frostline", "predict", str(finished / RUN), "-"]
    with (tmp_path / "many").open() as names:
        child = subprocess.Popen(command, stdin=names, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stderr is not None
    assert "000.jpg\t" in child.stdout.readline()
    child.stdout.close()
    assert child.wait(timeout=60) == 1
    assert child.stderr.read() == ""
    child.stderr.close()
