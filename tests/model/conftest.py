"""These tests import timm themselves."""

from frostline._torchvision import ensure_importable

ensure_importable()
