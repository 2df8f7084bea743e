"""The Mask tab without a browser: models, thresholds and views."""

import dataclasses
import json
import os
import shutil
import time
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from conftest import drawn_car, save_balanced, tiny_network
from PIL import Image

import app
from carmask import Predictor
from carmask.demo import mask_answer, uploads
from carmask.demo.mask_answer import BEHIND, COLOUR, PICTURE, describe_mask, mask_at, object_margin, soft_edge
from carmask.demo.mask_tab import WHITE, apply_threshold, make_answer, make_cutout, redraw_cut, show_views


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


@pytest.fixture
def stored(predictor, uploaded):
    """The stored answer to that picture."""
    return answer_of(predictor, lambda margin: margin)(uploaded)[2]


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
    assert np.array_equal(pixels(cut)[..., 3] > 127, pixels(mask) > 127)
    seen = pixels(cut)[..., 3] > 0
    assert np.array_equal(pixels(cut)[seen][:, :3], np.asarray(drawn_car()[0])[seen])
    assert not pixels(cut)[~seen].any()


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("size", [(64, 96), (31, 17), (300, 401)])
def test_a_soft_edge_follows_the_mask_at_any_threshold_and_size(threshold, size):
    margin = np.random.default_rng(0).normal(0, 2, (40, 60)).astype(np.float32)
    mask = mask_at(margin, threshold, size)
    alpha = soft_edge(margin, mask, threshold)
    assert alpha.shape == mask.shape
    assert np.array_equal(alpha > 127, mask == 255)
    assert ((alpha > 0) & (alpha < 255)).any()


def test_away_from_the_outline_all_is_opaque_or_gone_however_much_the_network_doubts():
    margin = np.full((30, 40), -0.1, np.float32)
    margin[10:20, 10:30] = 0.1
    mask = mask_at(margin, 0.5, (300, 400))
    alpha = soft_edge(margin, mask, 0.5)
    assert 100 < alpha[120, 100] < 155  # on the outline
    assert (alpha[125:175, 125:275] == 255).all()
    assert not alpha[:80].any()


def test_a_sure_network_gives_a_hard_edge_between_two_cells():
    margin = np.full((30, 40), -50, np.float32)
    margin[:, 20:] = 50
    alpha = soft_edge(margin, mask_at(margin, 0.5, (30, 40)), 0.5)
    assert set(np.unique(alpha)) == {0, 255}


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


@pytest.mark.parametrize("colour", ["#336699", "#369", "rgb(51, 102, 153)"])
def test_a_colour_lies_behind_the_cut_out(stored, colour):
    plain, _ = redraw_cut(stored, BEHIND[0], WHITE, None)
    cut, button = redraw_cut(stored, COLOUR, colour, None)
    alpha = pixels(plain)[..., 3:] / 255
    expected = alpha * np.asarray(drawn_car()[0]) + (1 - alpha) * [51, 102, 153]
    assert np.abs(pixels(cut) - expected).max() < 1
    assert button.value["path"] == cut
    assert np.array_equal(pixels(show_views(stored, COLOUR, colour, None)[-2]), pixels(cut))


def test_a_picture_of_any_shape_lies_behind_the_cut_out_and_none_is_transparent(stored, tmp_path):
    Image.new("L", (30, 200), 77).save(tmp_path / "wall.png")
    cut, _ = redraw_cut(stored, PICTURE, WHITE, {"path": str(tmp_path / "wall.png")})
    nothing, _ = redraw_cut(stored, PICTURE, WHITE, None)
    assert pixels(cut).shape == (64, 96, 3)
    assert (pixels(cut)[pixels(nothing)[..., 3] == 0] == 77).all()


@pytest.mark.parametrize(
    ("behind", "colour"),
    [("a car", WHITE), *((COLOUR, words) for words in ("car", "", "#12345", "rgb(1,2)", "#" * 1000))],
)
def test_what_cannot_lie_behind_a_cut_out_is_refused_in_one_sentence(stored, behind, colour):
    with pytest.raises(gr.Error, match="no such choice; choose one of|no colour; write it like #336699"):
        redraw_cut(stored, behind, colour, None)


def test_a_bad_picture_behind_the_cut_out_is_said_and_the_rest_of_the_page_goes_on(stored, tmp_path):
    for name in ("no-picture.png", "expired.png"):
        (tmp_path / "no-picture.png").write_bytes(b"no picture")
        with pytest.warns(UserWarning, match="behind the cut-out cannot be used; choose another"):
            outputs = show_views(stored, PICTURE, WHITE, {"path": str(tmp_path / name)})
        assert outputs[1].interactive
        assert outputs[1].value["path"] == stored.mask
        assert pixels(outputs[5]).shape == (64, 96, 4)


def test_a_program_gets_the_pages_cut_out_and_an_empty_one_where_there_is_no_car(predictor, uploaded):
    answer = answer_of(predictor, lambda margin: margin)
    cut, line = make_cutout(answer)(uploaded, "one", False, COLOUR, "#000000")
    assert np.array_equal(pixels(cut), pixels(redraw_cut(answer(uploaded)[2], COLOUR, "#000000", None)[0]))
    assert "Car: " in line
    nothing, line = make_cutout(answer_of(predictor, lambda margin: margin - 100))(uploaded)
    assert not pixels(nothing).any()
    assert "No car found" in line


def test_without_a_car_there_is_no_cut_out(predictor, uploaded):
    _, line, stored = answer_of(predictor, lambda margin: margin - 100)(uploaded)
    _, mask_button, cut_button, _, overlay, cut, _ = show_views(stored)
    assert "No car found." in line
    assert (mask_button.interactive, cut_button.interactive, cut) == (True, False, None)
    assert redraw_cut(stored, COLOUR, WHITE, None) == [gr.skip()] * 2
    assert np.array_equal(pixels(overlay["over"]), np.asarray(drawn_car()[0]))


def test_a_person_who_moves_the_slider_keeps_it_where_it_is(stored, predictor):
    assert show_views(stored)[0].value == predictor.threshold
    assert show_views(apply_threshold(stored, 0.6)[2])[0] == gr.skip()


def test_what_is_kept_goes_with_the_upload_and_the_page_says_so(stored, tmp_path):
    for folder in tmp_path.glob("tmp*"):
        os.utime(folder, (0, 0))
    uploads.sweep()
    assert not list(tmp_path.glob("tmp*"))
    for ask in (lambda: apply_threshold(stored, 0.6), lambda: apply_threshold(None, 0.6), lambda: show_views(stored)):
        with pytest.raises(gr.Error, match="no longer on the server"):
            ask()


def test_whatever_a_person_goes_on_using_is_kept(stored, tmp_path):
    for path in (stored.margin, stored.mask):
        old = time.time() - uploads.LIFETIME_SECONDS + 60
        os.utime(os.path.dirname(path), (old, old))
    stored = apply_threshold(stored, 0.6)[2]
    assert time.time() - os.stat(os.path.dirname(stored.margin)).st_mtime < 60
    os.utime(os.path.dirname(stored.mask), (0, 0))
    show_views(stored)
    assert os.path.exists(stored.mask)


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
