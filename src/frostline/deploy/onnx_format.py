"""A classifier as an ONNX model: preprocessing written in ONNX's own text, the network converted by torch."""

import logging
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch

from frostline.deploy.answering import Whole, output_names
from frostline.files import atomic_write
from frostline.model.network_classifier import NetworkClassifier
from frostline.model.preprocessing import Preprocessing
from frostline.model.runtimes import METADATA_KEY

OPSET = 20
"""Of the operators; the first with resizing as Pillow does it is 18."""

_IR_VERSION = 10

_RESIZE = 'antialias=1, cubic_coeff_a=-0.5, exclude_outside=1, coordinate_transformation_mode="half_pixel"'

_PREPROCESSING = """
<ir_version: {ir_version}, opset_import: ["": {opset}]>
preprocessing (uint8[N, height, width, 3] pictures) => (float[N, 3, {size}, {size}] pixels)
<int64[1] largest = {{{size}}}, int64[1] two = {{2}}, int64[2] axes = {{1, 2}}, int64[1] colours = {{3}},
 float black = {{0}}, float white = {{255}}, float[3, 1, 1] mean = {{{mean}}}, float[3, 1, 1] std = {{{std}}}>
{{
    tall = Shape <start = 1, end = 2> (pictures)
    wide = Shape <start = 2, end = 3> (pictures)
    short = Min (tall, wide)
    side = Min (short, largest)
    {square}
    upright = Transpose <perm = [0, 3, 1, 2]> (square)
    exact = Cast <to = 1> (upright)
    count = Shape <end = 1> (pictures)
    none = Constant <value = float[0] {{}}> ()
    rows = Shape <start = 1, end = 2> (square)
    narrow_sizes = Concat <axis = 0> (count, colours, rows, side)
    narrow = Resize <mode = "cubic", {resize}> (exact, none, none, narrow_sizes)
    narrow_levels = Round (narrow)
    narrow_fitted = Clip (narrow_levels, black, white)
    small_sizes = Concat <axis = 0> (count, colours, side, side)
    small = Resize <mode = "cubic", {resize}> (narrow_fitted, none, none, small_sizes)
    small_levels = Round (small)
    fitted = Clip (small_levels, black, white)
    unit = Div (fitted, white)
    centred = Sub (unit, mean)
    normalised = Div (centred, std)
    sizes = Concat <axis = 0> (count, colours, largest, largest)
    pixels = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (normalised, none, none, sizes)
}}
"""
"""Fits as Pillow does, which narrows first and keeps whole levels of 0..255 in between."""

_SQUARE = {
    "crop": """tall_over = Sub (tall, short)
    wide_over = Sub (wide, short)
    top = Div (tall_over, two)
    left = Div (wide_over, two)
    starts = Concat <axis = 0> (top, left)
    ends = Add (starts, short)
    square = Slice (pictures, starts, ends, axes)""",
    "stretch": "square = Identity (pictures)",
}


def convert(classifier: NetworkClassifier) -> Any:
    """The `onnx.ModelProto` from pictures, uint8 (N, height, width, 3), to probabilities and distances."""
    from onnx.compose import add_prefix, merge_models

    network = add_prefix(_network(classifier), "network/", rename_inputs=False, rename_outputs=False)
    return merge_models(_preprocessing(classifier.preprocessing), network, [("pixels", "pixels")])


def save(model: Any, folder: Path, description: str) -> None:
    """Write a model of `convert` as `model.onnx`, with its description in its metadata."""
    from onnx.helper import set_model_props

    set_model_props(model, {METADATA_KEY: description})
    with atomic_write(folder / "model.onnx", "wb") as file:
        file.write(model.SerializeToString())


def _preprocessing(preprocessing: Preprocessing) -> Any:
    from onnx.parser import parse_model

    text = _PREPROCESSING.format(
        ir_version=_IR_VERSION,
        opset=OPSET,
        size=preprocessing.size,
        mean=", ".join(map(repr, preprocessing.mean)),
        std=", ".join(map(repr, preprocessing.std)),
        square=_SQUARE[preprocessing.resize_mode],
        resize=_RESIZE,
    )
    return parse_model(text)


def _network(classifier: NetworkClassifier) -> Any:
    """From normalised pixels on; any number of them."""
    size = classifier.preprocessing.size
    with warnings.catch_warnings(), redirect_stdout(StringIO()):  # where it draws its progress
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            Whole(classifier),
            (torch.zeros(2, 3, size, size),),
            input_names=["pixels"],
            output_names=output_names(classifier.trust),
            opset_version=OPSET,
            dynamic_shapes={"pixels": {0: torch.export.Dim("N")}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    model.ir_version = _IR_VERSION
    return model
