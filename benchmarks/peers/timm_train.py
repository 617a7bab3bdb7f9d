"""timm's train.py with its defaults, made of timm's own parts, since the script is not in its package.

As in the script: data, augmentation, optimiser, schedule, loss, seeds, and pictures for the test cut as it cuts them.
Unlike it: where there are fewer pictures than its batch of 128, which would leave none, all make one batch, and the
learning rate follows the batch by the script's own rule; the warm-up keeps its share of the epochs where fewer than the
script's 300 are asked for; no picture is held out, so the last epoch is tested, and nothing is evaluated or saved
between the epochs.
"""

import time

STARTED = time.perf_counter()

from typing import Any  # noqa: E402

import torch  # noqa: E402
from backbone import create_model, fill  # noqa: E402
from common import Timeline, arguments  # noqa: E402
from timm.data import create_dataset, create_loader, resolve_data_config  # noqa: E402
from timm.loss import LabelSmoothingCrossEntropy  # noqa: E402
from timm.optim import create_optimizer_v2  # noqa: E402
from timm.scheduler import create_scheduler_v2  # noqa: E402
from timm.utils import random_seed  # noqa: E402

WORKERS = 4
EPOCHS, WARMUP_EPOCHS, WARMUP_RATE = 300, 5, 1e-5
RATE, RATE_BATCH = 0.1, 256
"""Learning rate for a batch of this many pictures; it is in proportion for others."""
AUGMENTATION: dict[str, Any] = {
    "scale": (0.08, 1.0),
    "ratio": (3 / 4, 4 / 3),
    "hflip": 0.5,
    "color_jitter": 0.4,
    "interpolation": "random",
}


def train(model: torch.nn.Module, loader: Any, batch_size: int, epochs: int) -> None:
    """Train for so many epochs."""
    optimizer = create_optimizer_v2(
        model, opt="sgd", lr=RATE * batch_size / RATE_BATCH, weight_decay=2e-5, momentum=0.9
    )
    scheduler, epochs = create_scheduler_v2(
        optimizer,
        sched="cosine",
        num_epochs=epochs,
        warmup_epochs=max(1, round(WARMUP_EPOCHS * epochs / EPOCHS)),
        warmup_lr=WARMUP_RATE,
        updates_per_epoch=len(loader),
    )
    loss_function = LabelSmoothingCrossEntropy(smoothing=0.1)
    model.train()
    for epoch in range(epochs):
        for pictures, targets in loader:
            optimizer.zero_grad()
            loss_function(model(pictures), targets).backward()
            optimizer.step()
        scheduler.step(epoch + 1)


@torch.inference_mode()
def accuracy(model: torch.nn.Module, loader: Any) -> float:
    """Part of the pictures that are classified correctly."""
    model.eval()
    right = sum(int((model(pictures).argmax(1) == targets).sum()) for pictures, targets in loader)
    return right / len(loader.dataset)


def main() -> None:
    """Train, and test once."""
    options = arguments()
    timeline = Timeline(STARTED)
    random_seed(options.seed)
    pictures, test = (create_dataset("", root=options.data, split=split) for split in ("train", "test"))
    batch_size = min(options.batch_size, len(pictures))
    model = create_model(options.backbone, num_classes=len(pictures.reader.class_to_idx), drop_rate=0.0)
    fill(model, options.weights)
    config = resolve_data_config({"img_size": options.size}, model=model)
    shared = {"input_size": config["input_size"], "mean": config["mean"], "std": config["std"], "num_workers": WORKERS}
    shared |= {"batch_size": batch_size, "device": torch.device("cpu")}
    loader = create_loader(pictures, is_training=True, **AUGMENTATION, **shared)
    test_loader = create_loader(test, interpolation=config["interpolation"], crop_pct=config["crop_pct"], **shared)
    timeline.note("ready")
    train(model, loader, batch_size, options.epochs)
    timeline.note("trained")
    timeline.note("tested", test_accuracy=accuracy(model, test_loader))


if __name__ == "__main__":
    main()
