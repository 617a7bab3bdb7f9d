"""timm, whose import needs an importable torchvision: take it from here."""

from frostline._torchvision import ensure_importable

ensure_importable()

import timm  # noqa: E402
import timm.layers  # noqa: E402
import timm.models._hub  # noqa: E402

__all__ = ["timm"]
