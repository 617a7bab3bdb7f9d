"""Make torchvision importable beside a torch build that its compiled operators were not made for."""

import importlib.util
from pathlib import Path

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

_declared: list[torch.library.Library] = []
"""The declarations live as long as these objects do."""


def ensure_importable() -> None:
    """Declare the operators that `import torchvision` describes, where its compiled library cannot be loaded.

    The CPU builds of torch cannot load the operators of torchvision's common build, and `import torchvision`, and so
    `import timm`, then raises "operator torchvision::nms does not exist". Declaring the schemas is enough: nothing
    in an image classifier calls these operators. Does nothing where they are present; may be called again.
    """
    if hasattr(torch.ops.torchvision, "nms") or _load_compiled_operators():
        return
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    _declared.append(library)


def _load_compiled_operators() -> bool:
    """Load torchvision's own operators as its import will do; False where they do not fit this torch."""
    spec = importlib.util.find_spec("torchvision")
    folders = spec.submodule_search_locations if spec is not None else None
    files = sorted(path for folder in folders or () for path in Path(folder).glob("_C*") if path.suffix != ".py")
    if not files:
        return False
    try:
        torch.ops.load_library(files[0])  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return hasattr(torch.ops.torchvision, "nms")
