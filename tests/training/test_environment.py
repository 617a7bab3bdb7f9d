"""The record of what a run ran on."""

import json
from pathlib import Path

from frostline.config import TrainConfig
from frostline.data.sources import load_dataset
from frostline.training.environment import describe_environment
from frostline.training.setup import load_configured_backbone


def test_the_environment_is_told_for_the_record(photos: Path) -> None:
    config = TrainConfig.make(backbone="test_efficientnet", weights="none", size=64, dropout=0.5)
    dataset = load_dataset(str(photos))
    backbone, _ = load_configured_backbone(dataset, config)
    environment = json.loads(json.dumps(describe_environment(dataset, backbone, config)))
    assert {"frostline", "python", "platform", "processor", "cores", "command", "started"} <= environment.keys()
    assert {"torch", "timm", "openvino", "numpy"} <= environment["versions"].keys()
    assert environment["weights"]["description"] == "none: random weights"
    assert environment["dataset"]["name"] == "photos"
    assert set(environment["changed_options"]) == {"backbone", "weights", "size", "dropout"}
