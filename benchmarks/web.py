"""Measures the site of `carmask export --to web` in headless Chromium, beside Python on the same machine.

    python benchmarks/web.py models/car-mask-fcn --runtime package/dist

Photos are drawn, of about two megapixels each. Chromium runs the network on one thread, and on as many as it takes
where the site is cross-origin isolated; Python runs the same network in ONNX Runtime, on one thread and on all.
Printed are seconds a picture from file to answer, the least and the median, and the share of equal pixels. `--runtime`
is the folder dist/ of the npm package that `carmask.web.site.PACKAGE` names.
"""

import argparse
import contextlib
import functools
import http.server
import io
import shutil
import statistics
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from benchmarks.machine import describe_machine
from benchmarks.photos import save_photo
from carmask import Predictor
from carmask.commands.export import export, export_site
from carmask.files.pictures import open_reduced

ISOLATION = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
MEGAPIXELS = 2
WAIT = 600_000  # milliseconds


@contextlib.contextmanager
def served(site: Path, headers: dict[str, str], asked: list[str]) -> Iterator[str]:
    """Serves a folder with these headers; gives its address, and adds the path of each request to `asked`."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        """A server of static files that says nothing."""

        def log_message(self, *_: object) -> None:
            """Notes the request."""
            asked.append(self.path.split("?")[0])

        def end_headers(self) -> None:
            """Adds the headers."""
            for name, value in headers.items():
                self.send_header(name, value)
            super().end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def in_browser(browser: Browser, address: str, photos: list[Path]) -> tuple[list[float], list[np.ndarray]]:
    """Has the site answer photos; gives the seconds of each after the network's first run, and the masks."""
    page = browser.new_context().new_page()
    page.set_default_timeout(WAIT)
    page.goto(address)
    page.wait_for_selector("#bar", state="hidden")
    page.evaluate("() => queue")  # the first run
    page.set_input_files("#files", photos)
    page.evaluate("() => queue")
    seconds = page.evaluate("() => items.map(item => item.answer.seconds)")
    with page.expect_download() as download:
        page.click("#save-all")
    with zipfile.ZipFile(download.value.path()) as masks:
        return seconds, [np.array(Image.open(io.BytesIO(masks.read(name)))) for name in masks.namelist()]


def in_python(model: Path, photos: list[Path], threads: int) -> tuple[list[float], list[np.ndarray]]:
    """The same by the predictor."""
    predictor, seconds, masks = Predictor.from_pretrained(model, threads), [], []
    for photo in [photos[0], *photos]:
        start = time.perf_counter()
        masks.append(predictor(*open_reduced(photo, predictor.seen_size)))
        seconds.append(time.perf_counter() - start)
    return seconds[1:], masks[1:]


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model folder, for masks")
    parser.add_argument("--runtime", required=True, help="folder dist/ of the npm package")
    parser.add_argument("--count", type=int, default=10, help="photos (%(default)s)")
    arguments = parser.parse_args()
    print(describe_machine("onnxruntime"))
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("There is no Chromium on this machine; install chromium and try again.")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder, photos = Path(name), [Path(name) / f"{index}.jpg" for index in range(arguments.count)]
        for index, photo in enumerate(photos):
            save_photo(photo, MEGAPIXELS, index)
        export_site(arguments.model, folder / "site", arguments.runtime)
        export(arguments.model, folder / "onnx", "onnx")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        found = {}
        for label, headers in (("Chromium, one thread", {}), ("Chromium, isolated", ISOLATION)):
            with served(folder / "site", headers, []) as address:
                found[label] = in_browser(browser, address, photos)
        browser.close()
        found |= {"Python, one thread": in_python(folder / "onnx", photos, 1)}
        found |= {"Python, all cores": in_python(folder / "onnx", photos, 0)}
        wanted = found["Python, one thread"][1]
        for label, (seconds, masks) in found.items():
            equal = min(float((mask == other).mean()) for mask, other in zip(masks, wanted, strict=True))
            times = f"{min(seconds):.2f} s, median {statistics.median(seconds):.2f} s"
            print(f"{label}: {times}, at least {equal:.4%} of the pixels equal")


if __name__ == "__main__":
    main()
