"""What is trained: backbones and their weights, the frost line, the head, and the classifier that they make."""

from frostline._torchvision import ensure_importable

ensure_importable()  # every module of this package may import timm
