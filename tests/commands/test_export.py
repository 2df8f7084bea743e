import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import NETWORKS, drawn_car, tiny_network

from carmask import ModelError, Predictor
from carmask.commands.export import export
from carmask.commands.export import main as export_command
from carmask.commands.predict import main as command_line
from carmask.errors import ExportError
from carmask.inference.exporting import check_parity, made_up_pixels, write_onnx
from carmask.inference.runtimes import open_exported
from carmask.inference.torch_network import load_network, torch_function

pytestmark = pytest.mark.slow

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")


@pytest.fixture(scope="session")
def exported(any_model, tmp_path_factory):
    """A model folder of each network, and the same exported for each run-time."""
    root = tmp_path_factory.mktemp("exported")
    for kind in ("onnx", "openvino"):
        export(any_model, root / kind, kind)
    return any_model, root


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_an_exported_folder_gives_the_same_masks_by_itself(exported, kind):
    model, root = exported
    for size in ((64, 96), (333, 77), (5, 200)):
        picture = drawn_car()[0].resize(size[::-1])
        wanted = Predictor.from_pretrained(model)(picture)
        assert (Predictor.from_pretrained(root / kind)(picture) == wanted).mean() >= 0.999


@pytest.mark.parametrize("file", ["onnx/model.onnx", "openvino/model.xml"])
@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (3, 3, 33, 47), (2, 3, 64, 130), (1, 3, 45, 191)])
def test_an_exported_network_is_the_same_function_for_any_batch_height_and_width(exported, file, shape):
    model, root = exported
    pixel_values = made_up_pixels(shape, seed=5)
    wanted = torch_function(load_network(model))(pixel_values)
    found = open_exported(root / file, labels=2)(pixel_values)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1e-4 * wanted.std()


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_stored_as_float16_are_the_same_function_in_half_the_space(name, tmp_path):
    network = tiny_network(name).half().float()
    file, sizes = tmp_path / "model.onnx", []
    for half in (False, True):
        write_onnx(network, file, {"task": "mask"}, one_attention=True, half=half)
        sizes.append(file.stat().st_size)
    check_parity(torch_function(network), open_exported(file, labels=2))
    weights = sum(value.numel() for value in network.state_dict().values())
    assert sizes[0] - sizes[1] > weights  # bytes, of the two that each weight could give; names of nodes take some


