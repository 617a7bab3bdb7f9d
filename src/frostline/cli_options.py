"""Command-line options: those made from the fields of `TrainConfig`, each described in one place, and files."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from pydantic import ByteSize, ValidationError
from pydantic.fields import FieldInfo

from frostline.config import TrainConfig, default_text, reasons_of

_SHORT_NAMES = {"learning_rate": "--lr", "optimizer": "--optimiser"}
_NOT_OPTIONS = {"source", "recipe"}
_METAVARS: dict[Any, str] = {int: "INTEGER", float: "NUMBER", str: "TEXT", ByteSize: "SIZE", timedelta: "TIME"}

Command = Callable[..., Any]

COLUMNS = ("path_column", "label_column", "split_column", "group_column", "time_column")
"""Options that name the columns of a table of pictures."""

TTA = click.option(
    "--tta",
    type=click.Choice(["none", "flip"]),
    default="none",
    show_default=True,
    help="Test-time augmentation: flip answers each picture together with its mirror image, in twice the time.",
)
"""The option of commands that use a classifier."""

PATH = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, dir_okay=False)


def config_options(*names: str) -> Callable[[Command], Command]:
    """Give a command options for these fields of `TrainConfig`, by default all; those not used arrive as None."""

    def add_options(command: Command) -> Command:
        for name, field in reversed(TrainConfig.model_fields.items()):
            if name in names or (not names and name not in _NOT_OPTIONS):
                command = _option(name, field)(command)
        return command

    return add_options


class ConfigCommand(click.Command):
    """A command whose help shows the options of `TrainConfig` in its groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, those of the command itself first."""
        groups: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row is not None and isinstance(parameter, click.Option):
                groups.setdefault(_group(parameter), []).append(row)
        for group, rows in groups.items():
            with formatter.section(group):
                formatter.write_dl(rows)


def new_file(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a file that cannot be written, before the work that it is to hold; for `click.option`."""
    if path is None:
        return None
    if not path.name:
        raise click.BadParameter("it is empty", context, parameter)
    if not path.parent.is_dir():
        raise click.BadParameter(f"there is no folder {path.parent}", context, parameter)
    if path.exists() and not path.is_file():
        raise click.BadParameter(f"{path} is not a file that can be replaced", context, parameter)
    return path


def _option(name: str, field: FieldInfo) -> Callable[[Command], Command]:
    flag = "--" + name.replace("_", "-")
    if bool in _types(field):
        return click.option(f"{flag}/--no-{flag[2:]}", name, is_flag=True, default=None, help=_help(field))
    names = [flag, *([_SHORT_NAMES[name]] if name in _SHORT_NAMES else [])]
    return click.option(*names, name, callback=checked, metavar=_metavar(field), help=_help(field))


def checked(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """The value of one field, within its bounds; empty is an error too, though it could be a path or a name."""
    if value is None:
        return None
    if not value:
        raise click.BadParameter("it is empty", context, parameter)
    name = str(parameter.name)
    try:
        return getattr(TrainConfig.model_validate({name: value}), name)
    except ValidationError as error:
        raise click.BadParameter(reasons_of(error)[name], context, parameter) from None


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
            shown.append(_METAVARS.get(base, "PATH"))
    return "|".join(shown)


def _help(field: FieldInfo) -> str:
    text = field.description or ""
    return (
        text if field.default is None or field.default is False else f"{text} [default: {default_text(field.default)}]"
    )


def _group(option: click.Option) -> str:
    field = TrainConfig.model_fields.get(option.name or "")
    extra = None if field is None or option.name in _NOT_OPTIONS else field.json_schema_extra
    return str(extra["group"]) if isinstance(extra, dict) else "Options"
