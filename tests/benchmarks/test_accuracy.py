import sys
from dataclasses import replace

import datasets
import numpy as np
import pytest
from conftest import drawn_car
from PIL import Image

from benchmarks import accuracy
from benchmarks.accuracy import Pictures, by_size, colour_line, measure, robustness_table, short_table, worst_table
from benchmarks.disturbances import DISTURBANCES, enlarged
from carmask import Predictor
from carmask.data.sources import open_data
from carmask.evaluation.mask_metrics import NARROW_BAND, picture_counts
from carmask.evaluation.validation import validate
from carmask.inference.loading import mask_folders


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


def counted(mask, truth):
    return {"counts": [picture_counts(mask, truth)], "narrow": [picture_counts(mask, truth, NARROW_BAND)]}


def test_a_narrow_band_sees_an_error_that_a_wide_one_forgives():
    truth, mask = np.zeros((600, 800), np.uint8), np.zeros((600, 800), np.uint8)
    truth[100:500, 100:700], mask[103:500, 100:700] = 255, 255
    wide, narrow = map(float, accuracy.edges(Pictures(**counted(mask, truth))))
    assert narrow < wide < 1


def test_objects_are_sorted_by_what_they_fill_of_the_picture_and_pictures_without_one_are_left_out():
    truth = np.zeros((100, 100), np.uint8)
    pictures = Pictures()
    for pixels in (0, 1, 100, 101, 500, 501, 10000):
        truth.flat[:pixels] = 255
        pictures.counts += counted(truth, truth)["counts"]
        pictures.narrow += counted(truth, truth)["narrow"]
    table = short_table("a car fills", by_size(pictures)).splitlines()[2:]
    assert [line.split("|")[1:3] for line in table] == [
        [" under 1 % ", " 2 "],
        [" 1 to 5 % ", " 2 "],
        [" over 5 % ", " 2 "],
    ]


@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_enlarged_picture_keeps_what_its_truth_says_and_a_large_one_is_left_alone(value):
    picture, truth = Image.new("RGB", (30, 20)), np.zeros((20, 30), np.uint8)
    truth[5:15, 5:20] = value
    large, larger_truth = enlarged(picture, truth, 0.06)
    assert large.size == larger_truth.shape[::-1] == (300, 200)
    assert set(np.unique(larger_truth)) == {0, value}
    assert (larger_truth[60:140, 60:190] == value).all()
    assert np.mean(larger_truth == value) == pytest.approx(np.mean(truth == value), rel=0.02)
    assert enlarged(picture, truth, 0.0001)[1] is truth


def test_pictures_are_also_scored_enlarged(tiny_mask_model, tiny_data, monkeypatch, capsys):
    printed = run(monkeypatch, capsys, tiny_mask_model, "--data", tiny_data, "--enlarge", 0.02)
    table = printed.split("| enlarged to 0.02 megapixels ")[1]
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:4]] == ["boxes", "all"]


def test_robustness_has_a_line_for_each_disturbance(tiny_mask_model, tiny_data, monkeypatch, capsys):
    printed = run(monkeypatch, capsys, tiny_mask_model, "--data", tiny_data, "--robustness")
    lines = [line.split("|")[1].strip() for line in printed.splitlines() if line.startswith("|")]
    assert lines[-len(DISTURBANCES) - 1 :] == ["none", *DISTURBANCES]


def test_without_names_it_measures_the_models_for_masks(dots_model, tiny_mask_model, monkeypatch):
    monkeypatch.setattr("carmask.inference.loading.MODELS", tiny_mask_model.parent)
    assert tiny_mask_model in mask_folders()
    monkeypatch.setattr("carmask.inference.loading.MODELS", dots_model.parent)
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
    measured = {"a": Pictures([with_car]), "b": Pictures([without]), "all": Pictures([with_car, without])}
    for pictures in measured.values():
        pictures.calibration = nothing
    rows = {line.split("|")[1].strip(): line for line in accuracy.accuracy_table(measured).splitlines()}
    assert "1.000 (1.000–1.000)" in rows["a"]
    assert "| b | 1 | – | – | – | – | 25.00% |" in rows["b"]
    assert "IoU b" not in robustness_table(measured, {})


def test_a_split_that_is_not_there_is_said_in_one_sentence(tiny_mask_model, tiny_data, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="has no split night; it has train, validation, test"):
        run(monkeypatch, capsys, tiny_mask_model, "--data", tiny_data, "--split", "night")


def test_colour_gives_the_numbers_of_grey(tiny_mask_model, tiny_data):
    split = open_data(str(tiny_data))["test"].select([0])
    predictor = Predictor.from_pretrained(tiny_mask_model)
    rng = np.random.default_rng(0)
    tinted = Image.fromarray(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8))
    pictures = (tinted, tinted.convert("L"))
    sets = [datasets.Dataset.from_list([{"image": one, "mask": split[0]["mask"]}]) for one in pictures]
    one, other = (measure(predictor, rows)["all"] for rows in sets)
    assert np.array_equal(one.counts, other.counts)
    assert np.array_equal(one.calibration, other.calibration)
    assert "In colour: 1 of the pictures; 1 of them" in colour_line(predictor, sets[0])
    assert "In colour: 0 of the pictures" in colour_line(predictor, sets[1])


def test_the_worst_pictures_of_a_source_are_named_with_what_is_wrong():
    truth, mask = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    truth[:, :10], mask[:, :5] = 255, 255
    half, whole = picture_counts(mask, truth), picture_counts(truth, truth)
    false, clean = picture_counts(mask, 0 * truth), picture_counts(0 * truth, 0 * truth)
    measured = {
        "cars": Pictures([whole, half], ["", ""], ["a", "b"]),
        "none": Pictures([clean, false], [], ["c", "d"]),
    }
    lines = worst_table(measured, 1).splitlines()[2:]
    assert lines == ["| cars | b | 0.500 | 50% | 0.0% |", "| none | d | – | – | 25.0% |"]


def test_labels_that_mean_car_can_be_named(tiny_mask_model, tiny_data, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="no label named lorry"):
        run(monkeypatch, capsys, tiny_mask_model, "--data", tiny_data, "--object", "car,lorry")