AFTER_CLOSING = """
import gc, os, pathlib, signal, sys
from carmask.inference.runtimes import open_exported

networks = [open_exported(pathlib.Path(sys.argv[1]), labels=2) for _ in range(2)]
networks.pop(0)
gc.collect()
networks.clear()
gc.collect()
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.parametrize("file", ["onnx/model.onnx", "openvino/model.xml"])
def test_a_program_handles_signals_after_exported_networks_are_closed(exported, file):
    command = [sys.executable, "-c", AFTER_CLOSING, exported[1] / file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_the_exported_file_says_how_to_use_it(exported):
    model, root = exported
    facts = {entry.key: entry.value for entry in onnx.load(root / "onnx/model.onnx").metadata_props}
    assert json.loads(facts["labels"]) == ["background", "car"]
    processor = json.loads((model / "preprocessor_config.json").read_text())
    for key in ("image_mean", "image_std", "size"):
        assert json.loads(facts[key]) == processor[key]
    assert "pixel_values" in facts["input"]
    import openvino

    stored = openvino.Core().read_model(root / "openvino/model.xml")
    assert stored.get_rt_info(["carmask", "labels"]).astype(str) == facts["labels"]


def test_a_network_with_one_other_weight_is_not_the_same(tiny_mask_model):
    network, other = load_network(tiny_mask_model), load_network(tiny_mask_model)
    other.decode_head.classifier.weight.data[0, 0] += 0.05
    logits = [torch_function(one) for one in (network, other)]
    assert check_parity(logits[0], logits[0]) == (1, 0)
    with pytest.raises(ExportError, match="not the same"):
        check_parity(*logits)


def test_an_export_that_is_not_the_same_writes_nothing(tiny_mask_model, tmp_path, monkeypatch, capsys):
    def write_another(network, file, *_, **_options):
        file.write_bytes(b"no network")

    monkeypatch.setattr("carmask.commands.export.write_onnx", write_another)
    assert export_command([str(tiny_mask_model), str(tmp_path / "out")]) == 1
    stage, sentence = capsys.readouterr().err.splitlines()
    assert stage == "Writing the network as an ONNX file, and comparing it with torch's."
    assert sentence.startswith("carmask export: The file ")
    assert not list(tmp_path.iterdir())


def test_an_output_that_exists_is_never_replaced(tiny_mask_model, tmp_path, capsys):
    assert export_command([str(tiny_mask_model), str(tmp_path)]) == 1
    assert "exists" in capsys.readouterr().err


def test_the_command_line_takes_an_exported_folder(exported, tmp_path):
    drawn_car()[0].save(tmp_path / "a.png")
    model = str(exported[1] / "onnx")
    assert command_line([str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--model", model]) == 0
    assert (tmp_path / "out/a_mask.png").is_file()


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
@pytest.mark.parametrize("damage", ["cut", "empty", "other labels", "no config", "no run-time"])
def test_a_damaged_export_is_refused_in_one_sentence(exported, tmp_path, monkeypatch, kind, damage):
    folder = tmp_path / "model"
    shutil.copytree(exported[1] / kind, folder)
    file = folder / {"onnx": "model.onnx", "openvino": "model.xml"}[kind]
    config = folder / "config.json"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-2000])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "other labels":
        labels = {"id2label": {"0": "a", "1": "car", "2": "b"}, "label2id": {"a": 0, "car": 1, "b": 2}}
        config.write_text(json.dumps(json.loads(config.read_text()) | labels))
    elif damage == "no config":
        config.unlink()
    else:
        monkeypatch.setitem(sys.modules, {"onnx": "onnxruntime", "openvino": "openvino"}[kind], None)
    with pytest.raises(ModelError) as refusal:
        Predictor.from_pretrained(folder)
    assert "\n" not in str(refusal.value)
    if damage == "no run-time":
        assert "pip install" in str(refusal.value)


def test_an_exported_mask_holds_only_0_and_255(exported):
    mask = Predictor.from_pretrained(exported[1] / "onnx")(drawn_car()[0])
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_an_int8_export_is_smaller_and_says_how_far_its_masks_are_from_float(tiny_mask_model, tmp_path, capsys, kind):
    for seed in range(3):
        drawn_car(seed=seed)[0].save(tmp_path / f"{seed}.png")
    out = tmp_path / "out"
    assert export_command([str(tiny_mask_model), str(out), "--to", kind, "--int8", str(tmp_path)]) == 0
    overlap = float(capsys.readouterr().out.split("IoU of ")[1].split()[0])
    picture = drawn_car(seed=0)[0]
    masks = [Predictor.from_pretrained(folder)(picture) > 0 for folder in (tiny_mask_model, out)]
    assert not np.array_equal(*masks)
    assert 0.5 < overlap < 1
    assert (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum() == pytest.approx(overlap, abs=0.1)


def test_an_int8_export_of_dots_says_how_many_are_the_same(dots_model, tmp_path, capsys):
    drawn_car()[0].save(tmp_path / "photo.png")
    assert export_command([str(dots_model), str(tmp_path / "out"), "--int8", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "dots that float32 or int8 places on these pictures" in printed
    assert "logits are within" not in printed  # those of float32


def test_an_exported_model_is_not_exported_again(exported, tmp_path, capsys):
    assert export_command([str(exported[1] / "onnx"), str(tmp_path / "out")]) == 1
    assert "exported already" in capsys.readouterr().err


def test_int8_without_pictures_is_refused(tiny_mask_model, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert export_command([str(tiny_mask_model), str(tmp_path / "out"), "--int8", str(tmp_path / "empty")]) == 1
    assert "no pictures" in capsys.readouterr().err
