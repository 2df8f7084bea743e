"""A headless Chromium at the demo, as the browser tests share it."""

import io
import os
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from conftest import drawn_car
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from serving import served_demo

SECONDS = 120  # a busy machine takes its time
expect.set_options(timeout=SECONDS * 1000)
SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]  # fmt: skip


@contextmanager
def browser_at_demo(*served):
    """Gives a browser and the address of a demo that `served_demo` serves with these; skips where no browser is."""
    if chromium() is None and not os.environ.get("CI"):
        pytest.skip("There is no Chromium on this machine, so the page is not tried; install chromium to try it.")
    with served_demo(*served) as address, running_browser() as browser:
        yield browser, address


def chromium():
    return shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def running_browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=SWITCHES)
        yield browser
        browser.close()


@contextmanager
def opened_page(browser, address, **settings):
    """Gives the page, newly opened."""
    page = browser.new_page(**settings)
    page.set_default_timeout(SECONDS * 1000)
    page.goto(address)
    yield page
    page.close()


@contextmanager
def answered_page(browser, address, mode, size, path):
    """Gives the page in light or dark mode, with a drawn car of `size` and all views of its mask."""
    with opened_page(browser, f"{address}/?__theme={mode}", reduced_motion="reduce") as page:
        upload(page, "picture", drawn_car(size)[0], path)
        expect(page.locator("#overlay .over")).to_be_visible()
        yield page


def upload(page, field, picture, path):
    picture.save(path)
    page.set_input_files(f"#{field} input[type=file]", path)


def shown(page, field, image="img"):
    """The very picture that the page shows in a field."""
    image = page.locator(f"#{field} {image}").last
    expect(image).to_be_visible()
    return Image.open(io.BytesIO(page.request.get(image.evaluate("image => image.src")).body()))


def assert_shown(page, field, expected):
    """A field shows this picture, up to one pixel in a thousand: other threads round otherwise, at the threshold."""
    found = np.array(shown(page, field))
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    differing = (found != expected).reshape(*found.shape[:2], -1).any(-1)
    assert differing.mean() <= 0.001, f"{differing.sum()} of {differing.size} pixels of {field} differ"


def downloaded(page, button):
    expect(page.locator(button)).to_be_enabled()
    with page.expect_download() as download:
        page.click(button)
    return download.value
