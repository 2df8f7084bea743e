"""The Correct tab without a browser: what is painted, what is collected and how long it stays."""

import os
import zipfile
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from conftest import drawn_car, save_balanced, tiny_network
from PIL import Image

import app
from carmask import Predictor
from carmask.demo import canvas, collect_buttons, correct_tab, uploads
from carmask.demo.canvas import canvas_value, corrected_mask
from carmask.demo.collect_buttons import add_to_own, make_add_to_shared, zip_own
from carmask.demo.collection import collected_rows, open_collection
from carmask.demo.correct_tab import correct, show_canvas
from carmask.demo.dots_tab import DotsModel
from carmask.demo.mask_answer import StoredAnswer, object_margin
from carmask.demo.mask_tab import make_answer

SIZE = (96, 128)  # (height, width)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor.from_pretrained(save_balanced(tiny_network(), tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture
def answered(predictor, tmp_path, monkeypatch):
    """The stored answer to a picture, by its number."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    answer = make_answer(
        ["one"], lambda name: predictor, lambda name, picture, sliding_window: object_margin(predictor, picture)
    )

    def stored(seed=0) -> StoredAnswer:
        path = tmp_path / "uploads" / str(seed) / "holiday.png"
        path.parent.mkdir(parents=True)
        drawn_car(SIZE, seed)[0].save(path)
        return answer({"path": str(path), "orig_name": "holiday.png"})[2]

    return stored


def painted(stored, *strokes):
    return {"key": stored.picture["path"], "strokes": list(strokes)}


ADD = {"add": True, "radius": 9, "points": [20, 20, 60, 40]}
REMOVE = {"add": False, "radius": 9, "points": [90, 60]}


def grow_old(folder):
    for path in Path(folder).rglob("*"):
        os.utime(path, (0, 0))


def pixels(path):
    with Image.open(path) as picture:
        assert (picture.format, picture.mode, picture.info) == ("PNG", "L", {})
        return np.asarray(picture)


def test_without_a_stroke_the_mask_is_the_networks_bit_for_bit(answered):
    stored = answered()
    path, line, *_ = correct(painted(stored), stored, None)
    assert np.array_equal(pixels(path), pixels(stored.mask))
    assert "nothing corrected yet" in line


def test_the_corrected_mask_differs_under_the_strokes_alone_and_keeps_the_persons_file_name(answered):
    stored = answered()
    path, line, *_ = correct(painted(stored, ADD, REMOVE), stored, None)
    assert Path(path).name == "holiday_mask.png"
    before, after = pixels(stored.mask), pixels(path)
    assert set(np.unique(after)) == {0, 255}
    assert after[20, 20] == after[40, 60] == 255
    assert after[60, 90] == 0
    elsewhere = np.ones(SIZE, bool)
    elsewhere[9:52, 9:72] = elsewhere[49:72, 79:102] = False
    assert np.array_equal(after[elsewhere], before[elsewhere])
    assert f"{np.count_nonzero(after != before)} pixels corrected" in line


def test_the_canvas_shows_no_more_than_a_small_picture_and_knows_the_full_size(answered, monkeypatch):
    monkeypatch.setattr(canvas, "CANVAS_SIDE", 32)
    value = canvas_value(answered())
    assert (value["height"], value["width"]) == SIZE
    assert value["picture"].startswith("data:image/jpeg;base64,")
    assert value["mask"].startswith("data:image/png;base64,")
    assert len(value["picture"]) < 2000
    assert show_canvas(None)[0] is None


@pytest.mark.parametrize("value", [None, "", {}, [], {"strokes": []}, {"key": "other", "strokes": [ADD]}])
def test_strokes_for_another_picture_are_refused(answered, value):
    with pytest.raises(gr.Error, match="no longer on the server"):
        corrected_mask(value, answered())


def test_strokes_that_are_none_are_refused_in_one_sentence(answered):
    stored = answered()
    with pytest.raises(gr.Error, match="These strokes cannot be read"):
        correct(painted(stored, "x"), stored, None)


def test_a_person_collects_pictures_and_downloads_them_as_a_data_set(answered):
    first, second = answered(0), answered(1)
    collection, line, _ = add_to_own(painted(first, ADD), first, None)
    assert "1 picture in your data set; training needs at least two" in line
    collection, line, _ = add_to_own(painted(second), second, collection)
    assert "2 pictures in your data set" in line
    collection, line, _ = add_to_own(painted(second, REMOVE), second, collection)
    assert "2 pictures in your data set" in line  # the same picture again
    packed = [zip_own(collection), zip_own(collection)][1]
    assert len(list(Path(collection).rglob("*.zip"))) == 1
    with zipfile.ZipFile(packed) as data:
        masks = sorted(name for name in data.namelist() if "/masks/" in name)
        assert all(name.startswith("car-masks/train/masks/holiday-") for name in masks)
        found = [np.asarray(Image.open(data.open(name))).tobytes() for name in masks]
    expected = [corrected_mask(painted(first, ADD), first)[0], corrected_mask(painted(second, REMOVE), second)[0]]
    assert sorted(found) == sorted(mask.tobytes() for mask in expected)


def test_every_stroke_lets_picture_mask_and_collection_live_on(answered, tmp_path):
    stored, other = answered(0), answered(1)
    collection, *_ = add_to_own(painted(stored, ADD), stored, None)
    grow_old(tmp_path / "uploads")
    correct(painted(stored, ADD), stored, collection)
    uploads.sweep()
    assert len(collected_rows(Path(collection) / "data")) == 1
    corrected_mask(painted(stored), stored)
    with pytest.raises(gr.Error, match="no longer on the server"):
        corrected_mask(painted(other), other)


def test_what_nobody_touches_goes_and_the_person_is_told(answered, tmp_path, monkeypatch):
    stored = answered()
    collection, *_ = add_to_own(painted(stored, ADD), stored, None)
    grow_old(collection)
    os.utime(collection, (0, 0))
    uploads.sweep()
    assert not Path(collection).exists()
    with pytest.raises(gr.Error, match="no collected pictures on the server any more"):
        zip_own(collection)
    told = []
    monkeypatch.setattr(gr, "Warning", told.append)
    again, line, _ = add_to_own(painted(stored, ADD), stored, collection)
    assert "were deleted" in told[0]
    assert "1 picture" in line
    assert again != collection


@pytest.mark.parametrize("limit", ["MAX_COLLECTED", "MAX_COLLECTED_BYTES"])
def test_a_full_data_set_takes_no_more_and_stays_as_it_is(answered, limit, monkeypatch):
    first, second = answered(0), answered(1)
    collection, *_ = add_to_own(painted(first, ADD), first, None)
    monkeypatch.setattr(collect_buttons, limit, 1)
    with pytest.raises(gr.Error, match="full"):
        add_to_own(painted(second), second, collection)
    assert len(collected_rows(Path(collection) / "data")) == 1


def test_a_mask_of_no_use_is_refused_with_the_reason(answered):
    stored = answered()
    everything = {"add": True, "radius": 100, "points": [64, 48]}
    with pytest.raises(gr.Error, match="every judged pixel is the object"):
        add_to_own(painted(stored, everything), stored, None)


def test_a_full_disk_is_said_in_one_sentence_without_a_path(answered, tmp_path):
    folder = open_collection(tmp_path / "set")
    (folder / "train" / "images").rmdir()
    (folder / "train" / "images").write_text("in the way")
    stored = answered()
    with pytest.raises(gr.Error, match="the server's disk refuses it") as refusal:
        make_add_to_shared(folder)(painted(stored, ADD), stored)
    assert str(tmp_path) not in str(refusal.value)


def test_what_is_given_to_the_host_bears_no_name_of_a_persons(answered, tmp_path):
    folder = open_collection(tmp_path / "set")
    stored = answered()
    add_to_shared = make_add_to_shared(folder)
    for stroke in (ADD, REMOVE):
        add_to_shared(painted(stored, stroke), stored)
    assert len(collected_rows(folder)) == 2
    names = [path.name for path in folder.rglob("*") if path.suffix in (".png", ".jpg")]
    assert len(names) == 4
    assert not any("holiday" in name for name in names)


def test_the_page_says_whose_the_collected_masks_are(tmp_path):
    def words_and_buttons(collection):
        blocks = app.build_page(["one"], lambda name: None, None, collection).blocks.values()
        words = " ".join(block.value for block in blocks if isinstance(block, gr.Markdown))
        return words, {block.value for block in blocks if isinstance(block, gr.Button)}

    words, buttons = words_and_buttons(None)
    assert correct_tab.OWN in words
    assert correct_tab.SHARED not in words
    assert "Download data set" in buttons
    words, buttons = words_and_buttons(tmp_path)
    assert correct_tab.SHARED in words
    assert app.FOOT_OF_COLLECTION in words
    assert "Download data set" not in buttons


def test_the_host_collects_only_where_a_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("CARMASK_COLLECT", raising=False)
    assert app.shared_collection() is None
    monkeypatch.setenv("CARMASK_COLLECT", str(tmp_path / "set"))
    assert app.shared_collection() == tmp_path / "set"
    assert (tmp_path / "set" / "train" / "masks").is_dir()


@pytest.mark.parametrize("shared", [False, True])
def test_correcting_and_collecting_are_not_for_programs(shared, tmp_path):
    page = app.build_page(["one"], lambda name: None, None, tmp_path if shared else None)
    api = page.get_api_info()
    assert set(api["named_endpoints"]) == {"/mask", "/cutout", "/batch"}
    assert not api["unnamed_endpoints"]


def test_every_picture_of_the_page_has_a_label_and_an_alternative_text():
    page = app.build_page(["one"], lambda name: None, DotsModel("dots", ["wheel"], lambda: None))
    pictures = [block for block in page.blocks.values() if isinstance(block, gr.Image)]
    assert len(pictures) == 8
    assert all(picture.label and picture.alt_text for picture in pictures)
