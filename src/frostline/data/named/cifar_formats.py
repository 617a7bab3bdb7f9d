"""The bytes of CIFAR's files, in the official python and binary formats, to pictures, targets and class names."""

import io
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 32
VALUES = 3 * SIDE * SIDE

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Pictures (records, 3, 32, 32) and targets (records,)."""


def binary_batch(content: bytes, label_bytes: int) -> Batch:
    """Records of `label_bytes` labels, of which the last counts, and 3,072 values. Raises `ValueError`."""
    size = label_bytes + VALUES
    if len(content) % size:
        raise ValueError(f"has {len(content):,} bytes, which is no multiple of a record's {size:,}")
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, size)
    return records[:, label_bytes:].reshape(-1, 3, SIDE, SIDE), records[:, label_bytes - 1].astype(np.int64)


def binary_names(content: bytes) -> list[str]:
    """Class names, one a line. Raises `ValueError`."""
    return [line.strip() for line in content.decode().splitlines() if line.strip()]


def python_batch(content: bytes, labels_key: str) -> Batch:
    """A pickled dict with `data`, uint8 (records, 3072), and labels under `labels_key`. Raises `ValueError`."""
    batch = _unpickled_dict(content)
    data, labels = batch.get("data"), batch.get(labels_key)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != VALUES:
        raise ValueError(f"holds no uint8 array `data` of {VALUES:,} values a picture")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise ValueError(f"holds no list `{labels_key}` of whole numbers")
    return data.reshape(-1, 3, SIDE, SIDE), np.array(labels, dtype=np.int64)


def python_names(content: bytes, names_key: str) -> list[str]:
    """Class names, a list under `names_key` in a pickled dict. Raises `ValueError`."""
    names = _unpickled_dict(content).get(names_key)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"holds no list `{names_key}` of class names")
    return names


def _latin1(text: str, encoding: str) -> bytes:
    """What `_codecs.encode` does in the pickles of bytes that Python 3 writes in old protocols."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"asks for the encoding {encoding}, which no CIFAR file does")
    return text.encode("latin1")


_RECONSTRUCT = np.empty(0).__reduce__()[0]
_FROM_BUFFER = np.empty(0).__reduce_ex__(5)[0]

_ARRAY_PARTS: Mapping[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("_codecs", "encode"): _latin1,
}
"""The only names that a pickle may call: those that the versions of numpy write for an array."""


class _ArrayUnpickler(pickle.Unpickler):
    """Builds plain values and numpy arrays, and runs nothing else that a pickle asks for."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ARRAY_PARTS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"asks for {module}.{name}, which no CIFAR file does") from None


_NO_PICKLE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)
"""What bytes that are no pickle, or not all of one, make an unpickler raise."""


def _unpickled_dict(content: bytes) -> dict[Any, Any]:
    try:
        value = _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    except _NO_PICKLE as error:
        raise ValueError(f"is not in CIFAR's python format: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"holds a {type(value).__name__} instead of a dict")
    return value
