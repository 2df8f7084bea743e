import os
import shutil

import numpy as np
import pytest
from conftest import drawn_car
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from serving import served_demo

from carmask import Predictor

expect.set_options(timeout=120_000)  # a busy machine takes its time
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser_and_address(tiny_mask_model):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None and not os.environ.get("CI"):
        pytest.skip("There is no Chromium on this machine, so the page is not tried; install chromium to try it.")
    with served_demo(tiny_mask_model) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=SWITCHES)
        yield browser, address
        browser.close()


@pytest.fixture
def page(browser_and_address):
    browser, address = browser_and_address
    page = browser.new_page()
    page.set_default_timeout(120_000)
    page.goto(address)
    yield page
    page.close()


def test_a_person_uploads_a_picture_sees_both_and_downloads_the_exact_mask(page, tiny_mask_model, tmp_path):
    picture, _ = drawn_car()
    picture.save(tmp_path / "holiday.png")
    page.set_input_files("#picture input[type=file]", tmp_path / "holiday.png")

    expect(page.locator("#line")).to_contain_text("96 × 64 pixels")
    for name in ("picture", "mask"):
        shown = page.locator(f"#{name} img")
        expect(shown).to_be_visible()
        size = shown.evaluate("async image => (await image.decode(), [image.naturalWidth, image.naturalHeight])")
        assert size == [96, 64]

    expect(page.locator("#download")).to_be_enabled()
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "holiday_mask.png"
    mask = np.asarray(Image.open(download.value.path()))
    assert np.array_equal(mask, Predictor.from_pretrained(tiny_mask_model)(picture))
    assert set(np.unique(mask)) == {0, 255}


def test_a_refused_picture_shows_the_sentence_and_no_old_mask(page, tmp_path):
    Image.new("RGB", (64, 64), "blue").save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    page.set_input_files("#picture input[type=file]", tmp_path / "good.png")
    expect(page.locator("#mask img")).to_be_visible()
    page.set_input_files("#picture input[type=file]", tmp_path / "bad.png")
    expect(page.get_by_text("This picture file is damaged or incomplete")).to_be_visible()
    expect(page.locator("#mask img")).to_have_count(0)
    expect(page.locator("#download")).to_be_disabled()
