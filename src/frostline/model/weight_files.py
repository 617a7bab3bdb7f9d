"""One file of weights: read safely, never running code, and named by its SHA-256."""

import argparse
import hashlib
import pickle
import struct
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from frostline.errors import ModelError

_CONTAINERS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Where training programs keep a state dict within what they save, averaged weights first."""

_WRAPPERS = ("_orig_mod.", "module.", "_orig_mod.")
"""Prefixes that `torch.compile` and DistributedDataParallel put before each name."""

_DAMAGED = (
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    struct.error,
)
"""What `torch.load` raises on a damaged file or on one of another kind."""


def read_weight_file(path: Path) -> dict[str, Tensor]:
    """Read a state dict on the CPU: safetensors by its suffix, else a torch file with `weights_only=True`.

    A state dict inside a training checkpoint is found, and the prefixes of wrapped models are removed.
    Raises `ModelError`, naming the file, if it is missing, damaged, no weights file, or would have to run code.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        raise ModelError(f"{path}: the weights file cannot be read ({error.strerror}); check the path") from error
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    if isinstance(content, dict):
        content = next((content[key] for key in _CONTAINERS if isinstance(content.get(key), dict)), content)
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise ModelError(f"{path}: holds no state dict, that is, tensors by name; save model.state_dict() of a network")
    return {_unwrapped(str(name)): tensor for name, tensor in content.items()}


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a whole safetensors file ({_one_line(error)}); fetch it again") from error


def _read_torch(path: Path) -> object:
    """Read tensors in plain containers. `Namespace`, which holds no code, is allowed: timm's checkpoints have one."""
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: not a torch file of plain tensors, but another kind of file or one that could run code;"
            " give a safetensors file or a torch state dict"
        ) from error
    except _DAMAGED as error:
        raise ModelError(
            f"{path}: not a whole weights file ({_one_line(error)}); give a safetensors file or a torch state dict"
        ) from error


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."


def _unwrapped(name: str) -> str:
    for prefix in _WRAPPERS:
        name = name.removeprefix(prefix)
    return name
