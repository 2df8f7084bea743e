"""What a training run changes, and its checkpoints, which are whole or absent: safetensors, and JSON for the rest."""

import hashlib
import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from carmask.files.disk import sync
from carmask.training.output_folder import CHECKPOINT, UNFINISHED_CHECKPOINT, all_checkpoints


class CheckpointError(ValueError):
    """Says in one sentence that a folder has no checkpoint to go on from."""


@dataclass
class Run:
    """The network, the running average of its weights, the optimizer, and how far they are.

    `losses` are those since the last validation, `history` has a line for each validation; `timed` is the step and the
    moment of the last one, or of the start, `saved` the moment of the last checkpoint, and
    a validation of this step may be `owed`.
    """

    network: nn.Module
    averaged: nn.Module
    optimizer: Optimizer
    step: int = 0
    losses: list[float] = field(default_factory=list)
    history: list[dict] = field(default_factory=list)
    timed: tuple[int, float] = (0, 0.0)
    owed: bool = False
    saved: float = field(default_factory=time.monotonic)

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Moves the running average towards the network's weights and batch statistics."""
        for mean, value in zip(self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)


def save_checkpoint(output: Path, run: Run) -> None:
    """Writes the run's state to `output`/checkpoint-STEP; earlier ones go only when this one was read back whole.

    One of this step that is whole stays as it is.

    Raises:
        OSError, SafetensorError: it cannot be written; the earlier ones are as they were.
    """
    run.saved = time.monotonic()
    final, unfinished = output / f"{CHECKPOINT}-{run.step}", output / UNFINISHED_CHECKPOINT
    if final.is_dir() and is_whole(final):
        return
    tensors = {f"network.{name}": value for name, value in run.network.state_dict().items()}
    tensors |= {f"averaged.{name}": value for name, value in run.averaged.state_dict().items()}
    for index, state in run.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    plain = {name: value.cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    state = {"step": run.step, "losses": run.losses, "history": run.history, "owed": run.owed, "sha256": digest(plain)}
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        save_file(plain, unfinished / "state.safetensors")
        (unfinished / "state.json").write_text(json.dumps(state), encoding="utf-8")
        sync(*unfinished.iterdir(), unfinished)
        read_checkpoint(unfinished)
        shutil.rmtree(final, ignore_errors=True)  # a damaged one of the same step
        unfinished.rename(final)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    sync(output)
    for old in all_checkpoints(output):
        if old != final:
            shutil.rmtree(old)


def digest(tensors: dict[str, Tensor]) -> str:
    """The SHA-256 of named tensors on the CPU, in hexadecimal."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def read_checkpoint(folder: Path) -> tuple[dict, dict[str, Tensor]]:
    """The state and the tensors of a checkpoint.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "state.safetensors")
        whole = digest(tensors) == state.get("sha256", digest(tensors))
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder} is damaged.") from error
    if not whole:
        raise CheckpointError(f"{folder} is damaged.")
    return state, tensors


def is_whole(folder: Path) -> bool:
    """Whether a checkpoint can be read."""
    try:
        read_checkpoint(folder)
    except CheckpointError:
        return False
    return True


def load_newest(output: Path, run: Run) -> list[str]:
    """Restores in `run` the newest whole checkpoint in `output`.

    Returns:
        The names of the newer ones that were skipped since they are damaged or not finished.

    Raises:
        CheckpointError: there is none.
    """
    skipped = [UNFINISHED_CHECKPOINT] if (output / UNFINISHED_CHECKPOINT).exists() else []
    for folder in all_checkpoints(output):
        try:
            state, tensors = read_checkpoint(folder)
        except CheckpointError:
            skipped.append(folder.name)
            continue
        restore(run, state, tensors)
        return skipped
    damaged = f"; {', '.join(skipped)} is damaged" if skipped else ""
    raise CheckpointError(f"There is no whole checkpoint in {output}{damaged}; start anew with --overwrite.")


def restore(run: Run, state: dict, tensors: dict[str, Tensor]) -> None:
    """Sets `run` to what a checkpoint holds."""

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    run.network.load_state_dict(part("network."))
    run.averaged.load_state_dict(part("averaged."))
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in part("optimizer.").items():
        index, key = name.split(".")
        states.setdefault(int(index), {})[key] = value
    run.optimizer.load_state_dict({"state": states, "param_groups": run.optimizer.state_dict()["param_groups"]})
    run.step, run.losses, run.history = state["step"], state.get("losses", []), state["history"]
    run.owed = state.get("owed", False)
