"""What a run ran on, for the record."""

import os
import platform
import sys
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from frostline import __version__
from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.model.backbone import Backbone

_RECORDED = ("torch", "timm", "openvino", "numpy", "pillow", "scikit-learn")


def describe_environment(dataset: Dataset, backbone: Backbone, config: TrainConfig) -> dict[str, Any]:
    """Machine, versions, weights, dataset, and which of the options as they were given are not their default."""
    changed = [name for name, field in TrainConfig.model_fields.items() if getattr(config, name) != field.default]
    return {
        "frostline": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "versions": {name: found for name in _RECORDED if (found := _version(name))},
        "command": sys.argv,
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "weights": {name: value for name, value in asdict(backbone.weights).items() if name != "path"},
        "dataset": {"name": dataset.name, "licence": dataset.licence, "notes": list(dataset.notes)},
        "changed_options": changed,
    }


def _version(name: str) -> str | None:
    """The version of a package; None where it is not installed, as OpenVINO need not be beside a GPU."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
