import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import drawn_car, save_balanced, tiny_network
from PIL import Image
from safetensors.torch import load_file
from training_runs import options, run
from transformers import SegformerImageProcessorPil

from carmask import Predictor
from carmask.hub.model_card import describe_inference_settings
from carmask.inference.model_folder import MODEL_FILES
from carmask.tasks.mask_task import MaskTask
from carmask.training import loop
from carmask.training import run as training_run
from carmask.training.distillation import DistillationLoss

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_a_short_run_lowers_the_loss_and_its_model_draws_masks(tmp_path, tiny_mask_model, tiny_data, monkeypatch):
    output = tmp_path / "model"
    changes = {"steps": 40, "validate_every": 10, "learning_rate": 5e-3}
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, output, **changes)) == 0
    history = json.loads((output / "scores.json").read_text())["history"]
    assert history[-1]["loss"] < history[0]["loss"]
    assert [line["step"] for line in history] == [10, 20, 30, 40]
    written = {path.name for path in output.iterdir()}
    assert written >= MODEL_FILES | {"README.md", "curves.png", "worst.png"}
    card = (output / "README.md").read_text()
    assert "--steps 40" in card
    assert "8 pictures, 8 of boxes" in card
    scores = json.loads((output / "scores.json").read_text())["scores"]
    assert f"{scores['test']['all']['iou']:.4f}" in card
    mask = Predictor.from_pretrained(output)(drawn_car()[0])
    assert set(np.unique(mask)) <= {0, 255}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, workers
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, whole, workers=workers)) == 0

    class Killed(Exception):
        pass

    keep = loop.keep_best

    def keep_then_die(*arguments):
        keep(*arguments)
        raise Killed

    monkeypatch.setattr(loop, "keep_best", keep_then_die)
    with pytest.raises(Killed):
        run(monkeypatch, *options(tiny_data, tiny_mask_model, parts, workers=workers))
    monkeypatch.setattr(loop, "keep_best", keep)
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, parts, workers=workers), "--resume") == 0
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (whole / "scores.json").read_text() == (parts / "scores.json").read_text()


@pytest.mark.parametrize(("network", "seen"), [("segformer", (96, 96)), ("fcn", (64, 96)), ("unet", (64, 96))])
def test_a_segformer_sees_squares_and_the_others_the_shape_of_the_picture(
    tmp_path, tiny_data, monkeypatch, network, seen
):
    start = save_balanced(tiny_network(network), tmp_path / "start")
    arguments = options(tiny_data, start, tmp_path / "model", steps=1, batch_size=1)
    assert run(monkeypatch, *arguments) == 0
    predictor = Predictor.from_pretrained(tmp_path / "model")
    assert predictor.pixel_values(Image.new("L", (300, 200))).shape[-2:] == seen
    assert describe_inference_settings(predictor, "It has its") in (tmp_path / "model/README.md").read_text()


@pytest.mark.parametrize("features", [False, True])
def test_a_student_learns_from_a_teacher(tmp_path, tiny_mask_model, tiny_data, monkeypatch, features):
    teacher = save_balanced(tiny_network("fcn"), tmp_path / "teacher")
    output = tmp_path / "student"
    flags = ["--teacher", teacher, *(["--teacher-features", "--stagewise-share", "0.5"] if features else [])]
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, output, steps=20, validate_every=10), *flags) == 0
    history = json.loads((output / "scores.json").read_text())["history"]
    assert history[-1]["loss"] < history[0]["loss"]


def test_a_teacher_that_sees_pictures_in_another_brightness_is_refused(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys
):
    teacher = save_balanced(tiny_network("fcn"), tmp_path / "teacher")
    SegformerImageProcessorPil(image_mean=[0.5] * 3, size={"height": 64, "width": 64}).save_pretrained(teacher)
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, tmp_path / "model"), "--teacher", teacher) == 1
    assert "Its image_mean or image_std is not that of a SegFormer" in capsys.readouterr().err


@pytest.mark.parametrize("stage", range(4))
def test_stages_learn_stage_wise_from_the_teacher_not_from_each_other(stage):
    criterion = DistillationLoss(tiny_network(), MaskTask(), tiny_network("fcn"))
    criterion.fit_features([torch.rand(4, 3, 64, 64) for _ in range(2)])
    pixel_values = torch.rand(2, 3, 64, 64)
    wanted = criterion.targets(criterion.teacher(pixel_values, output_hidden_states=True).hidden_states)
    features = criterion.stages(pixel_values, wanted)
    features[stage].sum().backward()
    stages = criterion.student.segformer.stages
    reached = [any(value.grad is not None for value in part.parameters()) for part in stages]
    assert reached == [index == stage for index in range(4)]
    assert wanted[stage].shape == features[stage].shape
    assert wanted[stage].var(dim=1, correction=0).mean() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("flags", [[], ["--overwrite"]])
def test_a_folder_with_anything_else_in_it_is_refused_and_kept(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys, flags
):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "precious.txt").write_text("mine")
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, tmp_path), *flags) == 1
    assert "holds precious.txt, which no run wrote" in capsys.readouterr().err
    assert (tmp_path / "precious.txt").read_text() == "mine"


def killed_in(step, monkeypatch, *arguments):
    with monkeypatch.context() as killed:
        killed.setattr(training_run, step, lambda *given: sys.exit("killed"))
        with pytest.raises(SystemExit):
            run(killed, *arguments)


def test_a_model_is_replaced_only_when_asked_and_only_by_a_new_one(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys
):
    model = tmp_path / "model"
    shutil.copytree(tiny_mask_model, model)
    before = (model / "model.safetensors").read_bytes()
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, model)) == 1
    assert "--overwrite" in capsys.readouterr().err
    killed_in("train_loop", monkeypatch, *options(tiny_data, tiny_mask_model, model), "--overwrite")
    assert (model / "model.safetensors").read_bytes() == before


