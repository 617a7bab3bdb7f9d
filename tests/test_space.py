"""The space of a search: every name is an option, every value one that it can have, and errors are one line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from frostline.config import TrainConfig
from frostline.errors import ConfigError
from frostline.space import SEARCHABLE, TAIL_SPACE, Choices, Range, make_space, plain_space, read_space

CUT_BY = {"backbone", "weights", "size", "features", "resize_mode", "views"}


@pytest.mark.parametrize("name", TAIL_SPACE)
def test_the_built_in_space_has_options_and_values_that_they_can_have(name: str) -> None:
    dimension = TAIL_SPACE[name]
    values = dimension.values if isinstance(dimension, Choices) else (dimension.low, dimension.high)
    for value in values:
        assert value in dimension
        assert getattr(TrainConfig.model_validate({name: value}), name) == value


def test_the_built_in_space_leaves_the_trunk_alone_but_for_its_height() -> None:
    augmentation = {
        name
        for name, field in TrainConfig.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra["group"] == "Augmentation"
    }
    assert not (CUT_BY | augmentation) & set(TAIL_SPACE)
    layers = TAIL_SPACE["trainable_layers"]
    assert isinstance(layers, Choices)
    assert len(layers.values) <= 3


def test_the_defaults_lie_within_the_built_in_space() -> None:
    defaults = TrainConfig().model_dump()
    assert all(defaults[name] in dimension for name, dimension in TAIL_SPACE.items())


def test_a_space_goes_through_yaml_and_back(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump(plain_space(TAIL_SPACE)), encoding="utf-8")
    assert read_space(path) == TAIL_SPACE


def test_values_get_the_type_of_their_option() -> None:
    space = make_space(
        {"learning_rate": {"low": "1e-4", "high": "1e-2", "log": True}, "epochs": {"low": 2, "high": 8, "step": 2}}
    )
    assert space["learning_rate"] == Range(1e-4, 1e-2, log=True)
    assert space["epochs"] == Range(2, 8, step=2)
    assert isinstance(space["epochs"].low, int)
    assert 4 in space["epochs"]
    assert 5 not in space["epochs"]


def test_choices_tell_numbers_from_truths_and_nothing() -> None:
    choices = Choices((0, None))
    assert 0 in choices
    assert None in choices
    assert False not in choices


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "s.yaml names no option"),
        ({"learning_rates": [1]}, "s.yaml: unknown option 'learning_rates'; did you mean learning_rate"),
        ({"seed": [1, 2]}, f"s.yaml: seed cannot be searched; options of the groups {', '.join(SEARCHABLE)} can"),
        ({"dropout": 0.5}, "s.yaml: dropout should be a list of choices or a range"),
        ({"dropout": []}, "s.yaml: dropout should have one choice or more, each once"),
        ({"dropout": [0.1, 0.1]}, "s.yaml: dropout should have one choice or more, each once"),
        ({"dropout": [0.1, 2]}, "s.yaml: dropout should be less than 1, not 2"),
        ({"schedule": ["cosine", "sine"]}, "s.yaml: schedule should be 'constant'"),
        ({"dropout": {"low": 0}}, "s.yaml: dropout should have low and high"),
        ({"dropout": {"low": 0, "high": 0.5, "steps": 1}}, "s.yaml: dropout has 'steps'; a range has low, high"),
        ({"dropout": {"low": 0.5, "high": 0}}, "s.yaml: low of dropout should be below high"),
        ({"dropout": {"low": 0, "high": 0.5, "log": True}}, "both above 0 for log"),
        ({"dropout": {"low": 0, "high": 0.5, "log": "yes"}}, "log of dropout should be true or false"),
        ({"dropout": {"low": 0, "high": 0.5, "step": -1}}, "step of dropout should be a number above 0"),
        ({"dropout": {"low": 0, "high": 0.5, "step": 0.2}}, "steps of 0.2 do not lead from 0.0 to 0.5 of dropout"),
        ({"epochs": {"low": 1, "high": 2, "step": 0.5}}, "steps of 0.5 do not lead from 1 to 2 of epochs"),
        ({"trainable_layers": {"low": 1, "high": "all"}}, "is not a number in 'all': give a list of choices"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_space(values, "s.yaml")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
