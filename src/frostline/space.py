"""What a search over the options of a training may choose: each option with its range or its choices.

The built-in space is `TAIL_SPACE`; a YAML file in the same form takes its place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from frostline.config import TrainConfig, read_yaml, reasons_of
from frostline.errors import ConfigError, did_you_mean

SEARCHABLE = ("Model", "Augmentation", "Training")
"""Groups of options that can be searched. Others change which pictures are compared, or no figure."""

_RANGE_KEYS = ("low", "high", "log", "step")


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole numbers where both are."""

    low: float
    high: float
    log: bool = False
    """Whether they are drawn on a logarithmic scale."""
    step: float | None = None
    """Where given, only `low` and so many steps above it."""

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-9

    def to_plain(self) -> dict[str, Any]:
        """As a YAML file has it."""
        plain: dict[str, Any] = {"low": self.low, "high": self.high}
        if self.log:
            plain["log"] = True
        if self.step is not None:
            plain["step"] = self.step
        return plain


@dataclass(frozen=True)
class Choices:
    """Some values, in no order."""

    values: tuple[Any, ...]

    def __contains__(self, value: object) -> bool:
        return any(value == each and type(value) is type(each) for each in self.values)

    def to_plain(self) -> list[Any]:
        """As a YAML file has it."""
        return list(self.values)


Space = Mapping[str, Range | Choices]
"""By the name of the option."""


def make_space(values: Mapping[str, Any], where: str = "the space") -> Space:
    """Check a space as a YAML file has it. Raises `ConfigError`, which names `where` it is, option and value."""
    if not values:
        raise ConfigError(f"{where} names no option: give lines such as `dropout: {{low: 0, high: 0.5}}`")
    return {name: _dimension(name, value, where) for name, value in values.items()}


def read_space(path: Path) -> Space:
    """Read a space from a YAML file. Raises `ConfigError`."""
    return make_space(read_yaml(path), str(path))


def plain_space(space: Space) -> dict[str, Any]:
    """The space as a YAML file has it."""
    return {name: dimension.to_plain() for name, dimension in space.items()}


def _dimension(name: str, value: Any, where: str) -> Range | Choices:
    field = TrainConfig.model_fields.get(name)
    if field is None:
        hint = did_you_mean(name, TrainConfig.model_fields) or "; `frostline train --help` lists the options"
        raise ConfigError(f"{where}: unknown option {name!r}{hint}")
    extra = field.json_schema_extra
    if not isinstance(extra, dict) or extra["group"] not in SEARCHABLE:
        raise ConfigError(f"{where}: {name} cannot be searched; options of the groups {', '.join(SEARCHABLE)} can")
    if isinstance(value, list):
        return _choices(name, value, where)
    if isinstance(value, dict):
        return _range(name, value, where)
    raise ConfigError(f"{where}: {name} should be a list of choices or a range {{low: ..., high: ...}}, not {value!r}")


def _choices(name: str, values: list[Any], where: str) -> Choices:
    checked = tuple(_checked(name, value, where) for value in values)
    if len(set(checked)) < max(len(checked), 1):
        raise ConfigError(f"{where}: {name} should have one choice or more, each once, not {values!r}")
    return Choices(checked)


def _range(name: str, given: dict[str, Any], where: str) -> Range:
    for key in given:
        if key not in _RANGE_KEYS:
            raise ConfigError(f"{where}: {name} has {key!r}; a range has {', '.join(_RANGE_KEYS)}")
    if not {"low", "high"} <= set(given):
        raise ConfigError(f"{where}: {name} should have low and high")
    low, high = (_checked(name, given[key], where) for key in ("low", "high"))
    for value in (low, high):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{where}: {name} is not a number in {value!r}: give a list of choices, no range")
    log: Any = given.get("log", False)
    step: Any = given.get("step")
    if not isinstance(log, bool):
        raise ConfigError(f"{where}: log of {name} should be true or false, not {log!r}")
    if step is not None and (isinstance(step, bool) or not isinstance(step, int | float) or not step > 0 or log):
        raise ConfigError(f"{where}: step of {name} should be a number above 0, without log, not {step!r}")
    if not low < high or (log and not low > 0):
        above = " and both above 0 for log" if log else ""
        raise ConfigError(f"{where}: low of {name} should be below high{above}, not {low!r} and {high!r}")
    found = Range(low, high, log, step)
    whole = isinstance(low, int) and isinstance(high, int)
    if high not in found or (whole and step is not None and step != int(step)):
        raise ConfigError(f"{where}: steps of {step!r} do not lead from {low!r} to {high!r} of {name}")
    return found


def _checked(name: str, value: Any, where: str) -> Any:
    """A value that the option can have, of the option's own type."""
    try:
        return getattr(TrainConfig.model_validate({name: value}), name)
    except ValidationError as error:
        raise ConfigError(f"{where}: {name} {reasons_of(error)[name]}") from None


TAIL_SPACE: Space = make_space(
    {
        "learning_rate": {"low": 3e-5, "high": 3e-3, "log": True},
        "head_lr_multiplier": {"low": 0.3, "high": 10, "log": True},
        "layer_decay": {"low": 0.9, "high": 1},
        "weight_decay": {"low": 1e-4, "high": 0.3, "log": True},
        "label_smoothing": {"low": 0, "high": 0.2, "step": 0.05},
        "dropout": {"low": 0, "high": 0.5, "step": 0.1},
        "schedule": ["cosine", "one-cycle"],
        "batch_size": [32, 64, 128],
        "trainable_layers": [20, 40, None],
    },
    "the built-in space",
)
"""The space where none is given: it changes nothing below the frost line but its height, in three steps.

So the trunk runs for three cuts, and all other trials train the tail alone, from activations that are kept. Backbone,
size, augmentation and views stay as they are given. So do the epochs: more are nearly always better and cost what
they give, and trials on a part of the pictures would ask for more of them than all the pictures do.
"""
