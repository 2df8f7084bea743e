"""The laws on model folders that ask for too much or hold what cannot work: each is refused in one sentence."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import LABELS, tiny_config, tiny_network
from safetensors.torch import load_file, save_file
from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessorPil

from carmask import ModelError, Predictor
from carmask.networks.limits import checked_settings

MANY = {str(index): f"thing {index}" for index in range(1001)}
CONFIGS = {
    "labels": {"id2label": MANY, "label2id": {}},
    "number of labels": {"id2label": None, "num_labels": 10**9},
    "no names": {"id2label": {"0": None, "1": 5}},
    "long name": {"id2label": {"0": "background", "1": "x" * 10**6}},
    "odd places": {"id2label": {"3": "background", "7": "car"}},
    "depths": {"depths": [10**6, 1, 1, 1]},
    "deep": {"depths": [100, 100, 100, 100]},
    "width": {"hidden_sizes": [8, 16, 16, 10**7]},
    "wide": {"hidden_sizes": [8, 16, 16, 60_000]},
    "wide head": {"decoder_hidden_size": 65_000},
    "negative": {"depths": [-1, 1, 1, 1]},
    "text": {"depths": "deep"},
    "null": {"hidden_sizes": None},
    "infinite": {"layer_norm_eps": float("inf")},
    "not a number": {"threshold": float("nan")},
    "kernel": {"patch_sizes": [7, 3, 3, 65_000]},
    "peaks": {"task": "dots", "peaks": {"car": 5000}},
    "pairs": {"task": "dots", "pairs": 5},
    "list of nothing": {"depths": []},
}
PROCESSORS = {
    "mean": {"image_mean": [float("nan")] * 3},
    "deviation": {"image_std": [0, 0, 0]},
    "tiny deviation": {"image_std": [1e-30] * 3},
    "two channels": {"image_mean": [0.5, 0.5]},
    "text mean": {"image_mean": "grey"},
    "size": {"size": {"height": 100_000, "width": 64}},
    "large": {"size": {"height": 5000, "width": 5000}},
    "negative size": {"size": {"height": -5, "width": 64}},
    "size of text": {"size": {"height": "x", "width": 64}},
    "resample": {"resample": 77},
    "any size": {"do_resize": False},
    "factor": {"rescale_factor": 1e30},
    "type": {"image_processor_type": "NothingKnown"},
}


@pytest.fixture
def folder(tiny_mask_model, tmp_path):
    return Path(shutil.copytree(tiny_mask_model, tmp_path / "model"))


def change(file, settings):
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


def refusal(folder):
    with pytest.raises(ModelError) as error:
        Predictor.from_pretrained(folder)
    sentence = str(error.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 600
    return sentence


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_configuration_beyond_all_measure_is_refused(folder, kind):
    change(folder / "config.json", CONFIGS[kind])
    refusal(folder)


@pytest.mark.parametrize("kind", PROCESSORS)
def test_a_processor_that_makes_no_usable_pixels_is_refused(folder, kind):
    change(folder / "preprocessor_config.json", PROCESSORS[kind])
    assert "preprocessor" in refusal(folder) or "size" in refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize(
    "content", ["[" * 100_000, "[]", "7", "{" + " " * 9_000_000 + "}", '{"a": ' + "9" * 5000 + "}"]
)
def test_settings_that_are_no_settings_are_refused(folder, name, content):
    (folder / name).write_text(content)
    refusal(folder)


def test_weights_that_make_infinite_maps_of_every_picture_are_refused(folder):
    weights = {name: value.float() for name, value in load_file(folder / "model.safetensors").items()}
    for name, value in weights.items():
        if name.endswith("weight"):
            value.fill_(1e38)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert "no usable numbers" in refusal(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_what_is_no_file_is_not_waited_for(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    refusal(folder)


def test_weights_larger_than_two_gigabytes_are_refused_before_they_are_read(folder):
    os.truncate(folder / "model.safetensors", 2**31 + 1)
    assert "2 GB" in refusal(folder)


@pytest.mark.slow
def test_a_wide_network_is_refused_within_one_gigabyte(folder):
    change(folder / "config.json", CONFIGS["wide head"])
    code = (
        "import resource; from carmask import ModelError, Predictor; import carmask.inference.predictor\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (2**30,) * 2)\n"
        f"try: Predictor.from_pretrained({str(folder)!r})\n"
        "except ModelError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "million numbers" in said.stdout


def test_a_segformer_of_the_hub_with_150_labels_opens_and_its_backbone_may_know_22000(tmp_path):
    labels = [*(f"thing {index}" for index in range(149)), "car"]
    SegformerForSemanticSegmentation(tiny_config(labels=labels)).save_pretrained(tmp_path)
    SegformerImageProcessorPil(size={"height": 512, "width": 512}).save_pretrained(tmp_path)
    assert Predictor.from_pretrained(tmp_path).task.name == "car"
    backbone = SegformerConfig(id2label={index: f"class {index}" for index in range(22_000)}).to_dict()
    (tmp_path / "config.json").write_text(json.dumps({"backbone_config": backbone}))
    assert checked_settings(tmp_path / "config.json")


def test_every_network_still_opens_after_its_first_pass(any_model):
    assert Predictor.from_pretrained(any_model).task.labels == [*LABELS]


def save_onnx(file, nodes):
    """An ONNX file with these nodes from pixel_values to logits."""
    onnx = pytest.importorskip("onnx")
    kind = onnx.TensorProto.FLOAT
    ends = [onnx.helper.make_tensor_value_info(name, kind, None) for name in ("pixel_values", "logits")]
    graph = onnx.helper.make_graph(nodes(onnx), "trap", ends[:1], ends[1:])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), file)


def memory_trap(onnx):
    """Nodes that make ten thousand million numbers."""
    size = onnx.numpy_helper.from_array(np.array([10**10]), "size")
    constant = onnx.helper.make_node("Constant", [], ["size"], value=size)
    return [constant, onnx.helper.make_node("ConstantOfShape", ["size"], ["logits"])]


def time_trap(onnx):
    """A loop that ends in some thousand years."""
    info = onnx.helper.make_tensor_value_info
    kinds = onnx.TensorProto
    step = onnx.helper.make_graph(
        [onnx.helper.make_node(*words) for words in (("Identity", ["on"], ["go"]), ("Mul", ["x", "x"], ["y"]))],
        "step",
        [info("turn", kinds.INT64, []), info("on", kinds.BOOL, []), info("x", kinds.FLOAT, None)],
        [info("go", kinds.BOOL, []), info("y", kinds.FLOAT, None)],
    )
    turns = onnx.numpy_helper.from_array(np.array(2**62), "turns")
    constant = onnx.helper.make_node("Constant", [], ["turns"], value=turns)
    return [constant, onnx.helper.make_node("Loop", ["turns", "", "pixel_values"], ["logits"], body=step)]


@pytest.mark.parametrize("nodes", [memory_trap, time_trap])
def test_an_exported_network_that_takes_all_memory_or_never_ends_is_refused(folder, nodes, monkeypatch):
    monkeypatch.setattr("carmask.inference.runtimes.TRIAL_SECONDS", 2)
    (folder / "model.safetensors").unlink()
    save_onnx(folder / "model.onnx", nodes)
    assert "damaged" in refusal(folder)


def test_the_networks_of_the_tests_are_within_the_limits(tmp_path):
    tiny_network().save_pretrained(tmp_path)
    assert checked_settings(tmp_path / "config.json")["model_type"] == "segformer"
