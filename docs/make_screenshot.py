"""Takes the pictures of the demo: start `python app.py`, then run this program.

    python docs/make_screenshot.py
    python docs/make_screenshot.py --state site --address http://localhost:8000  # of carmask export --to web
    python docs/make_screenshot.py photo.jpg --state dots --width 390 --dark --output dots-on-a-phone.png

Without pictures it takes those of docs/, of the drawn examples. It needs the packages of the extra dev and
Chromium.
"""

import argparse
import io
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Error, Page, expect, sync_playwright

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples"
SECONDS = 120
SHOTS = {
    "demo.png": ["--state", "mask", "--full"],
    "many.png": ["--state", "many"],
    "correct.png": ["--state", "correct"],
    "dots-page.png": ["--state", "dots"],
    "dark.png": ["--state", "mask", "--dark"],
    "phone.png": ["--state", "mask", "--width", "390", "--full"],
}
SITE_SHOTS = {
    "web.png": ["--state", "site", "--full"],
    "web-phone.png": ["--state", "site", "--width", "390", "--full"],
}


def show_mask(page: Page, pictures: list[Path]) -> None:
    """Uploads a picture and waits for its mask and the views of it."""
    page.set_input_files("#picture input[type=file]", pictures[0])
    expect(page.locator("#mask img")).to_be_visible()
    expect(page.locator("#line")).to_contain_text(re.compile("Car|No car"))
    page.locator("#foot").scroll_into_view_if_needed()  # a picture far below what a phone shows is not loaded yet
    expect(page.locator("#overlay .over")).to_be_visible()
    expect(page.locator("#doubtful img")).to_be_visible()
    page.locator("#head").scroll_into_view_if_needed()


def show_waiting(page: Page, pictures: list[Path]) -> None:
    """Uploads a picture and lets no question for its mask come through."""
    page.route("**/queue/join*", lambda route: None)
    page.set_input_files("#picture input[type=file]", pictures[0])
    expect(page.locator("#picture img")).to_be_visible()
    page.wait_for_timeout(1500)


def show_refusal(page: Page, pictures: list[Path]) -> None:
    """Uploads the first half of a picture and waits for the sentence about it."""
    content = pictures[0].read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        half = Path(folder) / pictures[0].name
        half.write_bytes(content[: len(content) // 2])
        page.set_input_files("#picture input[type=file]", half)
        expect(page.get_by_test_id("toast-body")).to_be_visible()
    page.wait_for_timeout(1000)


def show_correction(page: Page, pictures: list[Path]) -> None:
    """Uploads a picture, waits for its mask, and shows the tab where it can be corrected."""
    show_mask(page, pictures)
    page.get_by_role("tab", name="Correct").click()
    expect(page.locator("#corrected img")).to_be_visible()


def show_dots(page: Page, pictures: list[Path]) -> None:
    """Uploads a picture in the tab for dots and waits for them and their map."""
    page.get_by_role("tab", name="Dots").click()
    page.set_input_files("#dots-picture input[type=file]", pictures[0])
    expect(page.locator("#dots img")).to_be_visible()
    expect(page.locator("#dots-map img")).to_be_visible()


def show_many(page: Page, pictures: list[Path]) -> None:
    """Uploads pictures in the tab for many and waits for their masks."""
    page.get_by_role("tab", name="Many pictures").click()
    page.set_input_files("#files input[type=file]", pictures)
    expect(page.locator("#files")).to_contain_text(pictures[-1].stem)
    page.click("#draw")
    expect(page.locator("#download-masks")).to_be_enabled()
    expect(page.locator("#gallery img").first).to_be_visible()


def show_site(page: Page, pictures: list[Path]) -> None:
    """Gives a picture to the page of `carmask export --to web` and waits for its mask."""
    expect(page.locator("#bar")).to_be_hidden()
    page.set_input_files("#files", pictures[0])
    expect(page.locator("#line")).to_contain_text("% of it is")


STATES: dict[str, Callable[[Page, list[Path]], None]] = {
    "empty": lambda page, pictures: expect(page.locator("#line")).to_be_visible(),
    "waiting": show_waiting,
    "mask": show_mask,
    "refused": show_refusal,
    "many": show_many,
    "correct": show_correction,
    "dots": show_dots,
    "site": show_site,
}


def take_screenshot(arguments: argparse.Namespace, chromium: str) -> None:
    """Brings the demo into a state and saves the page as a PNG of few colours."""
    expect.set_options(timeout=SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        size, scheme = {"width": arguments.width, "height": arguments.height}, "dark" if arguments.dark else "light"
        page = browser.new_page(viewport=size, color_scheme=scheme)
        page.set_default_timeout(SECONDS * 1000)
        page.goto(f"{arguments.address}/?__theme={scheme}")
        STATES[arguments.state](page, arguments.pictures)
        page.mouse.move(0, 0)
        page.wait_for_timeout(500)  # colours fade in
        shot = page.screenshot(animations="disabled", full_page=arguments.full)
        browser.close()
    Image.open(io.BytesIO(shot)).convert("RGB").quantize(256).save(arguments.output, optimize=True)


def read_options(words: list[str] | None = None) -> argparse.Namespace:
    """Reads the options of one picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="*", type=Path, help="what to give the demo; all states but many take one")
    parser.add_argument("--address", default="http://127.0.0.1:7860", help="where the demo runs (%(default)s)")
    parser.add_argument("--state", default="mask", choices=STATES, help="what to show (%(default)s)")
    parser.add_argument("--width", type=int, default=1280, help="of the window in pixels (%(default)s)")
    parser.add_argument("--height", type=int, default=800, help="of the window in pixels (%(default)s)")
    parser.add_argument("--full", action="store_true", help="the whole page, not what the window shows of it")
    parser.add_argument("--dark", action="store_true", help="white on black")
    parser.add_argument("--output", type=Path, default=Path("demo.png"), help="the PNG to write (%(default)s)")
    return parser.parse_args(words)


def main() -> None:
    """Takes the picture that the command line asks for, or those of docs/."""
    arguments = read_options()
    if not all(picture.is_file() for picture in arguments.pictures):
        sys.exit("There is no such picture; give the paths of picture files.")
    shots = [arguments]
    if not arguments.pictures:
        drawn = [str(EXAMPLES / "corner.jpg"), *map(str, sorted(EXAMPLES.glob("*.jpg")))]
        common = [*drawn, "--address", arguments.address]
        wanted = SITE_SHOTS if arguments.state == "site" else SHOTS
        shots = [read_options([*common, *words, "--output", str(HERE / name)]) for name, words in wanted.items()]
        for shot in shots:
            shot.pictures = shot.pictures[1:] if shot.state == "many" else shot.pictures[:1]
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("There is no Chromium on this machine; install chromium and try again.")
    try:
        for shot in shots:
            take_screenshot(shot, chromium)
    except (Error, AssertionError) as error:
        sys.exit(f"The demo did not answer; start it with `python app.py` first ({str(error).splitlines()[0]}).")


if __name__ == "__main__":
    main()
