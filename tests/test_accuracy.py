import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import drawn_car
from PIL import Image

from benchmarks import accuracy
from benchmarks.accuracy import DISTURBANCES, measure, robustness_table
from carmask import Predictor
from carmask.metrics import picture_counts
from carmask.predictor import mask_folders
from carmask.reports import validate
from carmask.rows import open_data


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["accuracy.py", *map(str, arguments)])
    accuracy.main()
    return capsys.readouterr().out


def test_the_program_prints_what_validation_scores(tiny_mask_model, tiny_data, monkeypatch, capsys):
    printed = run(monkeypatch, capsys, tiny_mask_model, "--data", tiny_data, "--split", "train")
    scores, _ = validate(Predictor.from_pretrained(tiny_mask_model), open_data(str(tiny_data))["train"])
    line = next(line for line in printed.splitlines() if line.startswith("| boxes"))
    cells = [cell.strip() for cell in line.split("|")]
    assert cells[2] == "8"
    assert cells[3].startswith(f"{scores['boxes']['iou']:.3f} (")
    assert cells[4].startswith(f"{scores['boxes']['mean_iou']:.3f} (")
    assert cells[5] == f"{scores['boxes']['boundary_iou']:.3f}"


def test_robustness_has_a_line_for_each_disturbance(tiny_mask_model, tiny_data, monkeypatch, capsys):
    printed = run(monkeypatch, capsys, tiny_mask_model, "--data", tiny_data, "--robustness")
    lines = [line.split("|")[1].strip() for line in printed.splitlines() if line.startswith("|")]
    assert lines[-len(DISTURBANCES) - 1 :] == ["none", *DISTURBANCES]


def test_without_names_it_measures_the_models_for_masks(dots_model, tiny_mask_model, monkeypatch):
    monkeypatch.setattr("carmask.predictor.MODELS", tiny_mask_model.parent)
    assert tiny_mask_model in mask_folders()
    monkeypatch.setattr("carmask.predictor.MODELS", dots_model.parent)
    assert dots_model not in mask_folders()


def test_the_network_runs_once_for_each_picture(tiny_mask_model, tiny_data):
    predictor, seen = Predictor.from_pretrained(tiny_mask_model), []
    counting = replace(predictor, network=lambda pixels: seen.append(1) or predictor.network(pixels))
    measure(counting, open_data(str(tiny_data))["train"])
    assert len(seen) == 8


@pytest.mark.parametrize("name", DISTURBANCES)
def test_a_disturbed_picture_keeps_its_size_and_is_grey_and_another(name):
    grey = drawn_car(size=(65, 97))[0].convert("L")
    disturbed = DISTURBANCES[name](grey)
    assert disturbed.size == grey.size
    assert disturbed.mode == "L"
    assert not np.array_equal(disturbed, grey)
    assert np.array_equal(disturbed, DISTURBANCES[name](grey))


def test_sources_without_a_car_have_no_iou_but_false_car_pixels():
    truth, mask = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    mask[:, :5] = 255
    with_car = picture_counts(mask, mask)
    without = picture_counts(mask, truth)
    nothing = np.zeros((11, 3))
    measured = {"a": ([with_car], nothing), "b": ([without], nothing), "all": ([with_car, without], nothing)}
    rows = {line.split("|")[1].strip(): line for line in accuracy.accuracy_table(measured).splitlines()}
    assert "1.000 (1.000–1.000)" in rows["a"]
    assert "| b | 1 | – | – | – | 25.00% |" in rows["b"]
    assert "IoU b" not in robustness_table(measured, {})


def test_a_split_that_is_not_there_is_said_in_one_sentence(tiny_mask_model, tiny_data, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="has no split night; it has train, validation, test"):
        run(monkeypatch, capsys, tiny_mask_model, "--data", tiny_data, "--split", "night")


def test_colour_gives_the_numbers_of_grey(tiny_mask_model, tiny_data, monkeypatch):
    split = open_data(str(tiny_data))["test"]
    predictor = Predictor.from_pretrained(tiny_mask_model)
    rng = np.random.default_rng(0)
    tinted = Image.fromarray(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8))
    rows = [{**split[0], "image": picture} for picture in (tinted, tinted.convert("L"))]
    one, other = (measure(predictor, [row])["all"] for row in rows)
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])
