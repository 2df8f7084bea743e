"""The page by keyboard, screen reader, clipboard and camera, on a phone, in light and dark."""

import base64

import numpy as np
import pytest
from browsing import answered_page, assert_shown, browser_at_demo, opened_page, shown, upload
from conftest import drawn_car
from files.test_pictures import encoded
from playwright.sync_api import expect
from serving import ROOT

from carmask import Predictor

pytestmark = pytest.mark.slow

SIZE = (96, 128)  # (height, width)
LINES = {"Mask": "#line", "Many pictures": "#many-line", "Correct": "#correct-line", "Dots": "#dots-line"}


@pytest.fixture(scope="module")
def browser_and_address(tiny_mask_model, dots_model):
    with browser_at_demo(tiny_mask_model, dots_model) as both:
        yield both


@pytest.fixture
def phone(browser_and_address):
    with opened_page(*browser_and_address, viewport={"width": 390, "height": 844}) as page:
        yield page


def await_overlay(page, share):
    """Waits until this share of the overlay, 0 to 1, is seen, by what the page cuts off its left side."""
    page.wait_for_function(
        """share => {
            const image = document.querySelector("#overlay .over");
            const width = Math.min(image.width, image.height * image.naturalWidth / image.naturalHeight);
            const cut = parseFloat(image.style.clipPath.match(/([\\d.]+)px\\)$/)?.[1]);
            return Math.abs(1 - (cut - (image.width - width) / 2) / width - share) < 0.01;
        }""",
        arg=share,
    )


def test_a_person_slides_between_picture_and_overlay_by_keyboard_on_a_phone(phone, tmp_path):
    picture, _ = drawn_car(SIZE)
    upload(phone, "picture", picture, tmp_path / "holiday.png")
    slider = phone.get_by_label("How much of the picture is seen under its overlay")
    expect(slider).to_be_visible()
    assert np.array_equal(shown(phone, "overlay", "img.under"), picture)
    assert not np.array_equal(shown(phone, "overlay", "img.over"), picture)
    await_overlay(phone, 0.5)
    for key, share in (("Home", 1), ("ArrowRight", 0.99), ("End", 0)):
        slider.press(key)
        await_overlay(phone, share)
    box = slider.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def test_no_tab_is_wider_than_a_phone(phone, tmp_path):
    upload(phone, "picture", drawn_car(SIZE)[0], tmp_path / "holiday.png")
    expect(phone.locator("#overlay .over")).to_be_visible()
    for tab, line in LINES.items():
        phone.get_by_role("tab", name=tab, exact=True).click()
        expect(phone.locator(line)).to_be_visible()
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_screen_readers_are_told_results_and_refusals(phone, tmp_path):
    for tab, line in LINES.items():
        phone.get_by_role("tab", name=tab, exact=True).click()
        expect(phone.locator(line)).to_have_attribute("role", "status")
    phone.get_by_role("tab", name="Mask", exact=True).click()
    upload(phone, "picture", drawn_car(SIZE)[0], tmp_path / "holiday.png")
    expect(phone.get_by_role("status").filter(has_text="Car: ")).to_be_visible()
    (tmp_path / "bad.png").write_bytes(b"GIF8")
    phone.set_input_files("#picture input[type=file]", tmp_path / "bad.png")
    expect(phone.get_by_role("status").filter(has_text="damaged or incomplete")).to_be_visible()
    expect(phone.get_by_role("status").filter(has_text="There is no answer")).to_be_visible()


def test_the_tab_key_goes_through_the_page_from_top_to_bottom_and_everything_has_a_name(phone, tmp_path):
    upload(phone, "picture", drawn_car(SIZE)[0], tmp_path / "holiday.png")
    expect(phone.locator("#download-cutout")).to_be_enabled()
    expect(phone.locator("#overlay .over")).to_be_visible()
    phone.evaluate("document.activeElement.blur()")
    names = []
    for _ in range(60):
        phone.keyboard.press("Tab")
        focused = phone.evaluate(
            """() => {
                const one = document.activeElement;
                if (one === document.body) return null;
                const block = one.closest("[id]:not([id^=radix])")?.id || "";
                const name = one.ariaLabel || one.innerText || one.labels?.[0]?.innerText
                    || one.alt || one.querySelector("img")?.alt
                    || getComputedStyle(one, "::after").content.replace(/^(none|normal)$/, "");
                return [name.trim(), block + " " + one.outerHTML.slice(0, 600)];
            }"""
        )
        if focused is None or focused[1] in [name[1] for name in names]:
            break
        names.append(focused)
    words = [name for name, _ in names]
    order = [words.index(name) for name in ("Mask", "Download mask", "Download cut-out")]
    assert order == sorted(order)
    assert [name for name in names if not name[0]] == []


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_words_stand_out_in_every_tab(browser_and_address, mode, tmp_path):
    with answered_page(*browser_and_address, mode, SIZE, tmp_path / "holiday.png") as page:
        for tab, line in LINES.items():
            page.get_by_role("tab", name=tab, exact=True).click()
            expect(page.locator(line)).to_be_visible()
            page.mouse.move(0, 0)
            page.wait_for_timeout(500)  # colours fade in
            assert page.evaluate((ROOT / "tests" / "contrast.js").read_text()) == []


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
    assert_shown(page, "mask", Predictor.from_pretrained(tiny_mask_model)(picture))


def test_a_person_takes_a_picture(page, tiny_mask_model):
    page.locator("#picture").get_by_label("Capture from camera").click()
    page.locator("#picture").get_by_text("Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#picture video')?.videoWidth > 0")
    page.locator("#picture").get_by_label("capture photo").click()
    expect(page.locator("#line")).to_contain_text("pixels")
    taken = shown(page, "picture").convert("RGB")
    assert_shown(page, "mask", Predictor.from_pretrained(tiny_mask_model)(taken))


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
