"""The Dockerfile's commands are the project's own: there is no engine to build it with in a test."""

import json
import re
import tomllib
from pathlib import Path

from frostline.cli_deploy import serve

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "").splitlines()


def instruction(name: str) -> str:
    """The last instruction of that name, without it."""
    return [line.strip().removeprefix(name).strip() for line in LINES if line.strip().startswith(f"{name} ")][-1]


def test_its_command_is_one_that_the_command_line_takes() -> None:
    words: list[str] = json.loads(instruction("ENTRYPOINT")) + json.loads(instruction("CMD"))
    program, command, *more = words
    assert (program, command) == ("frostline", serve.name)
    parameters = serve.make_context("serve", more).params
    assert parameters["host"] == "0.0.0.0"
    assert f"EXPOSE {parameters['port']}" in LINES


def test_it_installs_extras_that_there_are_and_copies_what_they_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    (wanted,) = re.findall(r'"\.\[(.*?)\]"', "\n".join(LINES))
    (runtime,) = re.findall(r"ARG RUNTIME=(\w+)", "\n".join(LINES))
    assert {*wanted.replace("$RUNTIME", runtime).split(","), "openvino"} <= set(extras)
    copied = {
        word for line in LINES if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    }
    assert all((ROOT / name).exists() for name in copied)
    assert {f"!{name}" for name in copied} <= set((ROOT / ".dockerignore").read_text(encoding="utf-8").split())


def test_it_does_not_run_as_root() -> None:
    assert int(instruction("USER")) > 0
