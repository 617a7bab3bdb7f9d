"""Measure how long frostline takes to install, to start and to answer: `python benchmarks/install.py`.

Each extra goes into new virtual environments, one with an empty cache of pip and one with the cache that the first has
filled. In the second, one picture is classified by `frostline predict`, a process each time.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from zipfile import ZipFile

from export import Case, export, train
from measure import HERE, RESULTS, Finished, Results, watch

EXTRAS = {"runtime": "onnx", "openvino": "openvino", "train": "openvino"}
"""What is installed, and the format of the export that it runs."""

CASE = Case("hymenoptera", "mobilenetv2_100")
ROOT = HERE.parent
_REPEATS = 5


def build_wheel(folder: Path) -> Path:
    """The package as its users get it, built from a copy."""
    tree = folder / "tree"
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(tree)]
    subprocess.run(command, check=True)  # noqa: S603
    return next(folder.glob("*.whl"))


def extract_picture(folder: Path) -> Path:
    """One photograph."""
    with ZipFile(Path(os.environ["FROSTLINE_DATA"], "hymenoptera.zip")) as archive:
        name = min(name for name in archive.namelist() if name.endswith(".jpg"))
        return Path(archive.extract(name, folder))


def pip(environment: Path, *arguments: str) -> Finished:
    """Run pip on another environment, which has none of its own."""
    command = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), *arguments]
    return watch(command, environment)


def install(environment: Path, wheel: Path, extra: str, cache: Path) -> float:
    """Install frostline with an extra into a new environment. Gives the seconds of pip."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)  # noqa: S603
    constraints = ("--constraint", str(ROOT / "constraints.txt"))
    return pip(environment, "install", "--quiet", "--cache-dir", str(cache), *constraints, f"{wheel}[{extra}]").seconds


def installed(environment: Path) -> dict[str, str]:
    """The version of each package of an environment."""
    listed = json.loads(pip(environment, "list", "--format", "json").output)
    return {package["name"]: package["version"] for package in listed}


def packages_bytes(environment: Path) -> int:
    """Of all files of all packages."""
    (packages,) = environment.glob("lib/*/site-packages")
    return sum(path.stat().st_size for path in packages.rglob("*") if path.is_file())


def predict_seconds(environment: Path, classifier: Path, picture: Path) -> list[float]:
    """Wall time of whole processes that classify one picture, after one that is not counted."""
    command = [str(environment / "bin" / "frostline"), "predict", str(classifier), str(picture)]
    times = [round(watch(command, environment).seconds, 3) for _ in range(_REPEATS + 1)]
    return times[1:]


def measure(results: Results, extra: str, wheel: Path, classifiers: dict[str, Path], picture: Path) -> None:
    """Install twice, classify and add the figures."""
    with tempfile.TemporaryDirectory() as place:
        cache = Path(place, "cache")
        cold, warm = (install(Path(place, name), wheel, extra, cache) for name in ("cold", "warm"))
        environment = Path(place, "warm")
        versions = installed(environment)
        used = (EXTRAS[extra], "run") if extra == "train" else (EXTRAS[extra],)
        entry = {
            "extra": extra,
            "seconds": {"empty cache": round(cold, 2), "full cache": round(warm, 2)},
            "packages": len(versions),
            "torch": versions.get("torch"),
            "bytes": packages_bytes(environment),
            "predict_seconds": {name: predict_seconds(environment, classifiers[name], picture) for name in used},
        }
    answers = {name: median(times) for name, times in entry["predict_seconds"].items()}
    print(f"{extra}: {cold:.1f} s, {warm:.1f} s, {entry['bytes'] / 1e6:,.0f} MB, {answers}", file=sys.stderr)
    results.add(entry)


def main() -> None:
    """Measure the extras asked for, and add their figures to the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extras", nargs="*", choices=EXTRAS, default=list(EXTRAS))
    parser.add_argument("--results", type=Path, default=RESULTS / "install.json")
    options = parser.parse_args()
    results = Results(options.results, ("extra",))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        wheel, picture = build_wheel(folder), extract_picture(folder)
        classifiers = {"run": train(CASE, folder)}
        for form in set(EXTRAS.values()):
            classifiers[form] = folder / form
            export(classifiers["run"], form, classifiers[form])
        for extra in options.extras:
            measure(results, extra, wheel, classifiers, picture)


if __name__ == "__main__":
    main()
