import copy
import json
import os
import resource
import shutil

import pytest
import torch
from conftest import tiny_network
from safetensors import SafetensorError
from torch.optim import AdamW

from carmask.errors import RunError
from carmask.training import checkpoints
from carmask.training.checkpoints import load_newest, save_checkpoint
from carmask.training.state import Run


def learn(run):
    run.network(torch.ones(1, 3, 32, 32)).logits.sum().backward()
    run.optimizer.step()
    run.optimizer.zero_grad()
    run.update_ema(0.5)
    run.step += 1


def started(seed):
    network = tiny_network(seed=seed)
    run = Run(network, copy.deepcopy(network), AdamW(network.parameters(), lr=1e-3))
    learn(run)
    return run


def weights(run):
    return [*run.network.state_dict().values(), *run.ema.state_dict().values()]


def test_a_loaded_run_goes_on_exactly_as_the_saved_one(tmp_path):
    run, other = started(seed=1), started(seed=2)
    run.losses.append(1 / 3)
    run.history.append({"step": 1, "loss": 0.5})
    save_checkpoint(tmp_path, run)
    assert load_newest(tmp_path, other) == []
    assert (other.step, other.losses, other.history) == (run.step, run.losses, run.history)
    learn(run)
    learn(other)
    assert all(torch.equal(one, two) for one, two in zip(weights(run), weights(other), strict=True))


def test_the_average_lies_between_the_old_and_the_new_weights():
    run = started(seed=1)
    before = run.ema.decode_head.classifier.weight.clone()
    run.network.decode_head.classifier.weight.data.add_(1.0)
    new = run.network.decode_head.classifier.weight
    run.update_ema(0.25)
    assert torch.allclose(run.ema.decode_head.classifier.weight, 0.25 * before + 0.75 * new)


@pytest.mark.parametrize("moment", ["save_file", "sync", "read_checkpoint", "all_checkpoints"])
def test_a_run_killed_while_it_saves_leaves_a_whole_checkpoint(tmp_path, monkeypatch, moment):
    run = started(seed=1)
    save_checkpoint(tmp_path, run)
    learn(run)
    child = os.fork()
    if not child:
        try:
            monkeypatch.setattr(checkpoints, moment, lambda *given: os._exit(9))  # as kill -9: nothing is tidied up
            save_checkpoint(tmp_path, run)
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] != 0
    other = started(seed=2)
    skipped = load_newest(tmp_path, other)
    assert other.step == (2 if moment == "all_checkpoints" else 1)
    assert skipped == ([] if moment == "all_checkpoints" else ["checkpoint-new"])
    run.step = 3
    save_checkpoint(tmp_path, run)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-3"]


def cut(folder):
    path = folder / "state.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(folder):
    path = folder / "state.safetensors"
    values = bytearray(path.read_bytes())
    values[-50] ^= 1
    path.write_bytes(values)


def unmark(folder):
    (folder / "state.json").unlink()


def change_the_step(folder):
    path = folder / "state.json"
    path.write_text(path.read_text().replace('"step": 2', '"step": 1'))


def lose_the_sum(folder):
    path = folder / "state.json"
    path.write_text(json.dumps({"step": 2, "history": []}))


def nest(folder):
    (folder / "state.json").write_text("[" * 100_000)


@pytest.mark.parametrize("damage", [cut, flip_a_bit, unmark, change_the_step, lose_the_sum, nest])
def test_a_damaged_checkpoint_is_skipped_and_named(tmp_path, damage):
    run, other = started(seed=1), started(seed=2)
    save_checkpoint(tmp_path, run)
    (tmp_path / "checkpoint-1").rename(tmp_path / "kept")
    learn(run)
    save_checkpoint(tmp_path, run)
    (tmp_path / "kept").rename(tmp_path / "checkpoint-1")
    damage(tmp_path / "checkpoint-2")
    assert load_newest(tmp_path, other) == ["checkpoint-2"]
    assert other.step == 1
    shutil.rmtree(tmp_path / "checkpoint-1")
    with pytest.raises(RunError, match="checkpoint-2 is damaged"):
        load_newest(tmp_path, other)


def test_a_full_disk_leaves_the_last_checkpoint_and_nothing_half_written(tmp_path):
    run = started(seed=1)
    save_checkpoint(tmp_path, run)
    learn(run)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises((OSError, SafetensorError)):
            save_checkpoint(tmp_path, run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]
    assert load_newest(tmp_path, started(seed=2)) == []


def test_a_half_written_checkpoint_is_none(tmp_path):
    save_checkpoint(tmp_path, started(seed=1))
    (tmp_path / "checkpoint-1").rename(tmp_path / "checkpoint-new")
    with pytest.raises(RunError):
        load_newest(tmp_path, started(seed=2))


@pytest.mark.parametrize("part", ["network", "ema", "optimizer"])
def test_a_whole_checkpoint_of_another_network_is_refused(tmp_path, part):
    run, other = started(seed=1), started(seed=2)
    save_checkpoint(tmp_path, run)
    state, tensors = checkpoints.read_checkpoint(tmp_path / "checkpoint-1")
    name = next(name for name, value in tensors.items() if name.startswith(part) and value.ndim > 1)
    tensors[name] = tensors[name][:1, :1].clone()
    before = [value.clone() for value in weights(other)]
    with pytest.raises(RunError, match="another network"):
        checkpoints.restore(other, state, tensors)
    assert all(torch.equal(one, two) for one, two in zip(before, weights(other), strict=True))
