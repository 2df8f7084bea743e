import json
import os
import sys
import time
from pathlib import Path

import pytest
from conftest import save_balanced, tiny_network
from transformers import HfArgumentParser

import train_segformer
from benchmarks import compare_networks
from benchmarks.compare_networks import CompareError, command_for, make_plan, steps_of, train_row
from benchmarks.networks_table import PLAN, ROWS, table
from carmask.networks.initial_weights import read_settings

BAR = """
import sys, time
for step in range(1, 6):
    for loss in ("0.5", "0.4"):
        sys.stderr.write(f"\\rTraining:  10%|#   | {step}/5 [00:01<00:09,  1.1it/s, loss={loss}]")
        sys.stderr.flush()
    time.sleep(0.02)
sys.stderr.write("\\n")
"""


def program(tmp_path, text):
    path = tmp_path / "program.py"
    path.write_text(text)
    return [sys.executable, str(path)]


def test_every_step_of_a_training_is_seen_once_and_in_order(tmp_path):
    seen = list(steps_of(program(tmp_path, BAR)))
    assert [step for step, _ in seen] == [1, 2, 3, 4, 5]
    assert all(before <= after for (_, before), (_, after) in zip(seen, seen[1:], strict=False))


def test_a_training_that_is_not_listened_to_any_more_ends(tmp_path):
    text = f"import os; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n{BAR}\ntime.sleep(600)"
    steps = steps_of(program(tmp_path, text))
    next(steps)
    start = time.monotonic()
    steps.close()
    assert time.monotonic() - start < 60
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_failed_training_hands_its_sentence_on(tmp_path):
    words = "import sys; print('train_segformer: There is no folder x.', file=sys.stderr); sys.exit(1)"
    with pytest.raises(CompareError, match="There is no folder x"):
        list(steps_of(program(tmp_path, words)))


@pytest.mark.parametrize("row", ROWS)
def test_the_training_program_understands_every_row(row, tmp_path):
    start = tmp_path / "my start"
    tiny_network().save_pretrained(start)
    command = command_for(row, "data", tmp_path / row, 7, str(start))
    arguments = command[command.index(str(compare_networks.ROOT / "train_segformer.py")) + 1 :]
    config, unknown = HfArgumentParser(train_segformer.TrainConfig).parse_args_into_dataclasses(
        arguments, return_remaining_strings=True
    )
    assert not unknown
    train_segformer.check(config)
    assert (config.steps, config.validate_every, config.crop, config.batch_size) == (7, 7, 192, 16)
    assert read_settings(config.network, config.settings).keys() == {word.split("=")[0] for word in config.settings}
    assert config.model == str(start) or "{own_start}" not in ROWS[row][1]


def test_steps_follow_from_the_minutes_and_are_timed_once(tmp_path, tiny_data, monkeypatch):
    timed = []
    monkeypatch.setattr(compare_networks, "seconds_per_step", lambda row, *_: timed.append(row) or 2.0)
    plan = make_plan(tmp_path, str(tiny_data), "start", 3, 5, list(ROWS))
    assert {row: facts["steps"] for row, facts in plan.items()} == dict.fromkeys(ROWS, 90)
    assert make_plan(tmp_path, str(tiny_data), "start", 3, 5, list(ROWS)) == plan
    assert timed == list(ROWS)
    with pytest.raises(CompareError, match="another comparison"):
        make_plan(tmp_path, str(tiny_data), "start", 4, 5, list(ROWS))
    assert (tmp_path / PLAN).is_file()


def test_a_finished_row_is_not_trained_again_and_gets_its_line(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(
        compare_networks, "command_for", lambda *given: commands.append(given) or program(tmp_path, BAR)
    )
    for _ in range(2):
        train_row("unet", tmp_path, "data", "start", 5)
    assert len(commands) == 1
    folder = Path(save_balanced(tiny_network("unet"), tmp_path / "unet"))
    (folder / "run.json").write_text(json.dumps({"batch_size": 8}))
    plan = {"unet": {"steps": 5, "seconds_per_step": 2.0}}
    (tmp_path / PLAN).write_text(json.dumps({"plan": plan}))
    scores = {"boxes": {"iou": 0.5, "boundary_iou": 0.25}}
    (folder / "scores.json").write_text(json.dumps({"scores": {"test": scores}}))
    head, _, line = table(["unet"], tmp_path, ["boxes"]).splitlines()
    assert head.count("|") == line.count("|")
    assert "| 4.0 |" in line  # pictures a second, of all processes together
    assert "| 0.500 | 0.250 |" in line
