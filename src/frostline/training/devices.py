"""Where a training computes and in which number format."""

import torch

from frostline.errors import ConfigError

_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` is the first of CUDA, MPS and CPU that is there. Raises `ConfigError`."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, is_there in available.items() if is_there)
    if not available[name]:
        raise ConfigError(f"device {name} is not available on this machine: use --device cpu, or auto")
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The number format of that name; `auto` is bfloat16 on a GPU that has it, else float32. Raises `ConfigError`."""
    if name == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    if name == "float16" and device.type == "cpu":
        raise ConfigError("precision float16 cannot be trained on a CPU: use float32, or bfloat16")
    if name != "float32" and device.type == "mps":
        raise ConfigError(f"precision {name} cannot be trained on mps: use float32")
    return _PRECISIONS[name]
