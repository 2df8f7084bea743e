"""The laws of run-times: which one is taken, and that they draw the same masks."""

import logging
import shutil
import sys

import numpy as np
import pytest
from conftest import drawn_car, save_balanced, tiny_network
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import ConvNextConfig, Dinov2Config, SwinConfig

from carmask import ModelError, Predictor
from carmask.commands.export import main as export_command
from carmask.commands.predict import main as predict
from carmask.inference import loading
from carmask.inference.exporting import refresh_exported
from carmask.inference.model_folder import MODEL_FILES
from carmask.networks.fcn import FcnConfig, FcnForSemanticSegmentation

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both(any_model, tmp_path_factory):
    """A model folder of each network that holds weights and, exported from them, model.onnx."""
    folder = tmp_path_factory.mktemp("both") / "model"
    shutil.copytree(any_model, folder)
    assert export_command([str(folder)]) == 0
    return folder


@pytest.fixture
def copy(both, tmp_path):
    return shutil.copytree(both, tmp_path / "model")


def runtime_of(folder, **options):
    return loading.exported_file(folder, **options)[0]


@pytest.mark.parametrize("runtime", ["onnx", "torch", "openvino"])
def test_every_run_time_draws_the_same_mask(both, runtime):
    masks = [Predictor.from_pretrained(both, runtime=one)(drawn_car((150, 220))[0]) for one in (runtime, "torch")]
    assert (masks[0] == masks[1]).mean() >= 0.999


def test_onnx_runtime_is_taken_where_it_can_be_and_torch_elsewhere(both, any_model, monkeypatch, caplog):
    loading.has_onnxruntime.cache_clear()
    assert runtime_of(both) == "onnx"
    assert runtime_of(any_model) == "torch"
    monkeypatch.setattr(loading.importlib.util, "find_spec", lambda name: None)
    loading.has_onnxruntime.cache_clear()
    assert [runtime_of(both) for _ in range(3)] == ["torch"] * 3
    assert caplog.text.count("onnxruntime is not installed") == 1
    loading.has_onnxruntime.cache_clear()


def test_the_environment_and_the_command_line_choose_the_run_time(both, tmp_path, monkeypatch, capsys):
    drawn_car()[0].save(tmp_path / "a.png")
    given = [str(tmp_path / "a.png"), "--out", str(tmp_path), "--model", str(both)]
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # so that it fails where it is taken
    monkeypatch.setenv("CARMASK_RUNTIME", "onnx")
    assert predict(given) == 1
    assert "pip install onnxruntime" in capsys.readouterr().err
    assert predict([*given, "--runtime", "torch"]) == 0
    monkeypatch.setenv("CARMASK_RUNTIME", "torch")
    assert predict(given) == 0


@pytest.mark.parametrize(("runtime", "words"), [("fast", "choose one of torch, onnx"), ("onnx", "carmask export")])
def test_a_run_time_that_is_not_there_is_refused_in_one_sentence(any_model, runtime, words):
    with pytest.raises(ModelError, match=words):
        Predictor.from_pretrained(any_model, runtime=runtime)


def test_a_file_of_other_weights_is_not_used_and_that_is_said(copy, caplog):
    weights = load_file(copy / "model.safetensors")
    weights = {name: value * 1.5 if name.endswith("weight") else value for name, value in weights.items()}
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with caplog.at_level(logging.WARNING):
        found = Predictor.from_pretrained(copy).logits(drawn_car()[0])
    assert "of other weights" in caplog.text
    assert np.array_equal(found, Predictor.from_pretrained(copy, runtime="torch").logits(drawn_car()[0]))


def test_a_damaged_file_beside_weights_is_refused_in_one_sentence(copy):
    (copy / "model.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ModelError, match="export the model again"):
        Predictor.from_pretrained(copy)
    assert Predictor.from_pretrained(copy, runtime="torch")(Image.new("L", (40, 50))).shape == (50, 40)


BACKBONES = {
    "convnext": ConvNextConfig(hidden_sizes=[8] * 4, depths=[1] * 4, out_indices=[1, 2, 3, 4]),
    "dinov2": Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, patch_size=14, out_indices=[1, 2],
        reshape_hidden_states=True,
    ),
    "swin": SwinConfig(embed_dim=8, depths=[1] * 2, num_heads=[1] * 2, window_size=4, out_indices=[1, 2]),
}  # fmt: skip


@pytest.mark.parametrize("name", BACKBONES)
def test_a_network_on_any_backbone_is_exported_or_torch_runs_it(tmp_path, name, caplog):
    config = tiny_network("fcn").config.to_dict() | {"backbone_config": BACKBONES[name].to_dict(), "skips": 1}
    network = FcnForSemanticSegmentation(FcnConfig.from_dict(config)).eval()
    folder = save_balanced(network, tmp_path / "model")
    refresh_exported(folder)
    assert (folder / "model.onnx").is_file() == (name != "swin")
    assert ("torch runs it" in caplog.text) == (name == "swin")
    assert {path.name for path in folder.iterdir()} <= {*MODEL_FILES, "model.onnx"}
    assert Predictor.from_pretrained(folder)(drawn_car()[0]).shape == (64, 96)
