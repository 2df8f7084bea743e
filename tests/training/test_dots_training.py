"""The laws of data sets with dots, and of training on them."""

import json
import shutil
import sys

import numpy as np
import pytest
from conftest import DOT_NAMES, drawn_dots, tiny_network, write_dots
from datasets import Dataset, DatasetDict
from PIL import Image
from transformers import SegformerImageProcessorPil

import train_segformer
from carmask import ModelError, Predictor
from carmask.data.dots_column import open_dots, swapped_pairs
from carmask.data.label_options import LabelOptions
from carmask.errors import DataError
from carmask.files.masks import MaskOptions
from carmask.inference.predictor import check_task
from carmask.networks.initial_weights import build_network
from carmask.training import loop
from carmask.training.setup import open_task


def train(monkeypatch, data, output, *more, **changes):
    settings = {"task": "dots", "model": "scratch-b0", "steps": 4, "batch_size": 2, "crop": 32, "side": 64}
    settings |= {"validate_every": 2, "workers": 0, "scale_jitter": 1.2, "processes": 1} | changes
    options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    monkeypatch.setattr(
        sys, "argv", ["train_segformer.py", "--data", str(data), "--output", str(output), *options, *more]
    )
    return train_segformer.main()


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Someone else's data set: grey JPEGs, five points would do as well as three, no validation."""
    return write_dots(tmp_path_factory.mktemp("dots") / "faces", {"train": 11, "test": 2})


@pytest.fixture(scope="module")
def tiny_start(tmp_path_factory):
    """A tiny mask model to start from."""
    folder = tmp_path_factory.mktemp("starts") / "tiny"
    tiny_network().save_pretrained(folder)
    return folder


def test_someone_else_s_dots_train_with_one_command(faces, tiny_start, tmp_path, monkeypatch):
    output = tmp_path / "model"
    assert train(monkeypatch, faces, output, model=tiny_start) == 0
    predictor = Predictor.from_pretrained(output)
    settings = json.loads((output / "config.json").read_text())
    assert settings["pairs"] == [["left_spot", "right_spot"]]
    history = json.loads((output / "scores.json").read_text())["history"]
    assert predictor.threshold == history[-1]["threshold"]  # one validation picture does not choose the step
    picture = Image.fromarray(drawn_dots(seed=3)[0])
    dots = predictor.with_threshold(1e-6)(picture)
    assert [dot.name for dot in dots] == DOT_NAMES
    assert all(0 <= dot.x <= 96 and 0 <= dot.y <= 64 for dot in dots)
    maps = predictor.logits(picture.convert("RGB"))
    assert maps.shape == (3, 8, 16)  # seen at 64 × 32 pixels: 64 × 42, rounded to multiples of 32
    assert "left_spot" in (output / "README.md").read_text()
    assert {"curves.png", "worst.png"} <= {path.name for path in output.iterdir()}


