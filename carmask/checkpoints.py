"""What a training run changes, and its checkpoints, which are whole or absent: safetensors, and JSON for the rest."""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

FOLDER = "checkpoint"


@dataclass
class Run:
    """The network, the running average of its weights, the optimizer, the steps done, and one line per validation."""

    network: nn.Module
    averaged: nn.Module
    optimizer: Optimizer
    step: int = 0
    history: list[dict] = field(default_factory=list)

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Moves the running average towards the network's weights and batch statistics."""
        for mean, value in zip(self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)


def save_checkpoint(output: Path, run: Run) -> None:
    """Writes the run's state to `output`/checkpoint; the last one goes only when this one is whole."""
    tensors = {f"network.{name}": value for name, value in run.network.state_dict().items()}
    tensors |= {f"averaged.{name}": value for name, value in run.averaged.state_dict().items()}
    for index, state in run.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    temporary, final, old = (output / f"{FOLDER}{ending}" for ending in ("-new", "", "-old"))
    for stale in (temporary, old):
        shutil.rmtree(stale, ignore_errors=True)
    temporary.mkdir(parents=True)
    plain = {name: value.cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    save_file(plain, temporary / "state.safetensors")
    state = {"step": run.step, "history": run.history}
    (temporary / "state.json").write_text(json.dumps(state), encoding="utf-8")
    for path in [*temporary.iterdir(), temporary]:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    if final.exists():
        final.rename(old)
    temporary.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def find_checkpoint(output: Path) -> Path | None:
    """The whole checkpoint in `output`, also if a run was killed between two renames; None if there is none."""
    for ending in ("", "-new", "-old"):
        folder = output / f"{FOLDER}{ending}"
        if (folder / "state.json").is_file():
            return folder
    return None


def load_checkpoint(folder: Path, run: Run) -> None:
    """Restores in `run` what `save_checkpoint` wrote."""
    tensors = load_file(folder / "state.safetensors")

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    run.network.load_state_dict(part("network."))
    run.averaged.load_state_dict(part("averaged."))
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in part("optimizer.").items():
        index, key = name.split(".")
        states.setdefault(int(index), {})[key] = value
    run.optimizer.load_state_dict({"state": states, "param_groups": run.optimizer.state_dict()["param_groups"]})
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    run.step, run.history = state["step"], state["history"]