def test_a_run_killed_before_its_first_checkpoint_can_simply_start_again(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch
):
    arguments = options(tiny_data, tiny_mask_model, tmp_path / "model", steps=1)
    killed_in("train_loop", monkeypatch, *arguments)
    assert run(monkeypatch, *arguments) == 0


def test_a_run_is_not_resumed_with_other_settings_or_from_damage(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys
):
    output = tmp_path / "model"
    killed_in("finish", monkeypatch, *options(tiny_data, tiny_mask_model, output, steps=1))
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, output, steps=2, batch_size=2), "--resume") == 1
    assert "had --batch-size 4" in capsys.readouterr().err
    settings = (output / "run.json").read_text()
    (output / "run.json").write_text(settings[:50])
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, output, steps=2), "--resume") == 1
    assert "run.json" in capsys.readouterr().err
    (output / "run.json").write_text(settings)
    (output / "checkpoint-1/state.safetensors").write_bytes(b"damaged")
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, output, steps=2), "--resume") == 1
    assert "damaged" in capsys.readouterr().err


def test_a_run_from_before_an_option_existed_ran_with_its_default(tmp_path, tiny_mask_model, tiny_data, monkeypatch):
    output = tmp_path / "model"
    killed_in("finish", monkeypatch, *options(tiny_data, tiny_mask_model, output, steps=1))
    settings = json.loads((output / "run.json").read_text())
    assert {"paste", "streaming"} <= settings.keys()
    (output / "run.json").write_text(
        json.dumps({k: v for k, v in settings.items() if k not in ("paste", "streaming")})
    )
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, output, steps=1), "--resume") == 0


def test_a_bad_test_picture_is_named_before_the_first_step(tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys):
    shutil.copytree(tiny_data, tmp_path / "data")
    (tmp_path / "data/test/images/1.png").write_bytes(b"no picture")
    assert run(monkeypatch, *options(tmp_path / "data", tiny_mask_model, tmp_path / "model")) == 1
    assert "Row 1 (1.png) of the split test" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_a_full_disk_is_said_in_one_sentence(tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys):
    def full(*arguments):
        raise OSError(28, "No space left on device", "model.safetensors")

    monkeypatch.setattr(loop, "save_checkpoint", full)
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, tmp_path / "model", steps=1)) == 1
    assert "model.safetensors: No space left on device." in capsys.readouterr().err


def test_an_unknown_option_is_said_without_a_traceback(tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, *options(tiny_data, tiny_mask_model, tmp_path / "model"), "--bogus", "1")
    assert "no option --bogus" in capsys.readouterr().err


def test_the_licence_of_the_start_reaches_the_card_of_every_descendant(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch
):
    start = tmp_path / "start"
    shutil.copytree(tiny_mask_model, start)
    settings = json.loads((start / "config.json").read_text()) | {"origin": ["nvidia/mit-b0"]}
    (start / "config.json").write_text(json.dumps(settings))
    for parent, child in ((start, tmp_path / "child"), (tmp_path / "child", tmp_path / "grandchild")):
        assert run(monkeypatch, *options(tiny_data, parent, child, steps=1)) == 0
    card = (tmp_path / "grandchild/README.md").read_text()
    assert "license: other" in card
    assert "research only" in card


def test_the_card_of_a_model_that_started_from_the_hub_names_the_revision(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch
):
    revision = "4f3c" * 10
    kept = tmp_path / "hub" / "models--anna--start"
    shutil.copytree(tiny_mask_model, kept / "snapshots" / revision)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(revision)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert run(monkeypatch, *options(tiny_data, "anna/start", tmp_path / "child", steps=1)) == 0
    assert f"anna/start@{revision}" in (tmp_path / "child/README.md").read_text()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data": "no/such/data"}, "There is no folder"),
        ({"model": "nvidia/mit-b0"}, "not in the cache and HF_HUB_OFFLINE is set"),
        ({"model": "scratch-b9"}, "scratch-b0"),
        ({"model": "./nothing"}, "There is no folder ./nothing"),
        ({"teacher": "./nothing"}, "There is no folder ./nothing"),
        ({"epochs": 3}, "--steps and --epochs say the same"),
        ({"processes": "many"}, "--processes"),
        ({"crop": 50}, "--crop"),
        ({"steps": 0}, "--steps"),
        ({"workers": -1}, "--workers"),
        ({"learning_rate": -1}, "--learning-rate"),
        ({"network": "fcn"}, "network of the type segformer"),
        ({"stagewise_share": 0.2, "teacher_features": True}, "--teacher"),
        ({"model": "", "teacher_features": True, "teacher": "models/car-mask-fcn"}, "--network segformer"),
        ({"teacher": "models/car-dots-fcn"}, "It places dots"),
        ({"unlabelled": "no/such/folder"}, "--teacher"),
        ({"unlabelled": "no/such/folder", "teacher": "models/car-mask-b0"}, "no/such/folder is not a folder"),
        ({"unlabelled": "no/such/folder", "task": "dots"}, "from_csv.py --no-dots FOLDER"),
        ({"paste": 2}, "--paste"),
        ({"network": "unet", "model": "scratch-b0"}, "not unet; leave out --network or --model"),
    ],
)
def test_a_wrong_argument_is_said_in_one_sentence_and_leaves_nothing(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capfd, changes, sentence
):
    output = tmp_path / "model"
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, output, **changes)) == 1
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert sentence in last
    assert not output.exists()
