"""The laws on how a model is to look at pictures: what is measured, and what is stored."""

import json
import shutil

import numpy as np
import onnxruntime
import pytest
from conftest import drawn_car, save_balanced, tiny_network
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import pipeline

from carmask import Predictor
from carmask.commands.tune import main
from carmask.data.sources import open_data
from carmask.evaluation.mask_metrics import picture_counts
from carmask.evaluation.tuning import TIE, areas
from carmask.hub.model_card import describe_inference_settings, tuned_words, write_report


@pytest.fixture(params=["unet"])
def model(tiny_data, tmp_path, request):
    """A model folder with the card that training writes."""
    folder = save_balanced(tiny_network(request.param), tmp_path / "model")
    facts = dict.fromkeys(("command", "code", "versions", "data", "device", "network", "kept"), "made up")
    facts |= {
        "task": "mask",
        "labels": ["background", "car"],
        "inference_settings": "It sees a picture with a long side of 64 pixels. So 0.5 it is.",
        "seed": 0,
        "processes": 1,
        "precision": "no",
    }
    splits = open_data(str(tiny_data))
    scores = {name: {"all": {"iou": 0.123456}} for name in ("validation", "test")}
    write_report(folder, facts | {"origin": ["scratch-b0"]}, splits["train"], scores, [])
    return folder


def test_the_areas_of_a_margin_are_those_of_its_mask():
    _, mask = drawn_car((40, 60))
    margin = np.random.default_rng(0).normal(size=mask.shape)
    truth = np.where(margin > 1.5, 128, mask).astype(np.uint8)
    counts = picture_counts(np.where(margin > 0, 255, 0), truth)
    assert np.array_equal(areas(margin, truth, 0.5)[[0, 1, 2, 5]], counts[[0, 1, 2, 5]])


def test_the_best_look_is_stored_and_the_card_tells_its_scores(model, tiny_data, capsys):
    assert main([str(model), "--data", str(tiny_data), "--sides", "64", "96", "--write"]) == 0
    table = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][1:]
    assert [(line[0], line[1]) for line in table] == [
        (f"| {side}", size) for side in (64, 96) for size in ["0", "0.7", "1"]
    ]
    best = max(float(line[3]) for line in table)
    equal = [line for line in table if float(line[3]) >= best - TIE]
    side, mirror, threshold, *_ = min(equal, key=lambda line: int(line[0][2:]) ** 2 * (1 + float(line[1]) ** 2))
    predictor = Predictor.from_pretrained(model)
    assert predictor.task.mirror == float(mirror)
    assert predictor.threshold == float(threshold)
    assert predictor.preprocessing.size["max_height"] == int(side[2:])
    card = (model / "README.md").read_text()
    assert describe_inference_settings(predictor, tuned_words("size, mirror image and threshold", 2)) in card
    assert "0.1235" not in card
    assert "So 0.5 it is." not in card
    scores = json.loads((model / "scores.json").read_text())["scores"]
    assert f"{scores['test']['all']['iou']:.4f}" in card


@pytest.mark.parametrize("model", ["segformer"], indirect=True)
def test_the_stock_pipeline_draws_the_masks_of_a_tuned_segformer(model, tiny_data, monkeypatch):
    monkeypatch.setattr("carmask.evaluation.tuning.THRESHOLDS", (0.7,))
    weights = load_file(model / "model.safetensors")
    for name in ("weight", "bias"):
        weights[f"decode_head.classifier.{name}"] *= 500  # so that it is surer than a random network is
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    before = Predictor.from_pretrained(model).with_threshold(0.7)
    assert main([str(model), "--data", str(tiny_data), "--sides", "64", "--mirrors", "0", "--write"]) == 0
    after = Predictor.from_pretrained(model)
    assert (after.threshold, after.task.mirror) == (0.5, 0.0)
    stock, masks = pipeline("image-segmentation", str(model), subtask="semantic"), []
    for seed in range(4):
        grey = drawn_car(seed=seed)[0].convert("L")
        mask = after(grey)
        masks.append(mask)
        assert (mask == before(grey)).mean() > 0.99
        parts = {part["label"]: np.array(part["mask"]) for part in stock(grey)}
        assert (mask == parts.get("car", 0 * mask)).mean() > 0.99
    assert set(np.unique(masks)) == {0, 255}


