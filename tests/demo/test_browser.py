import csv
import io
import json
import re
import shutil
import zipfile

import numpy as np
import pytest
from browsing import assert_shown, browser_at_demo, downloaded, opened_page, shown, upload
from conftest import CAR_DOTS, drawn_car, save_balanced, tiny_network
from PIL import Image
from playwright.sync_api import expect
from serving import ROOT

from carmask import Predictor
from carmask.demo.mask_answer import object_margin
from carmask.demo.mask_tab import draw_doubtful
from carmask.files.drawing import draw_dots, heat_picture, overlay_mask
from carmask.inference.loading import EMBEDDED
from carmask.tasks.dot_files import rounded
from carmask.tasks.maps import sigmoid

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def unet_model(tmp_path_factory):
    """A model folder whose masks differ much from threshold to threshold."""
    return save_balanced(tiny_network("unet"), tmp_path_factory.mktemp("models") / "unet")


@pytest.fixture(scope="module")
def root(tiny_mask_model, unet_model, tmp_path_factory):
    """A copy of the demo with three models for masks, one of them damaged."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copy(ROOT / "app.py", folder)
    shutil.copytree(ROOT / "carmask", folder / "carmask")
    for name, model in {EMBEDDED["mask"].name: tiny_mask_model, "unet": unet_model, "damaged": unet_model}.items():
        shutil.copytree(model, folder / "models" / name)
    (folder / "models" / "damaged" / "model.safetensors").write_bytes(b"cut")
    return folder


@pytest.fixture(scope="module")
def browser_and_address(root, dots_model):
    with browser_at_demo("", dots_model, root) as both:
        yield both


@pytest.fixture
def page(browser_and_address):
    with opened_page(*browser_and_address) as page:
        yield page


def test_a_person_uploads_a_picture_sees_both_and_downloads_the_exact_mask(page, tiny_mask_model, tmp_path):
    picture, _ = drawn_car()
    upload(page, "picture", picture, tmp_path / "holiday.png")
    expect(page.locator("#line")).to_contain_text("96 × 64 pixels")
    assert [shown(page, field).size for field in ("picture", "mask")] == [(96, 64), (96, 64)]

    download = downloaded(page, "#download")
    assert download.suggested_filename == "holiday_mask.png"
    mask = np.asarray(Image.open(download.path()))
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


def choose_model(page, name):
    page.locator("#model input").click()
    page.get_by_role("option", name=name, exact=True).click()


def test_a_person_chooses_another_model_and_a_damaged_one_is_said_in_one_sentence(page, unet_model, tmp_path):
    picture, _ = drawn_car()
    upload(page, "picture", picture, tmp_path / "holiday.png")
    expect(page.locator("#line")).to_contain_text(EMBEDDED["mask"].name)
    choose_model(page, "damaged")
    expect(page.get_by_text("The model damaged cannot be opened; choose another one.")).to_be_visible()
    expect(page.locator("#mask img")).to_have_count(0)
    choose_model(page, "unet")
    expect(page.locator("#line")).to_contain_text("s · unet")
    assert_shown(page, "mask", Predictor.from_pretrained(unet_model)(picture))


def test_a_person_asks_for_surer_pixels_and_downloads_mask_and_cut_out(page, unet_model, tmp_path):
    picture, _ = drawn_car()
    predictor = Predictor.from_pretrained(unet_model)
    choose_model(page, "unet")
    upload(page, "picture", picture, tmp_path / "holiday.png")
    expect(page.locator("#line")).to_contain_text("s · unet")
    expect(page.locator("#threshold input[type=range]")).to_be_enabled()
    for threshold in (0.7, 0.5):
        mask = predictor.with_threshold(threshold)(picture)
        page.locator("#threshold input[type=range]").fill(str(threshold))
        expect(page.locator("#line")).to_contain_text(f"Car: {np.mean(mask > 0):.1%}")
        assert_shown(page, "mask", mask)
        expect(page.locator("#download-cutout")).to_be_enabled()
        cut = downloaded(page, "#download-cutout")
        assert cut.suggested_filename == "holiday_cutout.png"
        assert np.array_equal(np.asarray(Image.open(cut.path()))[..., 3] > 127, mask > 127)
        assert np.array_equal(np.asarray(Image.open(downloaded(page, "#download").path())), mask)
        assert_shown(page, "overlay", overlay_mask(picture, mask))
        assert_shown(page, "doubtful", draw_doubtful(picture, object_margin(predictor, picture)))


def cut_out_after(page, action):
    """The pixels of the cut-out that is shown after an action that changes it."""
    source = page.locator("#cutout img").get_attribute("src")
    action()
    expect(page.locator("#cutout img")).not_to_have_attribute("src", source)
    return np.asarray(shown(page, "cutout"))


def test_a_person_lays_a_colour_and_then_a_picture_behind_the_cut_out(page, unet_model, tmp_path):
    picture, _ = drawn_car()
    choose_model(page, "unet")
    upload(page, "picture", picture, tmp_path / "holiday.png")
    expect(page.locator("#download-cutout")).to_be_enabled()
    gone = np.asarray(Image.open(downloaded(page, "#download-cutout").path()))[..., 3] == 0
    white = cut_out_after(page, page.get_by_label("colour", exact=True).check)
    assert (white[gone][:, :3] == 255).all()
    page.locator("#behind-colour button").first.click()
    page.locator("#behind-colour input").fill("#102030")
    blue = cut_out_after(page, lambda: page.keyboard.press("Enter"))
    assert (blue[gone][:, :3] == (16, 32, 48)).all()
    nothing = cut_out_after(page, page.get_by_label("picture", exact=True).check)  # there is none yet
    assert (nothing[gone][:, 3] == 0).all()
    Image.new("RGB", (300, 50), (10, 200, 30)).save(tmp_path / "wall.png")
    with page.expect_file_chooser() as chooser:
        page.locator("#behind-picture").click()
    green = cut_out_after(page, lambda: chooser.value.set_files(tmp_path / "wall.png"))
    assert (green[gone][:, :3] == (10, 200, 30)).all()
    assert np.array_equal(np.asarray(Image.open(downloaded(page, "#download-cutout").path())), green[..., :3])


def test_a_person_gives_many_pictures_and_downloads_their_masks_in_one_zip(page, tiny_mask_model, tmp_path):
    names = ["one.png", "two.png", "bad.png"]
    for seed, name in enumerate(names):
        drawn_car(seed=seed)[0].save(tmp_path / name)
    (tmp_path / "bad.png").write_bytes(b"GIF8")
    page.get_by_role("tab", name="Many pictures").click()
    page.set_input_files("#files input[type=file]", [tmp_path / name for name in names])
    expect(page.locator("#files")).to_contain_text("two")
    page.get_by_role("button", name="Draw masks").click()
    expect(page.locator("#many-line")).to_contain_text("Masks drawn: 2 · refused: 1")
    expect(page.locator("#gallery img")).to_have_count(2)
    expect(page.locator("#many-table")).to_contain_text("damaged or incomplete")

    masks = downloaded(page, "#download-masks")
    assert masks.suggested_filename == "pictures_masks.zip"
    with zipfile.ZipFile(masks.path()) as archive:
        assert archive.namelist() == ["one_mask.png", "two_mask.png", "masks.csv"]
        for seed, name in enumerate(archive.namelist()[:2]):
            mask = np.asarray(Image.open(io.BytesIO(archive.read(name))))
            assert np.array_equal(mask, Predictor.from_pretrained(tiny_mask_model)(drawn_car(seed=seed)[0]))


def test_a_refused_zip_shows_the_sentence_and_no_old_masks(page, tmp_path):
    drawn_car()[0].save(tmp_path / "one.png")
    zipfile.ZipFile(tmp_path / "empty.zip", "w").close()
    page.get_by_role("tab", name="Many pictures").click()
    page.set_input_files("#files input[type=file]", tmp_path / "one.png")
    expect(page.locator("#files")).to_contain_text("one")
    page.get_by_role("button", name="Draw masks").click()
    expect(page.locator("#gallery img")).to_have_count(1)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#gallery img")).to_have_count(0)
    page.set_input_files("#files input[type=file]", tmp_path / "empty.zip")
    expect(page.locator("#files")).to_contain_text("empty")
    page.get_by_role("button", name="Draw masks").click()
    expect(page.get_by_text("There is no picture in this zip")).to_be_visible()
    expect(page.locator("#download-masks")).to_be_disabled()


def test_a_person_sees_dots_table_and_maps_and_downloads_what_the_predictor_says(page, dots_model, tmp_path):
    picture, _ = drawn_car()
    predictor = Predictor.from_pretrained(dots_model)
    dots = predictor(picture)
    page.get_by_role("tab", name="Dots").click()
    upload(page, "dots-picture", picture, tmp_path / "holiday.png")
    expect(page.locator("#dots-line")).to_contain_text("dots found")
    assert_shown(page, "dots", draw_dots(picture, dots, scores=True))

    for part in (str(part) for dot in dots for part in rounded(dot) if part is not None):
        expect(page.locator("#dots-table")).to_contain_text(part.removesuffix(".0"))

    for index in (0, 2):
        if index:
            page.locator("#dots-name input").click()
            page.get_by_role("option", name=CAR_DOTS[index]).click()
        heat = heat_picture(picture, sigmoid(predictor.logits(picture)[index]).astype(np.float16))
        expect(page.locator("#dots-map img")).to_have_attribute("src", re.compile(f"holiday_{CAR_DOTS[index]}.png"))
        assert_shown(page, "dots-map", heat)

    table, record = downloaded(page, "#dots-CSV"), downloaded(page, "#dots-JSON")
    assert (table.suggested_filename, record.suggested_filename) == ("holiday_dots.csv", "holiday_dots.json")
    with open(table.path(), encoding="utf-8", newline="") as file:
        written = [tuple(row.values())[1:] for row in csv.DictReader(file)]
    assert written == [tuple("" if part is None else str(part) for part in rounded(dot)) for dot in dots]
    with open(record.path(), encoding="utf-8") as file:
        assert json.load(file)["dots"] == [rounded(dot)._asdict() for dot in dots]
