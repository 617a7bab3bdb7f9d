"""Whether a network is worth compiling."""

import os
import shutil
from importlib.util import find_spec

import torch

COMPILING_PAYS_FROM = 5_000
"""Batches from which on it is worth to compile: taken to cost a minute, and to save more than 10 ms of each batch.

Both are guesses: no GPU was at hand to measure them.
"""

COMPILER_MODE = "reduce-overhead"
"""torch's, in which a compiled network is one CUDA graph: a batch starts with one call, instead of one an operation."""


def compiling_pays(device: torch.device, batches: int) -> bool:
    """Whether to compile what is to run so many batches of one shape: on CUDA alone, where there is a compiler."""
    return device.type == "cuda" and batches >= COMPILING_PAYS_FROM and has_compiler()


def has_compiler() -> bool:
    """Whether torch can compile for a GPU here: with Triton, and a C compiler that builds what calls its kernels."""
    compilers = (os.environ.get("CC"), "cc", "gcc", "clang")
    return find_spec("triton") is not None and any(name and shutil.which(name) for name in compilers)
