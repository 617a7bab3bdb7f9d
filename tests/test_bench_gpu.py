"""`make bench-gpu`: it runs to its end without a GPU, and its table says what was not measured."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]

TABLE = """
|  run   |  epoch  |  train_acc  |  val_acc  |  tta_val_acc  |  total_time_seconds  |
| warmup |      0  |     0.1000  |   0.1000  |               |              0.9000  |
|        |   eval  |     0.1000  |   0.1000  |       0.1001  |              9.1000  |
|     0  |      0  |     0.4000  |   0.5000  |               |              0.4000  |
|        |   eval  |     0.9600  |   0.9350  |       0.9403  |              3.2893  |
|     1  |      0  |     0.4000  |   0.5000  |               |              0.4000  |
|        |   eval  |     0.9600  |   0.9350  |       0.9398  |              3.2901  |
"""


def module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return import_module(name)


@pytest.mark.full
def test_it_runs_to_its_end_on_a_cpu(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"--device": "cpu", "--pictures": 48, "--epochs": 1, "--size": 32, "--batch-size": 16, "--seeds": 1}
    backbones = {"--backbone": "test_efficientnet", "--best": "test_resnet"}
    results = tmp_path / "gpu.json"
    flags = {"--data": data_dir, "--results": results, **small, **backbones}
    command = [sys.executable, "benchmarks/gpu.py", *(str(word) for pair in flags.items() for word in pair)]
    command += ["--rows", "accuracy", "rates"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    content = json.loads(results.read_text(encoding="utf-8"))
    assert list(content["rows"]) == ["accuracy", "rates"]
    assert content["rows"]["accuracy"]["repeats_bit_for_bit"]
    section = module("report_gpu", monkeypatch).on_a_gpu(results)
    assert section.count("not measured") == 9, "figures of a CPU are none of a GPU"


def test_the_page_says_what_was_measured_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goal = {
        "backbone": "mobilenetv2_100",
        "size": 128,
        "cold_seconds": 60.0,
        "seconds": [20.0, 21.0, 22.0],
        "accuracy": [0.96, 0.961, 0.962],
        "repeats_bit_for_bit": False,
        "loss_difference": 0.0002,
    }
    content = {
        "machine": {"device": "cuda", "card": "CARD", "driver": "1.2", "python": "3.12", "versions": {"torch": "2.11"}},
        "pictures": None,
        "rows": {"accuracy": goal},
    }
    path = tmp_path / "gpu.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    section = module("report_gpu", monkeypatch).on_a_gpu(path)
    assert "on one GPU: CARD, driver 1.2" in section
    assert "96.5% in 30 s | 96.10 (96.00 to 96.20)% | 60.0 | 21.00 (20.00 to 22.00) |" in section
    assert "losses differ by up to 2.0e-04" in section
    assert section.count("not measured") == 7


def test_the_table_of_airbench_is_read_without_its_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found = module("gpu_airbench", monkeypatch).parse_table(TABLE)
    assert found == [(0.9403, 3.2893), (0.9398, 3.2901)]
