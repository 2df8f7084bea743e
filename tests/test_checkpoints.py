import copy

import pytest
import torch
from conftest import tiny_network
from torch.optim import AdamW

from carmask.checkpoints import Run, find_checkpoint, load_checkpoint, save_checkpoint


def learn(run):
    run.network(torch.ones(1, 3, 32, 32)).logits.sum().backward()
    run.optimizer.step()
    run.optimizer.zero_grad()
    run.update_average(0.5)
    run.step += 1


def started(seed):
    network = tiny_network(seed=seed)
    run = Run(network, copy.deepcopy(network), AdamW(network.parameters(), lr=1e-3))
    learn(run)
    return run


def weights(run):
    return [*run.network.state_dict().values(), *run.averaged.state_dict().values()]


def test_a_loaded_run_goes_on_exactly_as_the_saved_one(tmp_path):
    run, other = started(seed=1), started(seed=2)
    run.history.append({"step": 1, "loss": 0.5})
    save_checkpoint(tmp_path, run)
    load_checkpoint(find_checkpoint(tmp_path), other)
    assert (other.step, other.history) == (run.step, run.history)
    learn(run)
    learn(other)
    assert all(torch.equal(one, two) for one, two in zip(weights(run), weights(other), strict=True))


def test_the_average_lies_between_the_old_and_the_new_weights():
    run = started(seed=1)
    before = run.averaged.decode_head.classifier.weight.clone()
    run.network.decode_head.classifier.weight.data.add_(1.0)
    new = run.network.decode_head.classifier.weight
    run.update_average(0.25)
    assert torch.allclose(run.averaged.decode_head.classifier.weight, 0.25 * before + 0.75 * new)


@pytest.mark.parametrize("killed_after", ["writing", "moving the old one"])
def test_a_run_killed_while_it_saves_leaves_a_whole_checkpoint(tmp_path, killed_after):
    run = started(seed=1)
    save_checkpoint(tmp_path, run)
    (tmp_path / "checkpoint").rename(tmp_path / "kept")
    learn(run)
    save_checkpoint(tmp_path, run)
    (tmp_path / "checkpoint").rename(tmp_path / "checkpoint-new")
    (tmp_path / "kept").rename(tmp_path / ("checkpoint" if killed_after == "writing" else "checkpoint-old"))
    load_checkpoint(find_checkpoint(tmp_path), run)
    assert run.step == (1 if killed_after == "writing" else 2)
    run.step = 3
    save_checkpoint(tmp_path, run)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint"]


def test_a_half_written_checkpoint_is_not_found(tmp_path):
    (tmp_path / "checkpoint-new").mkdir()
    (tmp_path / "checkpoint-new/state.safetensors").write_bytes(b"half")
    assert find_checkpoint(tmp_path) is None
