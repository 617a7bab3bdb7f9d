"""fastai as its documentation shows it: vision_learner and fine_tune, on the shared weights."""

import time

STARTED = time.perf_counter()

import numpy as np  # noqa: E402
from backbone import make_backbone, timm  # noqa: E402
from common import Arrays, Timeline, arguments, load_arrays  # noqa: E402
from fastai.vision.all import (  # noqa: E402
    Callback,
    CategoryBlock,
    DataBlock,
    DataLoaders,
    ImageBlock,
    PILImage,
    Resize,
    accuracy,
    aug_transforms,
    set_seed,
    vision_learner,
)


class EpochReport(Callback):
    """Reports each epoch."""

    order = 70
    """After fastai's own recorder."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.epochs = 0

    def after_epoch(self) -> None:
        """Report one epoch."""
        self.epochs += 1
        self.timeline.note("epoch", epoch=self.epochs, val_accuracy=float(self.learn.recorder.values[-1][-1]))


def make_loaders(data: Arrays, size: int, batch_size: int) -> tuple[DataLoaders, range]:
    """Batches of the training and validation pictures, and the numbers of the test pictures."""
    pictures = np.concatenate([data.train, data.val, data.test])
    targets = np.concatenate([data.train_targets, data.val_targets, data.test_targets])
    trained, known = len(data.train), len(data.train) + len(data.val)
    block = DataBlock(
        (ImageBlock, CategoryBlock(vocab=list(range(data.classes)))),
        get_x=lambda number: PILImage.create(pictures[number]),
        get_y=lambda number: int(targets[number]),
        splitter=lambda _: (list(range(trained)), list(range(trained, known))),
        item_tfms=Resize(size),
        batch_tfms=aug_transforms(),
    )
    loaders = block.dataloaders(list(range(known)), bs=batch_size, num_workers=2)
    return loaders, range(known, len(pictures))


def main() -> None:
    """Train, and test once."""
    options = arguments()
    timeline = Timeline(STARTED)
    set_seed(options.seed)
    data = load_arrays(options.data)
    loaders, test = make_loaders(data, options.size, options.batch_size)
    timm.create_model = lambda name, **settings: make_backbone(options.weights, name, **settings)
    learner = vision_learner(loaders, "mobilenetv2_100", metrics=accuracy)
    timeline.note("ready")
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(options.epochs, cbs=EpochReport(timeline))
        probabilities, _ = learner.get_preds(dl=learner.dls.test_dl(list(test)))
    right = (probabilities.argmax(1).numpy() == data.test_targets).mean()
    timeline.note("tested", test_accuracy=float(right))


if __name__ == "__main__":
    main()
