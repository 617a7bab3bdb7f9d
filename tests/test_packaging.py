"""The package as it is installed: its pins, its layers, its public names, and what a start costs."""

import ast
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import frostline

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "frostline"
MODULES = sorted(PACKAGE.rglob("*.py"))

LAYERS = (
    "errors",
    "files",
    "progress",
    "_torchvision",
    "_timm",
    "recipes",
    "config",
    "space",
    "data",
    "results",
    "model",
    "training",
    "deploy",
    "estimator",
    "__init__",
    "cli_options",
    "cli_output",
    "cli_deploy",
    "cli_runs",
    "cli_predict",
    "cli_sweep",
    "cli",
    "__main__",
)
"""A module imports only from its own layer and those before it."""

HEAVY = {"torch", "torchvision", "timm", "openvino", "onnx", "onnxruntime"}


def read_project() -> dict[str, Any]:
    """Return the `[project]` table of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert isinstance(project, dict)
    return project


def read_requirements() -> dict[str, Requirement]:
    """Return what pyproject.toml asks for, extras included, by canonical name."""
    project = read_project()
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    requirements = {canonicalize_name(requirement.name): requirement for requirement in map(Requirement, lines)}
    return {name: requirement for name, requirement in requirements.items() if name != "frostline"}


def read_pins() -> dict[str, str]:
    """Return the version that constraints.txt gives each package, by canonical name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(len(pin.specifier) == 1 and str(pin.specifier).startswith("==") for pin in pins)
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}


def test_constraints_pin_every_requirement_inside_its_range() -> None:
    pins = read_pins()
    for name, requirement in read_requirements().items():
        assert name in pins, f"constraints.txt does not pin {name}"
        assert requirement.specifier.contains(pins[name]), f"{requirement} does not allow {pins[name]}"


def needed_by(name: str, extras: set[str]) -> Iterator[Requirement]:
    """Yield what an installed package asks for here, without the packages that a build of torch pins itself."""
    for requirement in map(Requirement, distribution(name).requires or []):
        wanted = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in extras or {""}
        )
        if wanted and not (name == "torch" and str(requirement.specifier).startswith("==")):
            yield requirement


def test_constraints_pin_all_that_an_install_brings() -> None:
    pending = list(read_requirements().values())
    seen: set[str] = set()
    while pending:
        requirement = pending.pop()
        name = canonicalize_name(requirement.name)
        if name not in seen:
            seen.add(name)
            pending.extend(needed_by(name, requirement.extras))
    assert seen - set(read_pins()) == set()


def test_torch_and_torchvision_are_pinned_as_a_pair() -> None:
    (torch,) = [r for r in map(Requirement, distribution("torchvision").requires or []) if r.name == "torch"]
    pins = read_pins()
    if distribution("torchvision").version.split("+")[0] != pins["torchvision"]:
        pytest.skip("another torchvision than that of constraints.txt is installed")
    assert torch.specifier.contains(pins["torch"])


def imports_of(tree: ast.AST, *, module_level: bool = False) -> Iterator[str]:
    """Yield the absolute dotted names that a module imports; those inside functions too, unless `module_level`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not (module_level and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            yield from imports_of(node, module_level=module_level)


def layer_of(dotted: str) -> str:
    """Return the layer of `frostline.a.b.c`: `a`, or `__init__` for a name that the package itself exports."""
    first = dotted.split(".")[1] if "." in dotted else "__init__"
    return first if (PACKAGE / first).is_dir() or (PACKAGE / f"{first}.py").is_file() else "__init__"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_up_the_layers(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in LAYERS, f"{own} has no place in the layers"
    imported = imports_of(ast.parse(path.read_text(encoding="utf-8")))
    ours = {name for name in imported if name.split(".")[0] == "frostline"} - {"frostline.__version__"}
    layers = {layer_of(name) for name in ours}
    allowed = LAYERS[: LAYERS.index(own) + 1]
    assert layers <= set(allowed), f"{own} stands above {sorted(layers - set(allowed))}"


@pytest.mark.parametrize("folder", ["data", "results"])
def test_data_and_results_leave_torch_alone(folder: str) -> None:
    for path in (PACKAGE / folder).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        anywhere = {name.split(".")[0] for name in imports_of(tree)}
        at_start = {name.split(".")[0] for name in imports_of(tree, module_level=True)}
        assert "torch" not in anywhere, path
        assert not at_start & HEAVY, path


def test_source_imports_only_what_is_declared() -> None:
    project = read_project()
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for name, lines in extras.items() if name != "dev" for line in lines)]
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    owners = packages_distributions()
    for path in MODULES:
        imported = {name.split(".")[0] for name in imports_of(ast.parse(path.read_text(encoding="utf-8")))}
        for name in imported - sys.stdlib_module_names - {"frostline"}:
            packages = {canonicalize_name(owner) for owner in owners.get(name, [name])}
            assert packages & declared, f"{path.name} imports {name}, which pyproject.toml does not name"


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after it ran `code`."""
    script = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}), file=sys.stderr)"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return set(finished.stderr.split())


def test_help_starts_without_torch() -> None:
    module, function = read_project()["scripts"]["frostline"].split(":")
    code = f"""
from {module} import {function}
sys.argv = ["frostline", "--help"]
try:
    {function}()
except SystemExit as end:
    assert not end.code, end.code
"""
    loaded = loaded_by(code)
    assert module.split(".")[0] in loaded
    assert not loaded & HEAVY


def test_data_and_results_load_without_torch() -> None:
    names = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in MODULES
        if path.parent.name in {"data", "results"} and path.stem != "__init__"
    ]
    assert not loaded_by("\n".join(f"import {name}" for name in names)) & HEAVY


def test_public_names_can_be_imported() -> None:
    assert frostline.__all__
    assert len(set(frostline.__all__)) == len(frostline.__all__)
    for name in frostline.__all__:
        assert getattr(frostline, name) is not None


def test_version_is_the_same_everywhere() -> None:
    version = read_project()["version"]
    headings = [
        line for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if line.startswith("## ")
    ]
    assert frostline.__version__ == version
    assert headings[0].startswith(f"## [{version}]")


def test_wheel_holds_the_package_its_types_and_its_licence(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", tmp_path, tree], check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    package = {name for name in names if name.startswith("frostline/")}
    others = [PACKAGE / "py.typed", *PACKAGE.glob("results/pages/templates/*"), *PACKAGE.glob("deploy/server/page/*")]
    assert package == {path.relative_to(PACKAGE.parent).as_posix() for path in [*MODULES, *others]}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert {name.split("/")[0] for name in names} == {"frostline", wheel.name.rsplit("-", 3)[0] + ".dist-info"}
