import json
import runpy

import numpy as np
import pytest
from conftest import CAR_DOTS, drawn_car, save_dots_model
from PIL import Image
from serving import ROOT

figure = runpy.run_path(str(ROOT / "docs/make_dots_figure.py"))


@pytest.fixture
def data(tmp_path):
    row = {"file_name": "images/a.png", "dots": [[0.25, 0.5], None, [0.5, 0.5], [0.75, 0.5], None]}
    for split in ("train", "validation", "test"):
        (tmp_path / "set" / split / "images").mkdir(parents=True)
        drawn_car()[0].save(tmp_path / "set" / split / "images/a.png")
        (tmp_path / "set" / split / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "set/dot_names.json").write_text(json.dumps(["horn", "left_light", "wheel", "wheel", "right_light"]))
    return tmp_path / "set"


def test_the_figure_shows_target_above_learned_maps(data, tmp_path):
    model = save_dots_model(tmp_path / "model")
    assert figure["main"]([str(model), str(data), str(tmp_path / "figure.png")]) == 0
    with Image.open(tmp_path / "figure.png") as made:
        assert made.width > 5 * figure["TILE"]
        assert made.height > 2 * figure["TILE"]


def test_truth_follows_the_names_of_the_model_not_the_order_of_the_data_set(data):
    task = figure["DotsTask"].from_entries(["wheel", *CAR_DOTS])
    truth = np.array(figure["chosen_rows"](str(data), task, 1)[0]["dots"], float)
    expected = [[0.5, 0.5], [0.75, 0.5], [np.nan] * 2, [np.nan] * 2, [0.25, 0.5]]
    assert np.array_equal(truth, expected, equal_nan=True)


def test_a_mask_model_or_a_set_without_dots_is_refused_in_one_sentence(data, tiny_mask_model, tmp_path, capsys):
    out = str(tmp_path / "figure.png")
    assert figure["main"]([str(tiny_mask_model), str(data), out]) == 1
    assert figure["main"]([str(save_dots_model(tmp_path / "model")), str(tmp_path), out]) == 1
    assert capsys.readouterr().err.count("\n") == 2
