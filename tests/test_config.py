"""Options: described once, bounded, saved and read back, and layered in a stated order."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from frostline.config import TrainConfig
from frostline.errors import ConfigError, did_you_mean
from frostline.recipes import RECIPES

FIELDS = TrainConfig.model_fields
CHANGED: dict[str, Any] = {
    "source": "größere Fotos/",
    "data_dir": Path("data"),
    "splits": Path("splits.csv"),
    "weights": "none",
    "trainable_layers": "all",
    "horizontal_flip": False,
    "size": 64,
    "patience": 3,
    "mixup": 0.2,
    "learning_rate": 1e-5,
    "seed": 2**32 - 1,
    "recipe": "classic",
    "runs_dir": Path("elsewhere"),
}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", FIELDS)
def test_every_option_is_described(name: str) -> None:
    field = FIELDS[name]
    assert field.description
    assert field.description.endswith(".")
    assert isinstance(field.json_schema_extra, dict)
    assert field.json_schema_extra["group"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_is_valid(recipe: str) -> None:
    config = TrainConfig.make(recipe=recipe)
    assert config.recipe == recipe
    assert {name: getattr(config, name) for name in RECIPES[recipe]} == RECIPES[recipe]


@pytest.mark.parametrize("changed", [{}, CHANGED], ids=["defaults", "changed"])
def test_save_then_make_gives_an_equal_config(tmp_path: Path, changed: dict[str, Any]) -> None:
    config = TrainConfig.make(**changed)
    config.save(tmp_path / "config.yaml")
    assert TrainConfig.make(file=tmp_path / "config.yaml") == config
    assert list(yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))) == list(FIELDS)


def test_defaults_go_before_recipe_before_file_before_options(tmp_path: Path) -> None:
    file = write(tmp_path / "options.yaml", "epochs: 7\nbatch_size: 16\nlearning_rate: 1e-2\n")
    config = TrainConfig.make(recipe="classic", file=file, batch_size=8)
    assert config.head_activation == FIELDS["head_activation"].default
    assert config.backbone == RECIPES["classic"]["backbone"] != FIELDS["backbone"].default
    assert (config.epochs, config.learning_rate, config.batch_size) == (7, 0.01, 8)


def test_a_recipe_may_be_named_in_the_file(tmp_path: Path) -> None:
    file = write(tmp_path / "options.yaml", "recipe: classic\nepochs: 3\n")
    config = TrainConfig.make(file=file)
    assert (config.recipe, config.backbone, config.epochs) == ("classic", "mobilenetv2_100", 3)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "\ufeffbatch_size: 64\n"])
def test_an_empty_file_and_a_byte_order_mark_do_no_harm(tmp_path: Path, text: str) -> None:
    assert TrainConfig.make(file=write(tmp_path / "options.yaml", text)) == TrainConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat: 1", "unknown option 'learning_rat' in {}; did you mean learning_rate?"),
        ("learning-rate: 1", "unknown option 'learning-rate' in {}; did you mean learning_rate?"),
        ("xyz: 1", "unknown option 'xyz' in {}; `frostline train --help` lists the options"),
        ("- 1\n- 2", "{} must hold options as `name: value` lines; see the config.yaml of any run"),
        ("just text", "{} must hold options as `name: value` lines; see the config.yaml of any run"),
        ("1: 2", "{} must hold options as `name: value` lines; see the config.yaml of any run"),
        ("epochs: many", "epochs in {} should be a whole number, not 'many'"),
        ("epochs: 1.5", "epochs in {} should be a whole number, not 1.5"),
        ("batch_size: null", "batch_size in {} should be a whole number, not None"),
        ("epochs: [1, 2]", "epochs in {} should be a whole number, not [1, 2]"),
        ("learning_rate: .nan", "learning_rate in {} should be a finite number, not nan"),
        ("learning_rate: -1", "learning_rate in {} should be greater than 0, not -1"),
        ("dropout: much", "dropout in {} should be a number, not 'much'"),
        ("augment: mild", "augment in {} should be 'none', 'light', 'medium' or 'strong', not 'mild'"),
        ("trainable_layers: -1", "trainable_layers in {} should be all or a whole number from 0, not -1"),
        ("skip_unreadable: maybe", "skip_unreadable in {} should be true or false, not 'maybe'"),
        ("backbone: 5", "backbone in {} should be text, not 5"),
        ("runs_dir: 5", "runs_dir in {} should be a path, not 5"),
        (
            "epochs: -1\nbatch_size: 1",
            "epochs in {} should be greater than or equal to 0, not -1; batch_size in {} should",
        ),
        ("time_limit: soon", "time_limit in {} should be a time above 0, such as 90s, 10m or 1h30m, not 'soon'"),
        ("time_limit: 0s", "time_limit in {} should be a time above 0, such as 90s, 10m or 1h30m, not '0s'"),
        ("recipe: clasic", "unknown recipe 'clasic'; did you mean classic?"),
        ("recipe: [1]", "unknown recipe [1]; there is fast, classic"),
        ("epochs: [1,\n x: {", "{} is not YAML: line 2, column 6: expected the node content"),
        ("epochs: !!python/object:os.system 1", "{} is not YAML: line 1, column 9: could not determine a constructor"),
        ("source: 2024-13-45", "{} is not YAML: month must be in 1..12"),
        ("source: \x01", "{} is not YAML: "),
    ],
)
def test_a_wrong_file_is_explained_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path / "options.yaml", text)
    with pytest.raises(ConfigError) as caught:
        TrainConfig.make(file=file)
    assert str(caught.value).startswith(message.replace("{}", str(file)))
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*none\.yaml: No such file"):
        TrainConfig.make(file=tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*: Is a directory"):
        TrainConfig.make(file=tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"source: caf\xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml is not text in UTF-8 \(at byte 11\): save it as UTF-8"):
        TrainConfig.make(file=tmp_path / "latin.yaml")


def test_an_error_names_the_file_only_where_the_value_is_its_own(tmp_path: Path) -> None:
    file = write(tmp_path / "options.yaml", "epochs: 3\n")
    with pytest.raises(ConfigError, match=r"^epochs should be a whole number, not 'x'$"):
        TrainConfig.make(file=file, epochs="x")
    with pytest.raises(ConfigError, match=r"^unknown option 'epoch'; did you mean epochs\?"):
        TrainConfig.make(file=file, epoch=1)


def test_a_long_value_is_cut_short(tmp_path: Path) -> None:
    file = write(tmp_path / "options.yaml", f"epochs: {'x' * 10_000}\n")
    with pytest.raises(ConfigError) as caught:
        TrainConfig.make(file=file)
    assert len(str(caught.value)) < len(str(file)) + 120


def test_the_class_itself_forbids_what_make_does_and_cannot_be_changed() -> None:
    for wrong in ({"epoch": 1}, {"epochs": -1}, {"learning_rate": float("inf")}):
        with pytest.raises(ValidationError):
            TrainConfig(**wrong)
    with pytest.raises(ValidationError):
        TrainConfig().epochs = 3


@pytest.mark.parametrize(
    ("word", "hint"), [("Epoch", "; did you mean epochs?"), ("qqq", ""), ("", ""), ("epochs", "; did you mean epochs?")]
)
def test_did_you_mean(word: str, hint: str) -> None:
    assert did_you_mean(word, ["epochs", "size"]) == hint


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45", 45), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("0.5h", 1800), ("1h1m1.5s", 3661.5), ("00:10:00", 600)],
)
def test_a_time_limit_is_written_with_units(text: str, seconds: float, tmp_path: Path) -> None:
    config = TrainConfig.make(time_limit=text)
    assert config.time_limit == timedelta(seconds=seconds)
    config.save(tmp_path / "options.yaml")
    assert TrainConfig.make(file=tmp_path / "options.yaml").time_limit == config.time_limit
