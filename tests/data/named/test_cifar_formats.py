import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frostline.data.named.cifar_formats import VALUES, binary_batch, binary_names, python_batch, python_names

PIXELS = np.random.default_rng(0).integers(0, 256, (4, VALUES), dtype=np.uint8)


def _python2_batch(pixels: np.ndarray[Any, np.dtype[np.uint8]], labels: list[int]) -> bytes:
    """A batch as Python 2 and the numpy of its time pickled it, which is what the official archives hold."""

    def text(value: bytes) -> bytes:
        return pickle.BINSTRING + struct.pack("<i", len(value)) + value

    def number(value: int) -> bytes:
        return pickle.BININT + struct.pack("<i", value)

    kind = b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + pickle.TUPLE3 + pickle.REDUCE
    kind += pickle.MARK + number(3) + text(b"|") + pickle.NONE * 3 + number(-1) * 2 + number(0) + pickle.TUPLE
    kind += pickle.BUILD
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + pickle.TUPLE1 + text(b"b")
    array += pickle.TUPLE3 + pickle.REDUCE + pickle.MARK + number(1)
    array += number(pixels.shape[0]) + number(pixels.shape[1]) + pickle.TUPLE2
    array += kind + pickle.NEWFALSE + text(pixels.tobytes()) + pickle.TUPLE + pickle.BUILD
    listed = pickle.EMPTY_LIST + pickle.MARK + b"".join(number(label) for label in labels) + pickle.APPENDS
    items = text(b"data") + array + text(b"labels") + listed
    return pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS + pickle.STOP


def test_what_python_2_pickled_is_read() -> None:
    pictures, targets = python_batch(_python2_batch(PIXELS, [3, 1, 4, 1]), "labels")
    np.testing.assert_array_equal(pictures, PIXELS.reshape(4, 3, 32, 32))
    assert targets.tolist() == [3, 1, 4, 1]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_what_python_3_pickles_is_read(protocol: int) -> None:
    content = pickle.dumps({"data": PIXELS, "fine_labels": [0, 99, 5, 6]}, protocol)
    pictures, targets = python_batch(content, "fine_labels")
    np.testing.assert_array_equal(pictures, PIXELS.reshape(4, 3, 32, 32))
    assert targets.tolist() == [0, 99, 5, 6]


class _Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_that_runs_code_is_refused_before_it_runs(tmp_path: Path) -> None:
    content = pickle.dumps({"data": _Malicious(tmp_path / "ran")})
    with pytest.raises(ValueError, match=r"asks for \S+, which no CIFAR file does"):
        python_batch(content, "labels")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["numpy\nload\n", "builtins\neval\n", "numpy\nndarray.tofile\n", "_codecs\ndecode\n"])
def test_no_other_name_can_be_called(name: str) -> None:
    with pytest.raises(ValueError, match="which no CIFAR file does"):
        python_batch(b"c" + name.encode() + b".", "labels")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle at all",
        pickle.dumps({"data": PIXELS, "labels": [1, 2, 3, 4]})[:-10],
        pickle.dumps([1, 2]),
        pickle.dumps({"labels": [1]}),
        pickle.dumps({"data": PIXELS.astype(np.int32), "labels": [1, 2, 3, 4]}),
        pickle.dumps({"data": PIXELS[:, 1:], "labels": [1, 2, 3, 4]}),
        pickle.dumps({"data": PIXELS}),
        pickle.dumps({"data": PIXELS, "labels": [1, 2, 3, 4.0]}),
    ],
)
def test_what_is_no_batch_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^(is not in|holds)"):
        python_batch(content, "labels")


def test_names_are_a_list_of_text() -> None:
    assert python_names(pickle.dumps({"label_names": ["cat", "dog"]}), "label_names") == ["cat", "dog"]
    with pytest.raises(ValueError, match="no list `label_names`"):
        python_names(pickle.dumps({"label_names": [1, 2]}), "label_names")
    assert binary_names(b"cat\r\ndog\n\n") == ["cat", "dog"]


@pytest.mark.parametrize("label_bytes", [1, 2])
def test_binary_records_are_read_and_the_last_label_counts(label_bytes: int) -> None:
    labels = np.array([[9, 8], [7, 6], [5, 4], [3, 2]], dtype=np.uint8)[:, :label_bytes]
    pictures, targets = binary_batch(np.hstack([labels, PIXELS]).tobytes(), label_bytes)
    np.testing.assert_array_equal(pictures, PIXELS.reshape(4, 3, 32, 32))
    assert targets.tolist() == labels[:, -1].tolist()


def test_half_a_binary_record_is_refused() -> None:
    with pytest.raises(ValueError, match="no multiple"):
        binary_batch(bytes(3073 + 10), 1)
