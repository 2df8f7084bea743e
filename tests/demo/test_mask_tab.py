"""The Mask tab without a browser: models, thresholds and views."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from conftest import drawn_car, save_balanced, tiny_network
from PIL import Image

import app
from carmask import Predictor
from carmask.demo import mask_answer, uploads
from carmask.demo.mask_answer import describe_mask, mask_at, object_margin
from carmask.demo.mask_tab import apply_threshold, make_answer, show_views


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    """A predictor with a network whose probabilities spread."""
    return Predictor.from_pretrained(save_balanced(tiny_network("unet"), tmp_path_factory.mktemp("models") / "unet"))


@pytest.fixture
def uploaded(tmp_path, monkeypatch):
    """A picture in the upload folder, as the page names it."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    drawn_car()[0].save(tmp_path / "holiday.png")
    return {"path": str(tmp_path / "holiday.png"), "orig_name": "holiday.png"}


def answer_of(predictor, runs):
    return make_answer(
        ["one"],
        lambda name: predictor,
        lambda name, picture, sliding_window: runs(object_margin(predictor, picture, sliding_window)),
    )


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("threshold", [0.1, 0.4, 0.5, 0.6, 0.9])
def test_the_kept_margin_gives_the_predictors_mask_bit_for_bit(predictor, threshold):
    picture, _ = drawn_car()
    mask = mask_at(object_margin(predictor, picture), threshold, (picture.height, picture.width))
    assert np.array_equal(mask, predictor.with_threshold(threshold)(picture))


def test_looking_closer_sees_the_picture_four_times_as_large_magnified(predictor):
    small = dataclasses.replace(predictor.preprocessing, size={"max_height": 96, "max_width": 96})
    predictor = dataclasses.replace(predictor, preprocessing=small)
    picture, _ = drawn_car((320, 480))
    margin = object_margin(predictor, picture, sliding_window=True)
    assert margin.shape == (256, 384)
    assert np.array_equal(margin, object_margin(dataclasses.replace(predictor, magnification=4.0), picture))


def test_another_threshold_needs_no_second_run_of_the_network(predictor, uploaded):
    runs = []
    first, _, stored = answer_of(predictor, lambda margin: (runs.append(1), margin)[1])(uploaded)
    surer, _, stored, *_ = apply_threshold(stored, 0.6)
    again, *_ = apply_threshold(stored, 0.5)
    assert len(runs) == 1
    assert pixels(surer).mean() < pixels(first).mean()
    assert np.array_equal(pixels(first), pixels(again))
    assert np.array_equal(pixels(first), predictor(drawn_car()[0]))


def test_the_cut_out_is_the_car_alone_under_the_persons_file_name(predictor, uploaded):
    mask, _, stored = answer_of(predictor, lambda margin: margin)(uploaded)
    *_, overlay, cut, _ = show_views(stored)
    assert (Path(overlay["over"]).name, Path(cut).name) == ("holiday_overlay.png", "holiday_cutout.png")
    assert np.array_equal(pixels(overlay["under"]), np.asarray(drawn_car()[0]))
    assert pixels(cut).shape == (64, 96, 4)
    assert np.array_equal(pixels(cut)[..., 3], pixels(mask))
    car = pixels(mask) > 0
    assert np.array_equal(pixels(cut)[car][:, :3], np.asarray(drawn_car()[0])[car])
    assert not pixels(cut)[~car].any()


def test_the_doubtful_pixels_are_those_between_two_thresholds_and_need_no_second_run(predictor, uploaded):
    runs = []
    _, line, stored = answer_of(predictor, lambda margin: (runs.append(1), margin)[1])(uploaded)
    *_, doubt = show_views(stored)
    picture, _ = drawn_car()
    doubtful = (predictor.with_threshold(0.1)(picture) > 0) & (predictor.with_threshold(0.9)(picture) == 0)
    grey = np.asarray(picture.convert("L").convert("RGB"))
    assert len(runs) == 1
    assert np.array_equal((pixels(doubt) != grey).any(axis=2), doubtful)
    assert f"doubtful: {doubtful.mean():.1%}" in line
    assert 0 < doubtful.mean() < 1
    assert Path(doubt).name == "holiday_doubtful.png"


def test_a_sure_network_leaves_nothing_doubtful(predictor, uploaded):
    _, line, _ = answer_of(predictor, lambda margin: np.full_like(margin, 100))(uploaded)
    assert "doubtful: 0.0%" in line


def test_without_a_car_there_is_no_cut_out(predictor, uploaded):
    _, line, stored = answer_of(predictor, lambda margin: margin - 100)(uploaded)
    _, mask_button, cut_button, _, overlay, cut, _ = show_views(stored)
    assert "No car found." in line
    assert (mask_button.interactive, cut_button.interactive, cut) == (True, False, None)
    assert np.array_equal(pixels(overlay["over"]), np.asarray(drawn_car()[0]))


