"""A site of `carmask export --to web`, served and opened as the tests share it."""

import io
import os
import subprocess
import tarfile
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from browsing import SECONDS, chromium
from PIL import Image
from playwright.sync_api import expect

from benchmarks.web import served
from carmask.web.site import PACKAGE


def npm_runtime():
    """The folder dist/ of ONNX Runtime Web's npm package, fetched once; skips where there is no npm or no Chromium."""
    kept = Path(tempfile.gettempdir()) / f"carmask-{PACKAGE}"
    if chromium() is None and not os.environ.get("CI"):
        pytest.skip("There is no Chromium on this machine, so the site is not tried; install chromium to try it.")
    if not kept.is_dir():
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            try:
                subprocess.run(["npm", "pack", PACKAGE], cwd=folder, check=True, capture_output=True, timeout=300)
            except (OSError, subprocess.SubprocessError):
                if os.environ.get("CI"):
                    raise
                pytest.skip("npm does not answer, so the site is not tried; install npm and connect to try it.")
            with tarfile.open(next(Path(folder).glob("*.tgz"))) as packed:
                packed.extractall(Path(folder) / "unpacked", filter="data")
            try:
                (Path(folder) / "unpacked").rename(kept)
            except OSError:  # another process was faster
                assert kept.is_dir()
    return kept / "package/dist"


def served_site(folder, headers=(), asked=None):
    """Gives the address of a plain server of static files; `asked` gets the path of each request."""
    return served(folder, dict(headers), [] if asked is None else asked)


@contextmanager
def opened_site(browser, address, **settings):
    """Gives the page in a profile of its own, when its network is there."""
    context = browser.new_context(**settings)
    page = context.new_page()
    page.set_default_timeout(SECONDS * 1000)
    page.goto(address)
    await_network(page)
    yield page
    context.close()


def await_network(page):
    expect(page.locator("#bar")).to_be_hidden()
    expect(page.locator("#line")).to_contain_text("Ready")


def give(page, *paths):
    """Has the page answer picture files, and waits for it; gives the line about each."""
    before = page.locator("#list button").count()
    page.set_input_files("#files", list(map(str, paths)))
    expect(page.locator("#list button")).to_have_count(before + len(paths))
    expect(page.locator("#list").get_by_text("waiting", exact=True)).to_have_count(0)
    page.evaluate("() => queue")
    return page.locator("#list span").all_inner_texts()[before:]


def downloaded(page, button):
    """The name and the content of what a button saves."""
    with page.expect_download() as download:
        page.click(button)
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def as_mask(content):
    """A saved mask as uint8 (height, width); it has one channel."""
    picture = Image.open(io.BytesIO(content))
    assert (picture.format, picture.mode) == ("PNG", "L")
    return np.array(picture)


def saved_masks(page):
    """All masks that the page has, by name: those of its zip, which is whole."""
    name, content = downloaded(page, "#save-all")
    assert name == "masks.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        assert packed.testzip() is None
        return {entry: as_mask(packed.read(entry)) for entry in packed.namelist()}