def test_a_killed_and_resumed_run_for_dots_equals_an_uninterrupted_one(faces, tiny_start, tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train(monkeypatch, faces, whole, model=tiny_start) == 0
    keep = loop.keep_best

    def keep_then_die(*arguments):
        keep(*arguments)
        sys.exit("killed")

    with monkeypatch.context() as killed:
        killed.setattr(loop, "keep_best", keep_then_die)
        with pytest.raises(SystemExit):
            train(killed, faces, parts, model=tiny_start)
    assert train(monkeypatch, faces, parts, "--resume", model=tiny_start) == 0
    assert (whole / "scores.json").read_text() == (parts / "scores.json").read_text()
    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()


def test_two_dots_do_not_inherit_the_two_maps_of_a_mask(tiny_start):
    network, newly_initialised = build_network("segformer", str(tiny_start), ["nose", "ear"], {"task": "dots"})
    assert {"decode_head.classifier.weight", "decode_head.classifier.bias"} <= newly_initialised
    assert (network.decode_head.classifier.bias < -1).all()


def test_a_model_for_the_other_task_is_refused_in_one_sentence():
    network = tiny_network(labels=["nose"], task="dots", peaks={"nose": 1}, pairs=[], sigma=0.03)
    predictor = Predictor.from_network(network, SegformerImageProcessorPil(), "noses")
    check_task(predictor, "dots")
    with pytest.raises(ModelError, match=r"^The model noses places dots, but one that draws masks is needed; .*\.$"):
        check_task(predictor, "mask")


def test_a_split_without_any_dot_opens_beside_one_that_has_some(faces, tmp_path):
    shutil.copytree(faces, tmp_path / "set")
    table = tmp_path / "set/test/metadata.jsonl"
    rows = [json.loads(line) | {"dots": [None] * 3} for line in table.read_text().splitlines()]
    table.write_text("\n".join(map(json.dumps, rows)))
    splits, names = open_dots(str(tmp_path / "set"))
    assert names == DOT_NAMES
    assert np.isnan(splits["test"]["dots"]).all()
    assert np.isfinite(splits["train"]["dots"]).any()


def test_a_model_s_dots_are_found_by_name_in_a_data_set(faces):
    splits, _ = open_dots(str(faces), ["hole", "left_spot"])
    assert np.allclose(splits["test"][0]["dots"], drawn_dots(seed=400)[1][[2, 0]], equal_nan=True)
    with pytest.raises(DataError, match="no dot named wing"):
        open_dots(str(faces), ["wing"])


@pytest.mark.parametrize(
    ("names", "dots", "sentence"),
    [
        (None, [[0.5, 0.5]], "have no names"),
        (["nose"], [[0.5, 0.5], None], "2 dots, but there are 1"),
        (["nose"], [[120, 44]], "between 0 and 1"),
        (["nose"], None, "0 dots"),
    ],
)
def test_dots_that_cannot_be_used_are_refused_in_one_sentence(tmp_path, names, dots, sentence):
    picture = Image.new("L", (40, 40))
    train = Dataset.from_dict({"image": [picture] * 2, "dots": [[[0.5, 0.5]], dots]})
    DatasetDict({"train": train, "validation": train}).save_to_disk(tmp_path)
    if names:
        (tmp_path / "dot_names.json").write_text(json.dumps(names))
    with pytest.raises(DataError, match=sentence):
        open_dots(str(tmp_path))


def test_of_the_options_for_labels_only_the_column_of_pictures_is_for_dots(faces, tmp_path):
    train = open_dots(str(faces))[0]["train"].rename_column("image", "photo")
    DatasetDict({"train": train, "validation": train}).save_to_disk(tmp_path / "set")
    shutil.copy(faces / "dot_names.json", tmp_path / "set")
    splits, _ = open_task(str(tmp_path / "set"), "dots", False, {}, LabelOptions(image_column="photo"))
    assert len(splits["train"]) == len(train)
    for options in (LabelOptions(masks=MaskOptions(invert=True)), LabelOptions(mask_column="mask")):
        with pytest.raises(DataError, match="leave it out with dots"):
            open_task(str(faces), "dots", False, {}, options)


def test_names_that_no_model_can_hold_are_refused_before_training(faces, tmp_path):
    shutil.copytree(faces, tmp_path / "set")
    (tmp_path / "set/dot_names.json").write_text(json.dumps(["n" * 101, "a", "b"]))
    with pytest.raises(DataError, match="at most 100 letters"):
        open_task(str(tmp_path / "set"), "dots", False, {})


def test_pairs_to_swap_must_be_names_of_as_many_dots():
    assert swapped_pairs(["a", "b", "c"], "a:c") == (("a", "c"),)
    for wrong in ("a", "a:x", "a:b:c", "a:d", "a:a", "a:b,b:c"):
        with pytest.raises(DataError, match="cannot be swapped"):
            swapped_pairs(["a", "b", "c", "d", "d"], wrong)


@pytest.mark.parametrize(
    "wrong", [[[None, None]] * 3, [0.1, 0.2, 0.3], [[2, 0.5], None, None], [None], ["a", None, None]]
)
def test_dots_of_a_wrong_shape_are_refused_with_their_row(faces, tmp_path, monkeypatch, capsys, wrong):
    data = shutil.copytree(faces, tmp_path / "faces")
    rows = (data / "test/metadata.jsonl").read_text().splitlines()
    (data / "test/metadata.jsonl").write_text(
        "\n".join([json.dumps(json.loads(rows[0]) | {"dots": wrong}), *rows[1:]])
    )
    assert train(monkeypatch, data, tmp_path / "model") == 1
    assert "test" in capsys.readouterr().err