def test_a_person_who_moves_the_slider_keeps_it_where_it_is(predictor, uploaded):
    _, _, stored = answer_of(predictor, lambda margin: margin)(uploaded)
    assert show_views(stored)[0].value == predictor.threshold
    assert show_views(apply_threshold(stored, 0.6)[2])[0] == gr.skip()


def test_what_is_kept_goes_with_the_upload_and_the_page_says_so(predictor, uploaded, tmp_path):
    _, _, stored = answer_of(predictor, lambda margin: margin)(uploaded)
    for folder in tmp_path.glob("tmp*"):
        os.utime(folder, (0, 0))
    uploads.sweep()
    assert not list(tmp_path.glob("tmp*"))
    for ask in (lambda: apply_threshold(stored, 0.6), lambda: apply_threshold(None, 0.6), lambda: show_views(stored)):
        with pytest.raises(gr.Error, match="no longer on the server"):
            ask()


@pytest.mark.parametrize(
    ("car_pixels", "words"),
    [(0, "No car found."), (1, "less than 0.1%"), (2500, "Car: 25.0% of the picture"), (10000, "Car: 100.0%")],
)
def test_the_line_says_how_much_is_car(car_pixels, words):
    mask = np.zeros((100, 100), np.uint8)
    mask.ravel()[:car_pixels] = 255
    assert words in describe_mask(mask, 0.1, 0.1, "model", "car")


@pytest.fixture
def model_folders(tiny_mask_model, dots_model, tmp_path, monkeypatch):
    """A folder of models: two for masks, one for dots, one that is damaged, and a folder that is none."""
    for name, model in {"a": tiny_mask_model, "b": tiny_mask_model, "dots": dots_model}.items():
        shutil.copytree(model, tmp_path / name)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.json").write_text(json.dumps({"model_type": "segformer"}))
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr("carmask.inference.loading.MODELS", tmp_path)
    monkeypatch.setitem(app.EMBEDDED, "mask", tmp_path / "b")
    monkeypatch.delenv("CARMASK_MODEL", raising=False)
    return tmp_path


def test_people_choose_among_the_models_for_masks_with_the_embedded_one_first(model_folders):
    assert list(app.mask_models()) == ["b", "a", "damaged"]


def test_the_model_that_was_named_comes_first(model_folders, tiny_mask_model, monkeypatch):
    monkeypatch.setenv("CARMASK_MODEL", str(tiny_mask_model))
    assert list(app.mask_models()) == ["tiny-mask", "a", "b", "damaged"]


def test_a_model_is_opened_once_and_only_when_it_is_asked_for(model_folders, monkeypatch):
    opened = []
    from_pretrained = Predictor.from_pretrained
    monkeypatch.setattr(
        Predictor, "from_pretrained", lambda model, **kinds: (opened.append(model.name), from_pretrained(model))[1]
    )
    open_model = app.make_opener(app.mask_models())
    assert opened == []
    assert open_model("a") is open_model("a")
    assert opened == ["a"]


def test_a_model_that_cannot_be_opened_is_said_in_one_sentence_and_the_next_one_answers(model_folders, uploaded):
    models = app.mask_models()
    open_model = app.make_opener(models)
    answer = make_answer(
        list(models), open_model, lambda name, picture, sliding_window: object_margin(open_model(name), picture)
    )
    with pytest.raises(gr.Error) as refusal:
        answer(uploaded, "damaged")
    assert refusal.value.message == "The model damaged cannot be opened; choose another one."
    with pytest.raises(gr.Error, match="no such model; choose one of b, a, damaged"):
        answer(uploaded, "../b")
    assert answer(uploaded, "a")[1].endswith("a")
    assert answer(uploaded)[1].endswith("b")


@pytest.mark.parametrize(("models", "visible"), [(["one"], False), (["one", "two"], True)])
def test_there_is_a_choice_only_where_there_are_several_models(models, visible):
    page = app.build_page(models, lambda name: None)
    choices = [block for block in page.blocks.values() if isinstance(block, gr.Dropdown)]
    assert [(choice.visible, choice.value) for choice in choices] == [(visible, "one")] * 2  # for one and for many


def test_too_large_a_picture_under_a_sliding_window_is_refused_before_the_network_runs(
    predictor, uploaded, monkeypatch, caplog
):
    answer = answer_of(predictor, lambda margin: pytest.fail("The network ran."))
    monkeypatch.setattr(mask_answer, "MOST_WORK", 0)
    with pytest.raises(gr.Error, match="for pictures of up to 0 megapixels here; make it smaller, or switch that off"):
        answer(uploaded, "one", True)
    assert len(caplog.messages) == 1
    assert answer_of(predictor, lambda margin: margin)(uploaded, "one", False)
