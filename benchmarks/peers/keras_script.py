"""The published recipe as a Keras user writes it: MobileNetV2, its last 20 layers, Adam at 1e-4, ImageDataGenerator.

The pretrained weights are those that every tool of the benchmark starts from. They were trained in torch, so padding
and batch norm's epsilon are set to torch's: the network then gives the same features as timm's.
"""

import os
import time

STARTED = time.perf_counter()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from common import Timeline, arguments, load_arrays  # noqa: E402
from keras import Model, Sequential, layers  # noqa: E402
from keras.applications import MobileNetV2  # noqa: E402
from keras.optimizers import Adam  # noqa: E402
from keras.src.legacy.preprocessing.image import ImageDataGenerator  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def torch_layers() -> list[tuple[str, str]]:
    """Names of the convolutions and batch norms of timm's mobilenetv2_100, in order of execution."""
    names = [("conv_stem", "bn1"), ("blocks.0.0.conv_dw", "blocks.0.0.bn1"), ("blocks.0.0.conv_pw", "blocks.0.0.bn2")]
    for stage, depth in enumerate((2, 3, 4, 3, 3, 1), start=1):
        for block in range(depth):
            prefix = f"blocks.{stage}.{block}"
            for convolution, norm in (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3")):
                names.append((f"{prefix}.{convolution}", f"{prefix}.{norm}"))
    return [*names, ("conv_head", "bn2")]


def make_backbone(size: int, weights: str) -> Model:
    """MobileNetV2 without its top, with the shared weights, for normalised pictures with a border of one zero."""
    shape = (size + 2, size + 2, 3)
    config = MobileNetV2(input_shape=shape, include_top=False, weights=None, pooling="avg").get_config()
    for layer in config["layers"]:
        if layer["class_name"] == "ZeroPadding2D":
            layer["config"]["padding"] = ((1, 1), (1, 1))
        elif layer["config"]["name"] == "Conv1":
            layer["config"]["padding"] = "valid"
        elif layer["class_name"] == "BatchNormalization":
            layer["config"]["epsilon"] = 1e-5
    backbone = Model.from_config(config)
    tensors = load_file(weights)
    convolutions = [layer for layer in backbone.layers if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D))]
    norms = [layer for layer in backbone.layers if isinstance(layer, layers.BatchNormalization)]
    for convolution, norm, (name, norm_name) in zip(convolutions, norms, torch_layers(), strict=True):
        axes = (2, 3, 0, 1) if isinstance(convolution, layers.DepthwiseConv2D) else (2, 3, 1, 0)
        convolution.set_weights([tensors[f"{name}.weight"].transpose(axes)])
        norm.set_weights([tensors[f"{norm_name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")])
    return backbone


def main() -> None:
    """Train, and test once."""
    options = arguments()
    timeline = Timeline(STARTED)
    tf.keras.utils.set_random_seed(options.seed)
    data = load_arrays(options.data)
    backbone = make_backbone(options.size, options.weights)
    for layer in backbone.layers[:-21]:  # the last 20, and the pooling after them, which has no weights
        layer.trainable = False
    model = Sequential(
        [
            layers.Input((*data.train.shape[1:3], 3)),
            layers.Resizing(options.size, options.size),
            layers.Normalization(mean=MEAN, variance=STD**2),
            layers.ZeroPadding2D(1),
            backbone,
            layers.Dense(256, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.3),
            layers.Dense(data.classes, activation="softmax"),
        ]
    )
    model.compile(Adam(1e-4), "sparse_categorical_crossentropy", metrics=["accuracy"])
    generator = ImageDataGenerator(
        rescale=1 / 255,
        rotation_range=15,
        width_shift_range=0.1,
        height_shift_range=0.1,
        shear_range=10,
        zoom_range=0.1,
        horizontal_flip=True,
    )
    train = generator.flow(data.train, data.train_targets, options.batch_size, seed=options.seed)
    validation = (data.val.astype("float32") / 255, data.val_targets)
    timeline.note("ready")
    for epoch in range(options.epochs):
        history = model.fit(train, validation_data=validation, verbose=0).history
        timeline.note("epoch", epoch=epoch + 1, val_accuracy=history["val_accuracy"][0])
    _, accuracy = model.evaluate(data.test.astype("float32") / 255, data.test_targets, verbose=0)
    timeline.note("tested", test_accuracy=accuracy)


if __name__ == "__main__":
    main()
