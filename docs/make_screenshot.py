"""Takes the pictures of the demo: start `python app.py`, then run this program.

    python docs/make_screenshot.py examples/street.jpg
    python docs/make_screenshot.py examples/*.jpg --tab many --output docs/many.png
    python docs/make_screenshot.py examples/street.jpg --tab correct --output docs/correct.png
    python docs/make_screenshot.py photo.jpg --tab dots --width 390

It needs the packages of requirements-dev.txt and Chromium.
"""

import argparse
import re
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Error, Page, expect, sync_playwright

HERE = Path(__file__).resolve().parent
SECONDS = 120


def show_mask(page: Page, picture: Path) -> None:
    """Uploads a picture and waits for its mask."""
    page.set_input_files("#picture input[type=file]", picture)
    expect(page.locator("#mask img")).to_be_visible()
    expect(page.locator("#line")).to_contain_text(re.compile("Car|No car"))
    expect(page.locator("#download")).to_be_enabled()


def show_correction(page: Page, picture: Path) -> None:
    """Uploads a picture, waits for its mask, and shows the tab where it can be corrected."""
    show_mask(page, picture)
    page.get_by_role("tab", name="Correct").click()
    expect(page.locator("#corrected img")).to_be_visible()


def show_dots(page: Page, picture: Path) -> None:
    """Uploads a picture in the tab for dots and waits for them."""
    page.get_by_role("tab", name="Dots").click()
    page.set_input_files("#dots-picture input[type=file]", picture)
    expect(page.locator("#dots img")).to_be_visible()


def show_many(page: Page, pictures: list[Path]) -> None:
    """Uploads pictures in the tab for many and waits for their masks."""
    page.get_by_role("tab", name="Many pictures").click()
    page.set_input_files("#files input[type=file]", pictures)
    expect(page.locator("#files")).to_contain_text(pictures[-1].stem)
    page.click("#draw")
    expect(page.locator("#download-masks")).to_be_enabled()
    expect(page.locator("#gallery img").first).to_be_visible()


def take_screenshot(arguments: argparse.Namespace, chromium: str) -> None:
    """Gives the pictures to the demo, waits for its answer, and saves the page."""
    expect.set_options(timeout=SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": arguments.width, "height": 720})
        page.set_default_timeout(SECONDS * 1000)
        page.goto(arguments.address)
        if arguments.tab == "many":
            show_many(page, arguments.pictures)
        else:
            show = {"mask": show_mask, "correct": show_correction, "dots": show_dots}[arguments.tab]
            show(page, arguments.pictures[0])
        page.mouse.move(0, 0)
        page.screenshot(path=arguments.output, animations="disabled")
        browser.close()


def main() -> None:
    """Reads the command line and takes the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+", type=Path, help="what to give the demo; all tabs but many take one")
    parser.add_argument("--address", default="http://127.0.0.1:7860", help="where the demo runs (%(default)s)")
    parser.add_argument("--tab", default="mask", choices=["mask", "many", "correct", "dots"], help="what to show")
    parser.add_argument("--width", type=int, default=1280, help="of the page in pixels (%(default)s)")
    parser.add_argument("--output", type=Path, default=HERE / "demo.png", help="the PNG to write")
    arguments = parser.parse_args()
    if not all(picture.is_file() for picture in arguments.pictures):
        sys.exit("There is no such picture; give the paths of picture files.")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("There is no Chromium on this machine; install chromium and try again.")
    try:
        take_screenshot(arguments, chromium)
    except (Error, AssertionError) as error:
        sys.exit(f"The demo did not answer; start it with `python app.py` first ({str(error).splitlines()[0]}).")


if __name__ == "__main__":
    main()
