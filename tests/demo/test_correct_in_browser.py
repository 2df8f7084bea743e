"""A person corrects a mask in the browser and takes the data set home."""

import io
import zipfile

import numpy as np
import pytest
from browsing import assert_shown, browser_at_demo, downloaded, opened_page, upload
from conftest import drawn_car
from PIL import Image
from playwright.sync_api import expect

from carmask import Predictor

pytestmark = pytest.mark.slow

SIZE = (96, 128)  # (height, width)


@pytest.fixture(scope="module")
def browser_and_address(tiny_mask_model):
    with browser_at_demo(tiny_mask_model) as both:
        yield both


@pytest.fixture
def page(browser_and_address, tmp_path):
    """The tab Correct with a picture and its mask."""
    with opened_page(*browser_and_address) as page:
        upload(page, "picture", drawn_car(SIZE)[0], tmp_path / "holiday.png")
        expect(page.locator("#download")).to_be_enabled()
        page.get_by_role("tab", name="Correct").click()
        expect(page.locator("#correct-line")).to_contain_text("nothing corrected yet")
        yield page


def test_who_waits_in_the_tab_gets_the_mask_when_it_is_there(browser_and_address, tmp_path):
    with opened_page(*browser_and_address) as page:
        page.get_by_role("tab", name="Correct").click()
        expect(page.locator("#correct-line")).to_contain_text("Give a picture")
        upload(page, "picture", drawn_car(SIZE)[0], tmp_path / "holiday.png")
        expect(page.locator("#correct-line")).to_contain_text("nothing corrected yet")


def drag(page, start, end):
    """Draws a line with the mouse, from one point of the full picture (x, y) to another."""
    box = page.locator("#painter canvas").bounding_box()
    scale = box["width"] / SIZE[1]
    page.mouse.move(box["x"] + start[0] * scale, box["y"] + start[1] * scale)
    page.mouse.down()
    page.mouse.move(box["x"] + end[0] * scale, box["y"] + end[1] * scale, steps=5)
    page.mouse.up()


def collected_mask(page):
    """The one mask in the data set that the page gives."""
    page.click("#add")
    expect(page.locator("#collect-line")).to_contain_text("1 picture in your data set")
    download = downloaded(page, "#download-set")
    assert download.suggested_filename == "car-masks.zip"
    with zipfile.ZipFile(download.path()) as data:
        (name,) = [name for name in data.namelist() if name.startswith("car-masks/train/masks/holiday-")]
        return np.asarray(Image.open(io.BytesIO(data.read(name))))


def test_a_person_paints_with_the_mouse_and_the_zip_holds_the_mask_changed_under_the_strokes_alone(
    page, tiny_mask_model
):
    drag(page, (20, 80), (100, 80))
    page.get_by_label("Remove car").check()
    drag(page, (20, 16), (100, 16))
    expect(page.locator("#correct-line")).to_contain_text("pixels corrected")
    before = Predictor.from_pretrained(tiny_mask_model)(drawn_car(SIZE)[0])
    after = collected_mask(page)
    assert set(np.unique(after)) == {0, 255}
    assert (after[80, 20:100] == 255).all()
    assert (after[16, 20:100] == 0).all()
    changed = np.flatnonzero((after != before).any(axis=1))
    assert changed.min() > 16 - 12
    assert changed.max() < 80 + 12
    assert np.array_equal(after[28:68], before[28:68])
    assert_shown(page, "corrected", after)
    assert np.array_equal(np.asarray(Image.open(downloaded(page, "#download-corrected").path())), after)


def test_strokes_are_taken_back_one_by_one_and_the_keyboard_paints_too(page, tiny_mask_model):
    before = Predictor.from_pretrained(tiny_mask_model)(drawn_car(SIZE)[0])
    ink = 255 - before[48, 64]
    if not ink:
        page.get_by_label("Remove car").check()
    page.locator("#painter canvas").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Space")
    expect(page.locator("#correct-line")).to_contain_text("pixels corrected")
    drag(page, (20, 10), (100, 10))
    page.locator("#painter canvas").focus()
    page.keyboard.press("Control+z")
    after = collected_mask(page)
    assert after[48, 64] == ink
    assert np.array_equal(after[:20], before[:20])
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#correct-line")).to_contain_text("nothing corrected yet")
    assert_shown(page, "corrected", before)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
