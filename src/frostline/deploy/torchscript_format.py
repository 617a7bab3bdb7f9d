"""A classifier as a TorchScript file: preprocessing as a script, the network as a trace."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frostline.deploy.answering import Whole
from frostline.files import atomic_write
from frostline.model.network_classifier import NetworkClassifier
from frostline.model.preprocessing import Preprocessing
from frostline.model.runtimes import METADATA_KEY


class _Preparing(nn.Module):
    """Pictures, uint8 (N, height, width, 3), to normalised pixels (N, 3, size, size)."""

    mean: Tensor
    std: Tensor

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.size = preprocessing.size
        self.crops = preprocessing.resize_mode == "crop"
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(preprocessing.std).view(3, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class; fits as Pillow does, which narrows first and keeps whole levels of 0..255 in between."""
        height, width = pictures.shape[1], pictures.shape[2]
        short = min(height, width)
        side = min(short, self.size)
        if self.crops:
            top, left = (height - short) // 2, (width - short) // 2
            pictures = pictures[:, top : top + short, left : left + short]
        x = pictures.permute(0, 3, 1, 2).contiguous().float()
        x = self.resize(x, x.shape[2], side)
        x = self.resize(x, side, side)
        x = (x / 255 - self.mean) / self.std
        return F.interpolate(x, size=[self.size, self.size], mode="bilinear", align_corners=False)

    def resize(self, x: Tensor, height: int, width: int) -> Tensor:
        """To whole levels of a smaller size."""
        resized = F.interpolate(x, size=[height, width], mode="bicubic", align_corners=False, antialias=True)
        return resized.round().clamp(0.0, 255.0)


def convert(classifier: NetworkClassifier) -> torch.jit.ScriptModule:
    """The script from pictures, uint8 (N, height, width, 3), to probabilities and distances."""
    size = classifier.preprocessing.size
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # on tracing: that it is old, and that sizes become constants
        preparing = torch.jit.script(_Preparing(classifier.preprocessing).eval())
        example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
        traced: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]
            nn.Sequential(preparing, Whole(classifier)), (example,)
        )
        return traced


def save(model: torch.jit.ScriptModule, folder: Path, description: str) -> None:
    """Write a model of `convert` as `model.pt`, with its description in its extra files."""
    with atomic_write(folder / "model.pt", "wb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        file.write(model.save_to_buffer(_extra_files={METADATA_KEY: description}))
