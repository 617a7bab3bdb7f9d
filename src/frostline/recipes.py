"""The recipes: named sets of option values."""

from collections.abc import Mapping
from typing import Any

RECIPES: Mapping[str, Mapping[str, Any]] = {
    "fast": {},
    "classic": {
        "backbone": "mobilenetv2_100",
        "trainable_layers": 20,
        "batch_norm": "adapt",
        "head_width": 256,
        "dropout": 0.3,
        "size": 96,
        "augment": "medium",
        "views": "fresh",
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "schedule": "cosine",
        "warmup_epochs": 1,
        "clip_norm": 0,
        "label_smoothing": 0.1,
        "epochs": 20,
        "batch_size": 64,
    },
    "quick": {
        "trainable_layers": 0,
        "features": "depths",
        "enlarge": 2.5,
        "augment": "none",
        "epochs": 0,
    },
    "best": {
        "trainable_layers": "all",
        "enlarge": 4.0,
        "views": "fresh",
        "ema_decay": 0.998,
        "epochs": 12,
    },
}
"""The named recipes.

`fast` is the defaults: the head starts from a linear probe, then the last layers train with frozen batch norm.
`classic` is the published one for CIFAR-10, MobileNetV2 and its last 20 layers. Its learning rate falls to 0 and labels
are smoothed, which on validation pictures ends higher, in 20 epochs instead of 30 (docs/log.md). `quick` is a linear
probe of the features of all depths: each picture goes through the network once. `best` takes its time: from the probe
on, all layers train, on views that are never the same. What else was tried gained nothing (docs/log.md, More accuracy
for more time).
"""
