import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import NETWORKS, drawn_car, save_balanced, tiny_network, write_data
from safetensors.torch import load_file

import train_segformer
from carmask import Predictor
from carmask.tasks import MaskTask
from carmask.teaching import Lesson

ROOT = Path(__file__).parent.parent


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["train_segformer.py", *map(str, arguments)])
    return train_segformer.main()


def options(tiny_data, tiny_start, path, **changes):
    settings = {
        "data": tiny_data, "model": tiny_start, "output": path, "steps": 6, "batch_size": 4, "crop": 64, "side": 96,
        "validate_every": 3, "workers": 0, "learning_rate": 1e-3,
    }  # fmt: skip
    return [part for name, value in (settings | changes).items() for part in (f"--{name}", value)]


def test_a_short_run_lowers_the_loss_and_its_model_draws_masks(tmp_path, tiny_mask_model, tiny_data, monkeypatch):
    output = tmp_path / "model"
    changes = {"steps": 40, "validate_every": 10, "learning_rate": 5e-3, "average": 0.8}
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, output, **changes)) == 0
    history = json.loads((output / "scores.json").read_text())["history"]
    assert history[-1]["loss"] < history[0]["loss"]
    assert [line["step"] for line in history] == [10, 20, 30, 40]
    assert {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "README.md",
        "curves.png",
        "worst.png",
    } <= {path.name for path in output.iterdir()}
    card = (output / "README.md").read_text()
    assert "--steps 40" in card
    assert "8 pictures, 8 of boxes" in card
    scores = json.loads((output / "scores.json").read_text())["scores"]
    assert f"{scores['test']['all']['iou']:.4f}" in card
    mask = Predictor.from_pretrained(output)(drawn_car()[0])
    assert set(np.unique(mask)) <= {0, 255}


@pytest.mark.parametrize("name", NETWORKS)
def test_twenty_steps_on_four_pictures_lower_the_loss(name):
    network = tiny_network(name).train()
    lesson = Lesson(network, MaskTask())
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    drawn = [drawn_car(seed=seed) for seed in range(4)]
    greys = torch.stack([torch.from_numpy(np.array(picture.convert("L"))) for picture, _ in drawn])
    target = torch.stack([MaskTask().target(mask, mask.shape) for _, mask in drawn])
    pixel_values = (greys[:, None].float().expand(-1, 3, -1, -1) / 255 - 0.45) / 0.22
    losses = []
    for _ in range(20):
        losses.append(lesson(pixel_values, target))
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, workers
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, whole, workers=workers)) == 0

    class Killed(Exception):
        pass

    keep = train_segformer.keep

    def keep_then_die(*arguments):
        keep(*arguments)
        raise Killed

    monkeypatch.setattr(train_segformer, "keep", keep_then_die)
    with pytest.raises(Killed):
        run(monkeypatch, *options(tiny_data, tiny_mask_model, parts, workers=workers))
    monkeypatch.setattr(train_segformer, "keep", keep)
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, parts, workers=workers), "--resume") == 0
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (whole / "scores.json").read_text() == (parts / "scores.json").read_text()


@pytest.mark.parametrize("features", [False, True])
def test_a_student_learns_from_a_teacher(tmp_path, tiny_mask_model, tiny_data, monkeypatch, features):
    teacher = save_balanced(tiny_network("fcn"), tmp_path / "teacher")
    output = tmp_path / "student"
    flags = ["--teacher", teacher, *(["--teacher_features", "--forced_share", "0.5"] if features else [])]
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, output, steps=20, validate_every=10), *flags) == 0
    history = json.loads((output / "scores.json").read_text())["history"]
    assert history[-1]["loss"] < history[0]["loss"]


@pytest.mark.parametrize("stage", range(4))
def test_forced_stages_learn_from_the_teacher_not_from_each_other(stage):
    lesson = Lesson(tiny_network(), MaskTask(), tiny_network("fcn"))
    lesson.fit_features([torch.rand(4, 3, 64, 64) for _ in range(2)])
    pixel_values = torch.rand(2, 3, 64, 64)
    wanted = lesson.targets(lesson.teacher(pixel_values, output_hidden_states=True).hidden_states)
    features = lesson.stages(pixel_values, wanted)
    features[stage].sum().backward()
    stages = lesson.student.segformer.stages
    reached = [any(value.grad is not None for value in part.parameters()) for part in stages]
    assert reached == [index == stage for index in range(4)]
    assert wanted[stage].shape == features[stage].shape
    assert wanted[stage].var(dim=1, correction=0).mean() == pytest.approx(1, abs=0.1)


def test_an_existing_output_is_refused_and_kept(tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys):
    (tmp_path / "precious.txt").write_text("mine")
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, tmp_path)) == 1
    assert "exists" in capsys.readouterr().err
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, tmp_path), "--overwrite") == 1
    assert "no model folder" in capsys.readouterr().err
    assert (tmp_path / "precious.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data": "no/such/data"}, "There is no folder"),
        ({"model": "nvidia/mit-b0"}, "scratch-b0"),
        ({"model": "scratch-b9"}, "scratch-b0"),
        ({"model": "./nothing"}, "neither a model folder"),
        ({"teacher": "./nothing"}, "There is no model folder"),
        ({"crop": 50}, "--crop"),
        ({"steps": 0}, "--steps"),
        ({"forced_share": 0.2, "teacher_features": True}, "--teacher"),
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


def test_two_processes_train_one_model_and_write_it_once(tmp_path, tiny_mask_model):
    write_data(tmp_path / "data", {"train": 8, "validation": 2})
    output = tmp_path / "model"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", ROOT / "train_segformer.py"]
    command += options(tmp_path / "data", tiny_mask_model, output, batch_size=2)
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, env=environment, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    history = json.loads((output / "scores.json").read_text())["history"]
    assert [line["step"] for line in history] == [3, 6]
    assert Predictor.from_pretrained(output)(drawn_car()[0]).shape == (64, 96)
