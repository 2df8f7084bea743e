import re

import pytest
import torch
from safetensors.torch import load_file
from training_runs import options, run

from carmask.training.distillation import DistillationLoss


def test_a_plan_says_steps_time_memory_and_disk_and_writes_nothing(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys
):
    arguments = options(tiny_data, tiny_mask_model, tmp_path / "model", steps=40, validate_every=10)
    assert run(monkeypatch, *arguments, "--plan") == 0
    plan = capsys.readouterr().out
    assert "steps: 40 of 4 crops, 20.0 times through 8 pictures" in plan
    assert re.search(r"time: about \d+ (s|minutes): \d+\.\d\d s a step, 4 validations", plan)
    assert re.search(r"memory: \d+\.\d\d GB a process, 1 on cpu", plan)
    assert re.search(r"disk: \d+ MB while it runs, \d+ MB at the end; \d+ MB are free", plan)
    assert not (tmp_path / "model").exists()


def test_a_plan_knows_what_is_done_already(tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys):
    arguments = options(tiny_data, tiny_mask_model, tmp_path / "model")
    monkeypatch.setattr("carmask.training.run.finish", lambda *given: None)
    assert run(monkeypatch, *arguments) == 0
    arguments[arguments.index("--steps") + 1] = 20
    assert run(monkeypatch, *arguments, "--resume", "--plan") == 0
    assert "steps: 14 of 4 crops" in capsys.readouterr().out


@pytest.fixture
def room_for(monkeypatch):
    """Sets how many crops fit into a memory that is not there."""

    def set_room(crops):
        whole = DistillationLoss.forward

        def forward(self, pixel_values, *given):
            if len(pixel_values) > crops:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 7.00 GiB.")
            return whole(self, pixel_values, *given)

        monkeypatch.setattr(DistillationLoss, "forward", forward)

    return set_room


def test_a_batch_that_does_not_fit_is_halved_with_the_accumulation_doubled_and_said(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys, room_for
):
    asked = options(tiny_data, tiny_mask_model, tmp_path / "asked", batch_size=2, accumulate=4)
    assert run(monkeypatch, *asked) == 0
    room_for(3)
    large = options(tiny_data, tiny_mask_model, tmp_path / "large", batch_size=8, accumulate=1)
    assert run(monkeypatch, *large) == 0
    assert "going on with --batch-size 2 --accumulate 4" in capsys.readouterr().out
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("asked", "large"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_an_odd_batch_is_cut_into_equal_parts(tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys, room_for):
    room_for(4)
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, tmp_path / "a", batch_size=9, steps=1)) == 0
    assert "going on with --batch-size 3 --accumulate 3" in capsys.readouterr().out


def test_where_not_even_one_crop_fits_the_run_says_so(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys, room_for
):
    room_for(0)
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, tmp_path / "a")) == 1
    assert "Not even one crop of 64 pixels fits into memory" in capsys.readouterr().err
