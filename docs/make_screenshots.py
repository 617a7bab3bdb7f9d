"""Photograph the report of a run in a real browser: `python docs/make_screenshots.py RUN NAME [HEIGHT]`.

Writes `docs/images/NAME-desktop.png` and `docs/images/NAME-phone.png`; with a confusion, its cell is clicked first.
"""

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / "images"
WIDTHS = {"desktop": 1200, "phone": 390}
COLOURS = 256
"""Of the picture files, which are smaller so."""


def main() -> None:
    """Photograph the run given on the command line."""
    run, name = Path(sys.argv[1]), sys.argv[2]
    height = int(sys.argv[3]) if len(sys.argv) > 3 else 2400
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for kind, width in WIDTHS.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto((run / "report.html").resolve().as_uri())
            wrong = page.locator("button.wrong, .wide-matrix button")
            if wrong.count():
                wrong.first.click()
                page.evaluate("() => scrollTo(0, 0)")
            file = IMAGES / f"{name}-{kind}.png"
            page.screenshot(path=file)
            Image.open(file).convert("RGB").quantize(COLOURS).save(file, optimize=True)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
