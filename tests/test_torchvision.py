"""Torchvision imports whether or not its compiled operators fit the installed torch."""

import subprocess
import sys

CODE = """
from frostline._torchvision import ensure_importable
ensure_importable()
ensure_importable()
import torchvision, timm
assert torchvision.transforms.functional.hflip
ensure_importable()
"""


def test_import_in_a_fresh_process() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
