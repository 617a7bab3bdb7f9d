"""fastai as its documentation shows it: vision_learner and fine_tune, on the shared weights."""

import time

STARTED = time.perf_counter()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from common import Timeline, arguments, load_arrays  # noqa: E402

from frostline._torchvision import ensure_importable  # noqa: E402

ensure_importable()  # torchvision's operators are missing beside a CPU build of torch

import timm  # noqa: E402
from fastai.vision.all import (  # noqa: E402
    Callback,
    CategoryBlock,
    DataBlock,
    ImageBlock,
    Normalize,
    PILImage,
    Resize,
    accuracy,
    aug_transforms,
    imagenet_stats,
    vision_learner,
)
from safetensors.torch import load_file  # noqa: E402


class Progress(Callback):
    """Reports each epoch."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.epochs = 0

    def after_epoch(self) -> None:
        """Report one epoch."""
        self.epochs += 1
        self.timeline.note("epoch", epoch=self.epochs, val_accuracy=float(self.learn.recorder.values[-1][-1]))


def main() -> None:
    """Train, and test once."""
    options = arguments()
    timeline = Timeline(STARTED)
    torch.manual_seed(options.seed)
    data = load_arrays(options.data)
    pictures = np.concatenate([data.train, data.val])
    targets = np.concatenate([data.train_targets, data.val_targets])
    block = DataBlock(
        (ImageBlock, CategoryBlock(vocab=list(range(data.classes)))),
        get_x=lambda index: PILImage.create(pictures[index]),
        get_y=lambda index: int(targets[index]),
        splitter=lambda items: (list(range(len(data.train))), list(range(len(data.train), len(items)))),
        item_tfms=Resize(options.size),
        batch_tfms=[*aug_transforms(), Normalize.from_stats(*imagenet_stats)],
    )
    loaders = block.dataloaders(list(range(len(pictures))), bs=options.batch_size, num_workers=2)
    shared = load_file(options.weights)
    create = timm.create_model

    def with_shared_weights(name: str, pretrained: bool = True, **settings: object) -> torch.nn.Module:
        model = create(name, pretrained=False, **settings)
        model.load_state_dict(shared, strict=False)
        return model

    timm.create_model = with_shared_weights
    learner = vision_learner(loaders, "mobilenetv2_100", metrics=accuracy, cbs=Progress(timeline))
    timeline.note("ready")
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(options.epochs)
        test = learner.dls.test_dl([PILImage.create(picture) for picture in data.test])
        probabilities, _ = learner.get_preds(dl=test)
    right = (probabilities.argmax(1).numpy() == data.test_targets).mean()
    timeline.note("tested", test_accuracy=float(right))


if __name__ == "__main__":
    main()
