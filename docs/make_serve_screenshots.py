"""Photograph the page of the service in a real browser: `python docs/make_serve_screenshots.py CLASSIFIER PICTURE...`.

Writes `docs/images/serve-desktop.png` and `docs/images/serve-phone.png`, with the pictures classified and the first one
explained.
"""

import re
import shutil
import subprocess
import sys

from make_screenshots import COLOURS, IMAGES, WIDTHS
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

HEIGHTS = {"desktop": 1150, "phone": 1500}


def photograph(browser: Browser, address: str, kind: str, pictures: list[str]) -> None:
    """Let the page classify the pictures, and keep what it shows."""
    page = browser.new_page(viewport={"width": WIDTHS[kind], "height": HEIGHTS[kind]})
    while page.goto(f"{address}/readyz").status != 200:
        page.wait_for_timeout(200)
    page.goto(address)
    page.locator("input[type=file]").first.set_input_files(pictures)
    page.wait_for_function(f"() => document.querySelectorAll('.entry .bar').length >= {len(pictures)}")
    page.get_by_role("button", name=re.compile("speaks for it", re.IGNORECASE)).first.click()
    page.wait_for_timeout(3000)
    file = IMAGES / f"serve-{kind}.png"
    page.screenshot(path=file)
    Image.open(file).convert("RGB").quantize(COLOURS).save(file, optimize=True)
    page.close()


def main() -> None:
    """Serve the classifier given on the command line, and photograph its page."""
    classifier, *pictures = sys.argv[1:]
    command = [sys.executable, "-m", "frostline", "serve", classifier, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:  # noqa: S603
        assert service.stderr is not None
        said = next(line for line in service.stderr if line.startswith("serving"))
        (address,) = re.findall(r"http://[\d.:]+", said)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for kind in WIDTHS:
                photograph(browser, address, kind, pictures)
            browser.close()
        service.terminate()


if __name__ == "__main__":
    main()
