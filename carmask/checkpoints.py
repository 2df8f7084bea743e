"""Training checkpoints that are whole or absent: tensors as safetensors, the rest as JSON, renamed into place."""

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

FOLDER = "checkpoint"


def save_checkpoint(
    output: Path, step: int, network: nn.Module, average: dict[str, Tensor], optimizer: Optimizer
) -> None:
    """Writes the state after `step` steps to `output`/checkpoint; the last one goes only when this one is whole."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    temporary, final, old = (output / f"{FOLDER}{ending}" for ending in ("-new", "", "-old"))
    for stale in (temporary, old):
        shutil.rmtree(stale, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file({name: value.detach().cpu().clone() for name, value in tensors.items()}, temporary / "state.safetensors")
    (temporary / "state.json").write_text(json.dumps({"step": step}), encoding="utf-8")
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


def load_checkpoint(folder: Path, network: nn.Module, average: dict[str, Tensor], optimizer: Optimizer) -> int:
    """Restores what `save_checkpoint` wrote, in place, and returns the number of steps done."""
    tensors = load_file(folder / "state.safetensors")

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    network.load_state_dict(part("network."))
    for name, value in part("average.").items():
        average[name].copy_(value)
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in part("optimizer.").items():
        index, field = name.split(".")
        states.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
    return json.loads((folder / "state.json").read_text(encoding="utf-8"))["step"]
