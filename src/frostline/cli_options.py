"""Command-line options made from the fields of `TrainConfig`, so that each is described in one place."""

from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from frostline.config import TrainConfig

_SHORT_NAMES = {"learning_rate": "--lr", "optimizer": "--optimiser"}
_NOT_OPTIONS = {"source", "recipe"}

Command = Callable[..., Any]


def config_options(command: Command) -> Command:
    """Give a command one option for every field of `TrainConfig`; those not used on the command line arrive as None."""
    for name, field in reversed(TrainConfig.model_fields.items()):
        if name not in _NOT_OPTIONS:
            command = _option(name, field)(command)
    return command


class ConfigCommand(click.Command):
    """A command whose help shows the options of `TrainConfig` in its groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, those of the command itself first."""
        groups: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row is not None:
                field = TrainConfig.model_fields.get(parameter.name or "")
                is_option = field is not None and parameter.name not in _NOT_OPTIONS
                groups.setdefault(_group(field) if field is not None and is_option else "Options", []).append(row)
        for group, rows in groups.items():
            with formatter.section(group):
                formatter.write_dl(rows)


def _option(name: str, field: FieldInfo) -> Callable[[Command], Command]:
    flag = "--" + name.replace("_", "-")
    names = [flag, *([_SHORT_NAMES[name]] if name in _SHORT_NAMES else [])]
    if bool in _types(field):
        if field.default is None:
            names = [f"{flag}/--no-{name.replace('_', '-')}"]
        return click.option(*names, name, is_flag=True, default=None, help=_help(field))
    return click.option(*names, name, metavar=_metavar(field), default=None, help=_help(field))


def _types(field: FieldInfo) -> tuple[Any, ...]:
    """The types that an option can have, without None."""
    annotation = field.annotation
    members = get_args(annotation) if get_origin(annotation) not in (None, Literal) else (annotation,)
    return tuple(member for member in members if member is not type(None))


def _metavar(field: FieldInfo) -> str:
    shown = []
    for member in _types(field):
        if get_origin(member) is Literal:
            shown.append("|".join(str(value) for value in get_args(member)))
        else:
            base = (get_args(member) or (member,))[0]
            shown.append({int: "INTEGER", float: "NUMBER", str: "TEXT"}.get(base, "PATH"))
    return "|".join(shown)


def _help(field: FieldInfo) -> str:
    text = field.description or ""
    return text if field.default in (None, False) else f"{text} [default: {field.default}]"


def _group(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra["group"]) if isinstance(extra, dict) else "Options"
