import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from conftest import save_balanced, tiny_network
from training_runs import options, run

from carmask.errors import RunError
from carmask.training import loop
from carmask.training import run as training_run
from carmask.training.distillation import batch_loss
from carmask.training.output_folder import claim
from carmask.training.signals import SAME_SECONDS, SIGNALS, noted_signals

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def stopped_at_once(number, monkeypatch, *arguments):
    """The exit code of a run that gets a signal in its first step."""

    def signal_first(*given):
        signal.raise_signal(number)
        return batch_loss(*given)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "batch_loss", signal_first)
        return run(patched, *arguments)


IGNORED = pytest.mark.skipif(signal.SIGHUP not in SIGNALS, reason="these tests run under nohup, which stays ignored")


@pytest.mark.parametrize(
    ("workers", "number"), [(0, signal.SIGTERM), (2, signal.SIGINT), pytest.param(0, signal.SIGHUP, marks=IGNORED)]
)
def test_a_run_stopped_in_any_place_says_how_to_go_on_and_ends_as_if_never_stopped(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys, workers, number
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    changes = {"workers": workers, "steps": 4}
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, whole, **changes)) == 0
    arguments = options(tiny_data, tiny_mask_model, parts, **changes)
    for step in range(1, 5):  # the middle of an epoch, its end, a validation, the last one
        assert stopped_at_once(number, monkeypatch, *arguments, *(["--resume"] if step > 1 else [])) == 1
        words = capsys.readouterr().err
        assert f"Stopped after step {step}. The same command with --resume goes on from checkpoint-{step}." in words
    assert run(monkeypatch, *arguments, "--resume") == 0
    assert "Going on from step 4." in capsys.readouterr().out
    for name in ("model.safetensors", "scores.json"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes()
    assert {path.name for path in parts.iterdir()} == {path.name for path in whole.iterdir()}


class Killed(Exception):
    """Stands for kill -9."""


def test_a_run_killed_while_it_validates_loses_no_step_and_ends_as_if_never_killed(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, whole)) == 0

    def die(*given, **options):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(loop, "validate", die)
        for resume in ([], ["--resume"]):  # the second time in the validation that was still due
            with pytest.raises(Killed):
                run(patched, *options(tiny_data, tiny_mask_model, parts), *resume)
            assert (parts / "checkpoint-3").is_dir()
    assert stopped_at_once(signal.SIGTERM, monkeypatch, *options(tiny_data, tiny_mask_model, parts), "--resume") == 1
    assert "Stopped after step 4." in capsys.readouterr().err
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, parts), "--resume") == 0
    for name in ("model.safetensors", "scores.json"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes()


def test_between_far_validations_a_checkpoint_is_written_every_few_minutes(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch
):
    saved, save = [], loop.save_checkpoint
    monkeypatch.setattr(loop, "save_checkpoint", lambda output, run: saved.append(run.step) or save(output, run))
    arguments = options(tiny_data, tiny_mask_model, tmp_path / "model", steps=4, validate_every=4)
    assert run(monkeypatch, *arguments) == 0
    assert saved == [4]
    saved.clear()
    monkeypatch.setattr(loop, "MOST_LOST", 0)
    assert run(monkeypatch, *arguments, "--overwrite") == 0
    assert saved == [1, 2, 3, 4]


@pytest.mark.parametrize("changed", ["teacher", "unlabelled"])
def test_a_run_does_not_go_on_with_another_teacher_or_other_unlabelled_pictures(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys, changed
):
    teacher = save_balanced(tiny_network("fcn"), tmp_path / "teacher")
    unlabelled = shutil.copytree(tiny_data / "train/images", tmp_path / "unlabelled")
    arguments = options(
        tiny_data, tiny_mask_model, tmp_path / "model", steps=2, teacher=teacher, unlabelled=unlabelled
    )
    assert stopped_at_once(signal.SIGTERM, monkeypatch, *arguments) == 1
    if changed == "teacher":
        save_balanced(tiny_network("fcn", seed=1), teacher)
    else:
        shutil.copy(unlabelled / "0.png", unlabelled / "more.png")
    capsys.readouterr()
    assert run(monkeypatch, *arguments, "--resume") == 1
    assert "or the teacher has changed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", ["DefaultCPUAllocator: can't allocate memory", "DataLoader worker (pid 7) is killed"]
)
def test_memory_that_runs_out_in_the_night_is_said_in_one_sentence_with_its_remedy(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys, words
):
    seen = []

    def no_room(*given):
        seen.append(given)
        if len(seen) == 5:
            raise RuntimeError(words)
        return batch_loss(*given)

    monkeypatch.setattr(loop, "batch_loss", no_room)
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, tmp_path / "model")) == 1
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert "emory" in sentence
    assert sentence.endswith("The same command with --resume goes on from checkpoint-3.")


