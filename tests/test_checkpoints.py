import pytest
import torch
from conftest import tiny_network
from torch.optim import AdamW

from carmask.checkpoints import find_checkpoint, load_checkpoint, save_checkpoint


def trained(seed):
    network = tiny_network(seed=seed)
    optimizer = AdamW(network.parameters(), lr=1e-3)
    network(torch.rand(1, 3, 32, 32)).logits.sum().backward()
    optimizer.step()
    return network, optimizer


def test_a_loaded_checkpoint_goes_on_exactly_where_it_stopped(tmp_path):
    network, optimizer = trained(seed=1)
    average = {name: value + 1 for name, value in network.state_dict().items()}
    save_checkpoint(tmp_path, 17, network, average, optimizer)
    other, other_optimizer = trained(seed=2)
    other_average = {name: torch.zeros_like(value) for name, value in other.state_dict().items()}
    assert load_checkpoint(find_checkpoint(tmp_path), other, other_average, other_optimizer) == 17
    assert all(torch.equal(average[name], other_average[name]) for name in average)
    for each, each_optimizer in ((network, optimizer), (other, other_optimizer)):
        each.zero_grad()
        torch.manual_seed(0)
        each(torch.ones(1, 3, 32, 32)).logits.sum().backward()
        each_optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("killed_after", ["writing", "moving the old one"])
def test_a_run_killed_while_it_saves_leaves_a_whole_checkpoint(tmp_path, killed_after):
    network, optimizer = trained(seed=1)
    save_checkpoint(tmp_path, 1, network, network.state_dict(), optimizer)
    (tmp_path / "checkpoint").rename(tmp_path / "kept")
    save_checkpoint(tmp_path, 2, network, network.state_dict(), optimizer)
    (tmp_path / "checkpoint").rename(tmp_path / "checkpoint-new")
    (tmp_path / "kept").rename(tmp_path / ("checkpoint" if killed_after == "writing" else "checkpoint-old"))
    average = {name: value.clone() for name, value in network.state_dict().items()}
    step = load_checkpoint(find_checkpoint(tmp_path), network, average, optimizer)
    assert step == (1 if killed_after == "writing" else 2)
    save_checkpoint(tmp_path, 3, network, average, optimizer)
    assert load_checkpoint(find_checkpoint(tmp_path), network, average, optimizer) == 3


def test_a_half_written_checkpoint_is_not_found(tmp_path):
    (tmp_path / "checkpoint-new").mkdir()
    (tmp_path / "checkpoint-new/state.safetensors").write_bytes(b"half")
    assert find_checkpoint(tmp_path) is None
