"""Writes docs/options.md from TrainConfig: `python docs/make_options.py`."""

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import ByteSize

from frostline.config import TrainConfig, default_text
from frostline.recipes import RECIPES

PAGE = Path(__file__).with_name("options.md")

_WORDS: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "yes or no",
    Path: "path",
    ByteSize: "size",
    timedelta: "time",
}

_INTRODUCTION = """# Options of a training

Made from `TrainConfig` by `python docs/make_options.py`. An option is a flag (`--batch-size 32`), a line of a YAML file
given with `--config` (`batch_size: 32`), and an argument in Python (`TrainConfig(batch_size=32)`). Flags go before the
YAML file, that before the recipe, and that before the defaults.
"""


def options_page() -> str:
    """The page as Markdown."""
    lines = [_INTRODUCTION]
    groups: dict[str, list[str]] = {}
    for name, field in TrainConfig.model_fields.items():
        extra: Any = field.json_schema_extra
        default = "" if field.default is None else f"`{default_text(field.default)}`"
        row = f"| `{name}` | {_values(field.annotation)} | {default} | {field.description} |"
        groups.setdefault(extra["group"], []).append(row)
    for group, rows in groups.items():
        lines += [f"## {group}\n", "| option | values | default | meaning |", "|---|---|---|---|", *rows, ""]
    lines.append("## Recipes\n")
    for recipe, values in RECIPES.items():
        settings = ", ".join(f"`{name}: {value}`" for name, value in values.items())
        lines.append(f"- `{recipe}`: {settings or 'the defaults'}")
    return "\n".join(lines) + "\n"


def _values(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    members = [member for member in get_args(annotation) if member is not type(None)]
    if members and not isinstance(annotation, type):
        return " or ".join(_values(member) for member in members if member in _WORDS or get_origin(member))
    return _WORDS.get(annotation, "text")


if __name__ == "__main__":
    PAGE.write_text(options_page(), encoding="utf-8")
