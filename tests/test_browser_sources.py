"""Other ways than a file to give the page a picture: the clipboard, the camera, an example."""

import base64

import numpy as np
import pytest
from browsing import browser_at_demo, opened_page, shown
from conftest import drawn_car
from playwright.sync_api import expect
from test_pictures import encoded

from carmask import Predictor


@pytest.fixture(scope="module")
def browser_and_address(tiny_mask_model, dots_model):
    with browser_at_demo(tiny_mask_model, dots_model) as both:
        yield both


@pytest.fixture
def page(browser_and_address):
    with opened_page(*browser_and_address, permissions=["clipboard-read", "clipboard-write", "camera"]) as page:
        yield page


def copy(page, picture):
    """Lays a picture into the clipboard, as a screenshot program does."""
    page.evaluate(
        """async png => {
            const bytes = Uint8Array.from(atob(png), one => one.charCodeAt(0));
            const item = new ClipboardItem({"image/png": new Blob([bytes], {type: "image/png"})});
            await navigator.clipboard.write([item]);
        }""",
        base64.b64encode(encoded(picture, "PNG")).decode(),
    )


def test_a_person_pastes_a_picture(page, tiny_mask_model):
    picture, _ = drawn_car()
    copy(page, picture)
    page.locator("#picture").get_by_label("Paste from clipboard").click()
    expect(page.locator("#line")).to_contain_text("96 × 64 pixels")
    assert np.array_equal(shown(page, "mask"), Predictor.from_pretrained(tiny_mask_model)(picture))


def test_a_person_takes_a_picture(page, tiny_mask_model):
    page.locator("#picture").get_by_label("Capture from camera").click()
    page.locator("#picture").get_by_text("Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#picture video')?.videoWidth > 0")
    page.locator("#picture").get_by_label("capture photo").click()
    expect(page.locator("#line")).to_contain_text("pixels")
    taken = shown(page, "picture").convert("RGB")
    assert np.array_equal(shown(page, "mask"), Predictor.from_pretrained(tiny_mask_model)(taken))


def test_a_person_pastes_a_picture_for_dots_and_takes_it_away_again(page, dots_model):
    copy(page, drawn_car()[0])
    page.get_by_role("tab", name="Dots").click()
    page.locator("#dots-picture").get_by_label("Paste from clipboard").click()
    expect(page.locator("#dots-line")).to_contain_text("dots found")
    expect(page.locator("#dots-CSV")).to_be_enabled()
    page.locator("#dots-picture").get_by_label("Remove Image").click()
    expect(page.locator("#dots-line")).to_contain_text("Upload, paste or take a picture")
    expect(page.locator("#dots img")).to_have_count(0)
    page.wait_for_timeout(2000)
    expect(page.locator("#dots-CSV")).to_be_disabled()
