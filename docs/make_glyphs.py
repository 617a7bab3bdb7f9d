"""Make a folder of pictures of 100 classes, letters of several alphabets: `python docs/make_glyphs.py FOLDER`.

For trying out what many classes look like; the pictures are the same every time.
"""

import sys
import unicodedata
from pathlib import Path

import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFilter, ImageFont

CHARACTERS = "".join(
    (
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkmnqrtuy0123456789",
        "ΓΔΘΛΞΠΣΦΨΩαβγδεζηθλμξπσφψωБГДЖЗИЛПЦЧШЩЪЫЬЭЮЯбгдж",
    )
)[:100]
PICTURES = 40
"""Of each class."""
SIDE = 48
FONTS = ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono")


def draw(character: str, rng: np.random.Generator) -> Image.Image:
    """One character, somewhere, turned and in some font, on a noisy ground."""
    font = ImageFont.truetype(findfont(FONTS[rng.integers(len(FONTS))]), int(rng.integers(22, 36)))
    ground, ink = rng.integers(120, 256, 3), rng.integers(0, 110, 3)
    letter = Image.new("L", (SIDE, SIDE))
    place = tuple((SIDE / 2 + rng.uniform(-5, 5, 2)).tolist())
    ImageDraw.Draw(letter).text(place, character, font=font, fill=255, anchor="mm")
    letter = letter.rotate(float(rng.uniform(-20, 20)), Image.Resampling.BICUBIC)
    picture = Image.new("RGB", (SIDE, SIDE), tuple(ground.tolist()))
    picture.paste(tuple(ink.tolist()), mask=letter)
    pixels = np.asarray(picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.2)))), dtype=float)
    return Image.fromarray(np.clip(pixels + rng.normal(0, 14, pixels.shape), 0, 255).astype(np.uint8))


def main() -> None:
    """Write the folder given on the command line."""
    folder = Path(sys.argv[1])
    for number, character in enumerate(CHARACTERS):
        rng = np.random.default_rng(number)
        place = folder / f"{character} {unicodedata.name(character).lower()}"
        place.mkdir(parents=True, exist_ok=True)
        for picture in range(PICTURES):
            draw(character, rng).save(place / f"{picture:02}.png")


if __name__ == "__main__":
    main()