def test_another_fault_of_a_process_that_prepares_crops_is_not_taken_for_want_of_memory(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch
):
    def fail(*given):
        raise RuntimeError("Caught RuntimeError in DataLoader worker process 0.")

    monkeypatch.setattr(loop, "batch_loss", fail)
    with pytest.raises(RuntimeError, match="Caught"):
        run(monkeypatch, *options(tiny_data, tiny_mask_model, tmp_path / "model"))


def test_what_one_process_alone_knows_it_says_itself(tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    arguments = options(tiny_data, tiny_mask_model, tmp_path / "model")
    for alone in (False, True):
        monkeypatch.setattr(training_run, "train", lambda config, alone=alone: throw(RunError("No room.", alone)))
        assert run(monkeypatch, *arguments) == 1
        assert capsys.readouterr().err == "train_segformer: No room.\n" * alone


def throw(error):
    raise error


def test_updates_that_float16_leaves_out_one_after_the_other_stop_the_run(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys
):
    monkeypatch.setattr(loop, "MOST_SKIPPED", 3)
    monkeypatch.setattr(Accelerator, "optimizer_step_was_skipped", True)
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, tmp_path / "model")) == 1
    assert "of 4 updates in a row was not finite" in capsys.readouterr().err


def test_a_second_signal_is_the_first_one_again_unless_it_comes_later():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    with noted_signals() as noted:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        assert len(noted) == 2
        noted[0] -= SAME_SECONDS
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_runs_killed_at_random_moments_end_as_one_that_nobody_killed():
    soak = [sys.executable, ROOT / "tests" / "soak_kill.py", "--kills", "3"]
    done = subprocess.run(soak, capture_output=True, text=True, check=False, timeout=1100)
    assert done.returncode == 0, done.stderr
    assert "each with the weights and scores" in done.stdout


def test_a_second_program_on_the_same_output_is_refused_at_once_and_changes_nothing(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys
):
    output = tmp_path / "model"
    output.mkdir()
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        try:
            lock = claim(output)
            os.write(told, b"held")
            time.sleep(60)
            lock.close()
        finally:
            os._exit(0)
    os.close(told)
    assert os.read(ready, 4) == b"held"
    began = time.monotonic()
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, output), "--overwrite") == 1
    assert time.monotonic() - began < 50  # not after the child has let go
    assert "Another run writes to" in capsys.readouterr().err
    assert [path.name for path in output.iterdir()] == ["run.lock"]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    claim(output).close()


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(
    tmp_path, tiny_mask_model, monkeypatch, capsys
):
    (tmp_path / "file").write_text("")
    assert run(monkeypatch, *options("no/such/data", tiny_mask_model, tmp_path / "file/model")) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_what_is_wrong_with_the_output_is_said_before_torch_is_there(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    words = (
        "import sys, train_segformer; code = train_segformer.main(); sys.exit(9 if 'torch' in sys.modules else code)"
    )
    command = [sys.executable, "-c", words, *options("no/such/data", "scratch-b0", tmp_path)]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert "holds precious.txt, which no run wrote" in done.stderr


def test_a_new_model_does_not_keep_the_card_of_the_old_one(tmp_path, tiny_mask_model, tiny_data, monkeypatch):
    arguments = options(tiny_data, tiny_mask_model, tmp_path / "model", steps=2, validate_every=1)
    assert run(monkeypatch, *arguments) == 0
    assert (tmp_path / "model/README.md").exists()

    def fail(*given):
        raise RunError("That was it.")

    monkeypatch.setattr(training_run, "finish", fail)
    assert run(monkeypatch, *arguments, "--overwrite") == 1
    assert (tmp_path / "model/model.safetensors").exists()
    assert not (tmp_path / "model/README.md").exists()


@pytest.fixture
def precision(monkeypatch):
    """Sets the precision for the runs that follow, as accelerate launch would; later tests have their own again."""

    def set_to(name):
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", name)
        AcceleratorState._reset_state()

    yield set_to
    AcceleratorState._reset_state()


def test_a_run_in_bfloat16_says_so_and_goes_on_in_bfloat16_alone(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys, precision
):
    arguments = options(tiny_data, tiny_mask_model, tmp_path / "model", steps=2)
    precision("bf16")
    assert stopped_at_once(signal.SIGTERM, monkeypatch, *arguments) == 1
    precision("no")
    capsys.readouterr()
    assert run(monkeypatch, *arguments, "--resume") == 1
    assert "had the mixed precision bf16, not no; resume it with the same." in capsys.readouterr().err
    precision("bf16")
    assert run(monkeypatch, *arguments, "--resume") == 0
    assert "on cpu (one process, bfloat16)" in (tmp_path / "model/README.md").read_text()


def test_a_setting_that_the_run_did_not_have_is_to_be_left_out(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys
):
    arguments = options(tiny_data, tiny_mask_model, tmp_path / "model", steps=2)
    assert stopped_at_once(signal.SIGTERM, monkeypatch, *arguments) == 1
    assert run(monkeypatch, *arguments, "--resume", "--mask-column", "mask") == 1
    assert "had no --mask-column; resume it with the same." in capsys.readouterr().err
