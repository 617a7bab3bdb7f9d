"""A network in 8-bit integers, calibrated by NNCF, the quantiser of the OpenVINO project."""

import hashlib
import inspect
import io
import logging
from collections.abc import Iterable
from contextlib import redirect_stdout
from typing import Any

import numpy as np
from torch import Tensor

MOST_EXAMPLES = 256
"""Inputs that a model is calibrated on at most."""


_WITH_WEIGHTS = ("Convolution", "GroupConvolution", "MatMul")


def quantise(model: Any, inputs: Iterable[Tensor], exact_first: int = 0) -> Any:
    """An OpenVINO model with its weights and the values between its operations in 8 bits.

    Their ranges are measured on `inputs`, float32 of the model's own shape, which may be gone through more than once.
    The first `exact_first` operations with weights stay in float32: there, an error grows through all that follows.
    The first step is what `openvino.convert_model` does too: it joins batch norm with the convolution before it, whose
    output would lose most of its digits otherwise. Weights keep to 7 bits, since sums of products of 8 bits overflow on
    processors without VNNI.
    """
    import nncf
    from openvino._offline_transformations import apply_moc_transformations

    apply_moc_transformations(model, cf=False, smart_reshape=False)
    weighted = [each.get_friendly_name() for each in model.get_ordered_ops() if each.get_type_name() in _WITH_WEIGHTS]
    ignored = nncf.IgnoredScope(names=weighted[:exact_first], validate=False)
    examples = nncf.Dataset(inputs, lambda example: example.numpy())
    advanced = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE)
    logging.getLogger("nncf").setLevel(logging.ERROR)
    quantize = inspect.unwrap(nncf.quantize)  # what it is wrapped in would report its use to Intel
    with redirect_stdout(io.StringIO()):  # where it draws its progress
        return quantize(model, examples, subset_size=MOST_EXAMPLES, ignored_scope=ignored, advanced_parameters=advanced)


def digest(model: Any) -> str:
    """A SHA-256, in hexadecimal, of an OpenVINO model's operations and constants."""
    found = hashlib.sha256()
    for operation in model.get_ordered_ops():
        found.update(operation.get_type_name().encode())
        if operation.get_type_name() == "Constant":
            found.update(f"{operation.data.dtype} {operation.data.shape}".encode())
            found.update(np.ascontiguousarray(operation.data).data)
    return found.hexdigest()
