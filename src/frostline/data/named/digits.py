"""Scikit-learn's digits (Alpaydin and Kaynak 1998): 1,797 handwritten digits of 8 x 8 pixels that need no download."""

import numpy as np

from frostline.data.arrays import array_dataset
from frostline.data.dataset import Dataset

LICENCE = "CC BY 4.0"


def load_digits() -> Dataset:
    """The pictures as grey RGB, their 17 shades (0 to 16) spread over 0 to 255; the source brings no splits."""
    from sklearn.datasets import load_digits as load

    digits = load()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    pictures = np.repeat(grey[..., None], 3, axis=3)
    names = [str(name) for name in digits.target_names]
    return array_dataset("digits", "scikit-learn", {"all": (pictures, digits.target)}, names, LICENCE)
