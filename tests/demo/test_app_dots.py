import csv
import gc
import json
import os
import subprocess
import sys
import weakref
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
from conftest import CAR_DOTS
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from serving import ROOT, served_demo

import app
from carmask import Predictor
from carmask.demo import uploads
from carmask.demo.dots_tab import DotsModel, describe_dots, make_dots_answer, make_map_answer
from carmask.tasks.dot_files import rounded
from carmask.tasks.dots_task import Dot

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tiny_mask_model, dots_model):
    with served_demo(tiny_mask_model, dots_model) as address:
        yield address


def test_the_dots_of_the_api_are_the_predictors_in_table_csv_and_json(client, picture_path, dots_model):
    drawn, table, line, csv_path, json_path = client.predict(handle_file(picture_path), api_name="/dots")
    expected = [rounded(dot) for dot in Predictor.from_pretrained(dots_model)(Image.open(picture_path))]
    assert [tuple(row) for row in table["data"]] == expected
    with open(csv_path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["x"], row["score"]) for row in rows] == [
        (dot.name, "" if dot.x is None else str(dot.x), str(dot.score)) for dot in expected
    ]
    with open(json_path, encoding="utf-8") as file:
        record = json.load(file)
    assert (record["width"], record["height"]) == (64, 96)
    assert [Dot(**dot) for dot in record["dots"]] == expected
    assert "64 × 96 pixels" in line
    assert expected[-1].x is None
    assert expected[0].x is not None
    with Image.open(drawn) as opened:
        assert opened.width / opened.height == pytest.approx(64 / 96, abs=0.01)


def test_the_files_keep_the_persons_file_name(client, picture_path):
    drawn, _, _, csv_path, json_path = client.predict(handle_file(picture_path), api_name="/dots")
    names = [os.path.basename(path) for path in (drawn, csv_path, json_path)]
    assert names == ["holiday_dots.png", "holiday_dots.csv", "holiday_dots.json"]


def test_a_refused_picture_answers_with_the_one_sentence(client, picture_path):
    picture_path.write_bytes(picture_path.read_bytes()[:-100])
    with pytest.raises(AppError, match="damaged or incomplete"):
        client.predict(handle_file(picture_path), api_name="/dots")


def test_the_masks_stay_as_they_are_beside_the_dots(client, picture_path, tiny_mask_model):
    mask_path, _ = client.predict(handle_file(picture_path), api_name="/mask")
    expected = Predictor.from_pretrained(tiny_mask_model)(Image.open(picture_path))
    assert np.array_equal(np.asarray(Image.open(mask_path)), expected)


def test_the_api_names_masks_cut_outs_batches_and_dots_and_nothing_else(client):
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/mask", "/cutout", "/batch", "/dots"}


@pytest.fixture
def uploaded(picture_path, tmp_path, monkeypatch):
    """A picture in the upload folder, as the page names it."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return {"path": str(picture_path), "orig_name": "holiday.jpg"}


def test_one_run_of_the_network_gives_the_dots_and_every_map(uploaded, dots_model):
    runs = []
    predictor = Predictor.from_pretrained(dots_model)
    counted = replace(predictor, network=lambda pixels: (runs.append(1), predictor.network(pixels))[1])
    *_, stored = make_dots_answer(DotsModel("tiny", CAR_DOTS, lambda: counted))(uploaded)
    show_map = make_map_answer(CAR_DOTS)
    maps = {np.asarray(Image.open(show_map(uploaded, stored, name))).tobytes() for name in CAR_DOTS}
    assert len(runs) == 1
    assert len(maps) > 1


def test_kept_maps_go_with_the_upload_and_the_page_says_so(uploaded, dots_model):
    predictor = Predictor.from_pretrained(dots_model)
    *_, stored = make_dots_answer(DotsModel("tiny", CAR_DOTS, lambda: predictor))(uploaded)
    os.utime(os.path.dirname(stored), (0, 0))
    uploads.sweep()
    assert not os.path.exists(stored)
    with pytest.raises(gr.Error, match="no longer on the server"):
        make_map_answer(CAR_DOTS)(uploaded, stored, CAR_DOTS[0])


def test_there_is_no_map_before_there_is_an_answer():
    assert make_map_answer(CAR_DOTS)(None, None, CAR_DOTS[0]) is None


@pytest.mark.parametrize(("found", "words"), [(0, "No dot found."), (1, "1 of 4 dots found"), (4, "4 of 4 dots")])
def test_the_line_says_how_many_dots_are_found(found, words):
    dots = [Dot(name, 1.0 if index < found else None, 1.0, 0.5) for index, name in enumerate(CAR_DOTS)]
    assert words in describe_dots(dots, (3, 4), 0.1, "model")


@pytest.mark.parametrize(("variable", "needed"), [("CARMASK_MODEL", "masks"), ("CARMASK_DOTS_MODEL", "dots")])
def test_a_model_of_the_other_task_gives_one_sentence_and_exit_code_1(variable, needed, tiny_mask_model, dots_model):
    wrong = {"CARMASK_MODEL": dots_model, "CARMASK_DOTS_MODEL": tiny_mask_model}
    environment = os.environ | {"CARMASK_MODEL": str(tiny_mask_model), variable: str(wrong[variable])}
    run = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert f"{needed} is needed" in run.stderr


def test_the_model_for_dots_takes_no_memory_until_it_is_asked_for(dots_model, monkeypatch):
    monkeypatch.setenv("CARMASK_DOTS_MODEL", str(dots_model))
    opened, from_pretrained = [], Predictor.from_pretrained

    def open_noted(model):
        predictor = from_pretrained(model)
        opened.append(weakref.ref(predictor))
        return predictor

    monkeypatch.setattr(Predictor, "from_pretrained", open_noted)
    for_dots = app.dots_model()
    gc.collect()
    assert [predictor() for predictor in opened] == [None]
    assert (for_dots.name, tuple(for_dots.labels)) == ("tiny-dots", CAR_DOTS)
    assert for_dots.open() is for_dots.open()
    assert len(opened) == 2
