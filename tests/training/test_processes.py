import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import torch
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from conftest import drawn_car, write_data
from safetensors.torch import load_file
from training_runs import options, run

import train_segformer
from carmask import Predictor
from carmask.data.sources import open_data
from carmask.evaluation.validation import validate
from carmask.training import run as training_run
from carmask.training.config import TrainConfig

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "docs/accelerate"


def test_two_processes_give_what_one_gives_on_the_same_crops_and_count_each_picture_once(tmp_path, monkeypatch):
    write_data(tmp_path / "data", {"train": 8, "validation": 3})
    together, alone = tmp_path / "together", tmp_path / "alone"
    # Group norm: batch norm's statistics are each process's own.
    network = ["--network", "unet", "--settings", "norm=group", "depth=2", "first_width=8"]
    same = {"seed": 3}
    arguments = options(tmp_path / "data", "scratch", together, **same, batch_size=4, processes=2)
    command = [sys.executable, ROOT / "train_segformer.py", *arguments, *network]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert (
        run(monkeypatch, *options(tmp_path / "data", "scratch", alone, **same, batch_size=2, accumulate=2), *network)
        == 0
    )
    one, other = (load_file(folder / "model.safetensors") for folder in (alone, together))
    assert all(torch.allclose(one[name], other[name], atol=1e-4) for name in one)
    histories = [json.loads((folder / "scores.json").read_text())["history"] for folder in (alone, together)]
    assert [line["step"] for line in histories[1]] == [3, 6]
    for mine, theirs in zip(*histories, strict=True):
        assert theirs == pytest.approx(mine, abs=2e-3)
    predictor = Predictor.from_pretrained(together)
    scores, _ = validate(predictor, open_data(str(tmp_path / "data"))["validation"])
    assert json.loads((together / "scores.json").read_text())["scores"]["validation"] == scores
    assert predictor(drawn_car()[0]).shape == (64, 96)


TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]


@contextmanager
def two(launcher, *arguments):
    """Starts the program in two processes, in a process group of its own as a terminal would; ends it afterwards."""
    command = [*launcher, ROOT / "train_segformer.py", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_MININTERVAL": "0"}
    pipe = subprocess.PIPE
    command = [*map(str, command)]
    with subprocess.Popen(command, stderr=pipe, text=True, env=environment, start_new_session=True) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("launcher", [TORCHRUN, [sys.executable]], ids=["torchrun", "own"])
def test_ctrl_c_to_two_processes_keeps_a_checkpoint_to_go_on_from_with_as_many(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys, launcher
):
    changes = {"steps": 5000, "validate_every": 5000, "crop": 32, "processes": 2}
    arguments = options(tiny_data, tiny_mask_model, tmp_path / "model", **changes)
    with two(launcher, *arguments) as together:
        assert any(re.search(r" [1-9]\d*/5000", line) for line in together.stderr)  # it stops reading at the first one
        os.killpg(together.pid, signal.SIGINT)
        words = together.communicate(timeout=300)[1]
    (sentence,) = [line for line in words.splitlines() if line.startswith("train_segformer: ")]
    step = int(re.search(r"Stopped after step (\d+). The same command with --resume goes on from", sentence)[1])
    assert (tmp_path / f"model/checkpoint-{step}").is_dir()
    assert together.returncode != 0
    assert launcher == TORCHRUN or words.rstrip().endswith(sentence)
    assert run(monkeypatch, *arguments, "--processes", 1, "--resume") == 1
    assert "had 2 processes, not 1 process; resume it with as many." in capsys.readouterr().err


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_is_killed_ends_the_run_with_a_sentence_that_says_how_to_go_on(
    tmp_path, tiny_mask_model, tiny_data, rank
):
    changes = {"steps": 5000, "validate_every": 3, "crop": 32, "processes": 2}
    arguments = options(tiny_data, tiny_mask_model, tmp_path / "model", **changes)
    with two([sys.executable], *arguments) as together:
        assert any(re.search(r" [4-9]/5000", line) for line in together.stderr)
        first = psutil.Process(together.pid)
        (other,) = [one for one in first.children() if "train_segformer.py" in str(one.cmdline())]
        (first, other)[rank].kill()
        words = together.communicate(timeout=300)[1]
    assert together.returncode == (-signal.SIGKILL, 1)[rank]
    assert "Traceback" not in words
    sentence = words.rstrip().splitlines()[-1]
    assert sentence.startswith("train_segformer: Another process of this run ended; if it does not say why, ")
    assert "or start again with --processes 1. The same command with --resume goes on from checkpoint-" in sentence


def test_processes_that_cannot_share_a_batch_are_refused(tmp_path, tiny_mask_model, tiny_data):
    arguments = options(tiny_data, tiny_mask_model, tmp_path / "model", batch_size=3, processes=2)
    command = [sys.executable, ROOT / "train_segformer.py", *arguments]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == ("train_segformer: --batch-size 3 cannot be shared by 2 processes; take a multiple of 2.\n")


@pytest.mark.parametrize(
    ("batch_size", "cores", "processes"), [(8, 2, 2), (8, 1, 1), (8, 16, 2), (16, 4, 4), (9, 2, 1)]
)
def test_a_cpu_takes_a_process_for_each_core_that_gets_its_share_of_a_batch(monkeypatch, batch_size, cores, processes):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert train_segformer.count_processes(TrainConfig("x", "y", batch_size=batch_size)) == processes


def test_a_gpu_takes_one_process(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    assert train_segformer.count_processes(TrainConfig("x", "y")) == 1


@pytest.mark.parametrize("name", training_run.SPLITTERS)
def test_a_run_that_is_to_be_split_is_refused_and_told_what_to_use(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys, name
):
    monkeypatch.setenv(f"ACCELERATE_USE_{name}", "true")
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, tmp_path / "model")) == 1
    assert "use DDP: accelerate launch --multi_gpu" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("config", sorted(CONFIGS.iterdir()), ids=lambda path: path.stem)
def test_accelerate_accepts_every_configuration_file_of_the_docs(config):
    given = launch_command_parser().parse_args(["--config_file", str(config), "train_segformer.py"])
    arguments, _, _ = _validate_launch_command(given)
    assert arguments.multi_gpu
    assert (arguments.num_processes, arguments.num_machines) in {(4, 1), (8, 2)}
    assert f"docs/accelerate/{config.name}" in (ROOT / "docs/training.md").read_text()
