"""Takes the README's picture of the demo: start `python app.py`, then run this program.

It needs the packages of requirements-dev.txt and Chromium.
"""

import argparse
import re
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Error, expect, sync_playwright

HERE = Path(__file__).resolve().parent
SECONDS = 120


def take_screenshot(address: str, picture: Path, output: Path, chromium: str) -> None:
    """Uploads `picture` to the demo at `address`, waits for its mask, and saves the page, 1280 pixels wide."""
    expect.set_options(timeout=SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.goto(address, timeout=SECONDS * 1000)
        page.set_input_files("#picture input[type=file]", picture, timeout=SECONDS * 1000)
        expect(page.locator("#mask img")).to_be_visible()
        expect(page.locator("#line")).to_contain_text(re.compile("Car|No car"))
        expect(page.locator("#download")).to_be_enabled()
        page.mouse.move(0, 0)
        page.screenshot(path=output, animations="disabled")
        browser.close()


def main() -> None:
    """Reads the command line and takes the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path, help="the picture to show in the demo")
    parser.add_argument("--address", default="http://127.0.0.1:7860", help="where the demo runs (%(default)s)")
    parser.add_argument("--output", type=Path, default=HERE / "demo.png", help="the PNG to write")
    arguments = parser.parse_args()
    if not arguments.picture.is_file():
        sys.exit("There is no such picture; give the path of a picture file.")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("There is no Chromium on this machine; install chromium and try again.")
    try:
        take_screenshot(arguments.address, arguments.picture, arguments.output, chromium)
    except (Error, AssertionError) as error:
        sys.exit(f"The demo did not answer; start it with `python app.py` first ({str(error).splitlines()[0]}).")


if __name__ == "__main__":
    main()
