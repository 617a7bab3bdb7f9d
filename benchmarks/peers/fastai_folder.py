"""fastai on a folder of pictures as its documentation shows it: vision_learner and fine_tune, on the shared weights."""

import time

STARTED = time.perf_counter()

from backbone import make_backbone, timm  # noqa: E402
from common import Timeline, arguments  # noqa: E402
from fastai.vision.all import (  # noqa: E402
    CategoryBlock,
    DataBlock,
    ImageBlock,
    Resize,
    aug_transforms,
    get_image_files,
    parent_label,
    set_seed,
    vision_learner,
)


def main() -> None:
    """Train, and test once.

    No picture is held out: fine_tune chooses nothing by the validation pictures, so that one training picture stands
    for them. Where there are fewer pictures than fastai's batch of 64, which would leave none, all make one batch.
    """
    options = arguments()
    timeline = Timeline(STARTED)
    set_seed(options.seed)
    train, test = (sorted(get_image_files(options.data / split)) for split in ("train", "test"))
    block = DataBlock(
        (ImageBlock, CategoryBlock),
        get_y=parent_label,
        splitter=lambda paths: (list(range(len(paths))), [0]),
        item_tfms=Resize(options.size),
        batch_tfms=aug_transforms(),
    )
    loaders = block.dataloaders(train, bs=min(options.batch_size, len(train)), num_workers=2)
    timm.create_model = lambda name, **settings: make_backbone(options.weights, name, **settings)
    learner = vision_learner(loaders, options.backbone)
    timeline.note("ready")
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(options.epochs)
        timeline.note("trained")
        probabilities, _ = learner.get_preds(dl=learner.dls.test_dl(test))
    answers = [loaders.vocab[index] for index in probabilities.argmax(1)]
    right = sum(answer == parent_label(path) for answer, path in zip(answers, test, strict=True))
    timeline.note("tested", test_accuracy=right / len(test))


if __name__ == "__main__":
    main()