def test_who_stops_it_while_it_scores_has_the_old_model(model, tiny_data, monkeypatch):
    files = {path: path.read_bytes() for path in model.iterdir()}

    def stop(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr("carmask.commands.tune.validate", stop)
    with pytest.raises(KeyboardInterrupt):
        main([str(model), "--data", str(tiny_data), "--sides", "96", "--mirrors", "1", "--write"])
    assert {path: path.read_bytes() for path in model.iterdir()} == files


def test_a_transparent_picture_is_judged_over_white_as_everywhere(model, tiny_data, tmp_path, capsys):
    tables = []
    for name, under in (("white", "white"), ("transparent", (0, 0, 0, 0))):
        data = shutil.copytree(tiny_data, tmp_path / name)
        for line in (data / "validation" / "metadata.jsonl").read_text().splitlines():
            file = data / "validation" / json.loads(line)["file_name"]
            with Image.open(file) as picture:
                shown = picture.convert("RGBA")
            shown.paste(under, (0, 0, shown.width // 2, shown.height))
            shown.save(file, "PNG")
        assert main([str(model), "--data", str(data), "--sides", "64"]) == 0
        tables.append([line.rsplit("|", 2)[0] for line in capsys.readouterr().out.splitlines()])
    assert tables[0] == tables[1]


def test_without_write_nothing_changes(model, tiny_data, tmp_path):
    shutil.copytree(model, tmp_path / "before")
    assert main([str(model), "--data", str(tiny_data), "--sides", "64"]) == 0
    for file in (tmp_path / "before").iterdir():
        assert file.read_bytes() == (model / file.name).read_bytes()


def test_what_is_missing_is_said_in_one_sentence(model, tiny_data, tmp_path, capsys):
    assert main([str(tmp_path / "nowhere"), "--data", str(tiny_data)]) == 1
    assert main([str(model), "--data", str(tmp_path / "nowhere")]) == 1
    assert capsys.readouterr().err.count("\n") == 2
    assert main([str(model), "--data", str(tiny_data), "--sides", "64", "--most-ms", "0.001"]) == 1
    assert "allow more" in capsys.readouterr().err


def test_settings_go_where_the_weights_are_and_nowhere_else(model, tiny_data, capsys):
    (model / "model.safetensors").rename(model / "model-00001-of-00001.safetensors")
    before = {path: path.read_bytes() for path in model.iterdir()}
    assert main([str(model), "--data", str(tiny_data), "--sides", "64", "--mirrors", "0", "--write"]) == 1
    assert "has no model.safetensors to write into" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in model.iterdir()}


def test_a_model_that_has_another_name_for_its_object_is_judged_and_that_is_said(model, tiny_data, capsys):
    options = ["--data", str(tiny_data), "--sides", "64", "--mirrors", "0"]
    assert main([str(model), *options]) == 0
    assert not capsys.readouterr().err
    assert main([str(model), *options, "--object", "lorry"]) == 0
    assert "finds car and the data shows lorry" in capsys.readouterr().err


def test_the_exported_network_states_the_settings_that_are_stored(model, tiny_data):
    assert main([str(model), "--data", str(tiny_data), "--sides", "96", "--mirrors", "0.7", "--write"]) == 0
    facts = dict(onnxruntime.InferenceSession(model / "model.onnx").get_modelmeta().custom_metadata_map)
    assert json.loads(facts["size"]) == {"max_height": 96, "max_width": 96}
    assert json.loads(facts["mirror"]) == 0.7


@pytest.mark.parametrize("wrong", [("--sides", "0"), ("--sides", "5000"), ("--mirrors", "-1"), ("--mirrors", "2")])
def test_settings_with_which_a_model_would_not_open_are_not_tried(model, tiny_data, wrong, capsys):
    with pytest.raises(SystemExit):
        main([str(model), "--data", str(tiny_data), *wrong])
    assert "must be" in capsys.readouterr().err


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_picture_that_cannot_be_read_is_said_before_anything_is_stored(model, tiny_data, tmp_path, split, capsys):
    data = shutil.copytree(tiny_data, tmp_path / "data")
    broken = next((data / split / "images").iterdir())
    broken.write_bytes(broken.read_bytes()[:60])
    before = (model / "config.json").read_bytes()
    assert main([str(model), "--data", str(data), "--sides", "64", "--mirrors", "0", "--write"]) == 1
    assert broken.name in capsys.readouterr().err
    assert (model / "config.json").read_bytes() == before
