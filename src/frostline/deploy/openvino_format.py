"""A classifier as an OpenVINO model: preprocessing in OpenVINO's operations, the network converted from torch."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frostline.deploy.answering import Answering, output_names
from frostline.model.engines import convert_module, import_openvino
from frostline.model.network_classifier import NetworkClassifier
from frostline.model.preprocessing import Preprocessing
from frostline.model.quantise import quantise
from frostline.model.runtimes import METADATA_KEY

_EXACT_FIRST = 12
"""Operations with weights, from the input on, that stay in float32 where the rest is in 8 bits (docs/log.md)."""


def convert(classifier: NetworkClassifier, calibration: Iterable[Tensor] | None = None) -> Any:
    """The `openvino.Model` from pictures, uint8 (N, height, width, 3), to probabilities and distances.

    With `calibration`, normalised pixels float32 (1, 3, size, size), the backbone is in 8 bits. The head is not: the
    features that it reads may be of very different sizes.
    """
    openvino = import_openvino()
    size = classifier.preprocessing.size
    backbone = classifier.network.backbone.eval()
    example = torch.zeros(2, 3, size, size)
    network = convert_module(backbone, example)
    if calibration is not None:
        network.reshape({0: openvino.PartialShape([1, 3, size, size])})
        network = quantise(network, calibration, exact_first=_EXACT_FIRST)
    network.reshape({0: openvino.PartialShape([-1, 3, size, size])})
    with torch.no_grad():
        answers = convert_module(Answering(classifier), backbone(example))
    pictures, pixels = _preprocessing(classifier.preprocessing)
    _feed(network, [pixels.output(0)])
    _feed(answers, [result.input_value(0) for result in network.get_results()])
    outputs = [result.input_value(0) for result in answers.get_results()]
    for output, name in zip(outputs, output_names(classifier.trust), strict=True):
        output.get_tensor().set_names({name})
    model = openvino.Model(outputs, [pictures], "frostline")
    model.validate_nodes_and_infer_types()
    return model


def save(model: Any, folder: Path, description: str) -> None:
    """Write a model of `convert` as `model.xml` and `model.bin`, with its description in its runtime information."""
    openvino = import_openvino()
    model.set_rt_info(description, [METADATA_KEY])
    with TemporaryDirectory(dir=folder) as place:
        openvino.save_model(model, Path(place, "model.xml"), compress_to_fp16=False)
        for name in ("model.bin", "model.xml"):
            Path(place, name).replace(folder / name)


def _feed(model: Any, values: list[Any]) -> None:
    """Put values in the place of a model's inputs."""
    for parameter, value in zip(model.get_parameters(), values, strict=True):
        parameter.output(0).replace(value)


def _preprocessing(preprocessing: Preprocessing) -> tuple[Any, Any]:
    """The input, pictures, and the normalised pixels that are made of it.

    Fits as Pillow does, which narrows first and keeps whole levels of 0..255 in between.
    """
    openvino = import_openvino()
    from openvino import opset15 as ops

    size = preprocessing.size
    pictures = ops.parameter(openvino.PartialShape([-1, -1, -1, 3]), openvino.Type.u8, name="pictures")
    pictures.output(0).get_tensor().set_names({"pictures"})
    sides = ops.gather(ops.shape_of(pictures, "i64"), _whole([1, 2]), _whole(0))
    short = ops.reduce_min(sides, _whole(0), keep_dims=True)
    side = ops.minimum(short, _whole([size]))
    square = pictures
    if preprocessing.resize_mode == "crop":
        start = ops.divide(ops.subtract(sides, short), _whole([2]))
        square = ops.slice(pictures, start, ops.add(start, short), _whole([1, 1]), _whole([1, 2]))
    upright = ops.convert(ops.transpose(square, _whole([0, 3, 1, 2])), "f32")
    narrow = _transposed(_resize(upright, side))
    fitted = _transposed(_resize(narrow, side))
    unit = ops.divide(fitted, np.float32(255))
    normalised = ops.divide(ops.subtract(unit, _of_channels(preprocessing.mean)), _of_channels(preprocessing.std))
    pixels = ops.interpolate(
        normalised,
        _whole([size, size]),
        "linear_onnx",
        "sizes",
        coordinate_transformation_mode="half_pixel",
        axes=_whole([2, 3]),
    )
    return pictures, pixels


def _resize(x: Any, width: Any) -> Any:
    """To whole levels, (N, 3, height, width), with another width.

    As rows alone, (N * 3 * height, width): for four axes, OpenVINO would make machine code of each size of picture, in
    a second, and keep its 40 MB (docs/log.md).
    """
    from openvino import opset15 as ops

    sides = ops.shape_of(x, "i64")
    before = ops.gather(sides, _whole([3]), _whole(0))
    rows = ops.reshape(x, ops.concat([_whole([-1]), before], axis=0), special_zero=False)
    resized = ops.interpolate(rows, width, "bicubic_pillow", "sizes", antialias=True, cube_coeff=-0.5, axes=_whole([1]))
    levels = ops.clamp(ops.round(resized, "half_to_even"), 0.0, 255.0)
    others = ops.gather(sides, _whole([0, 1, 2]), _whole(0))
    return ops.reshape(levels, ops.concat([others, width], axis=0), special_zero=False)


def _transposed(x: Any) -> Any:
    """With height and width exchanged."""
    from openvino import opset15 as ops

    return ops.transpose(x, _whole([0, 1, 3, 2]))


def _whole(values: int | list[int]) -> Any:
    from openvino import opset15 as ops

    return ops.constant(np.array(values, np.int64))


def _of_channels(values: tuple[float, float, float]) -> Any:
    from openvino import opset15 as ops

    return ops.constant(np.array(values, np.float32).reshape(1, 3, 1, 1))
