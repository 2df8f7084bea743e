"""Checkpoints of a training run, written atomically: tensors as safetensors, the rest as JSON."""

import hashlib
import json
import shutil
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from carmask.errors import RunError, refused_as
from carmask.files.disk import sync
from carmask.inference.model_folder import CHECKPOINT, UNFINISHED_CHECKPOINT, all_checkpoints
from carmask.training.state import Run


def save_checkpoint(output: Path, run: Run) -> None:
    """Writes the run's state to `output`/checkpoint-STEP; earlier ones are removed once it has been read back.

    A whole one of this step is left as it is.

    Raises:
        OSError, SafetensorError: it cannot be written; the earlier ones are unchanged.
    """
    run.saved = time.monotonic()
    final, unfinished = output / f"{CHECKPOINT}-{run.step}", output / UNFINISHED_CHECKPOINT
    if final.is_dir() and is_whole(final):
        return
    tensors = {f"network.{name}": value for name, value in run.network.state_dict().items()}
    tensors |= {f"ema.{name}": value for name, value in run.ema.state_dict().items()}
    for index, state in run.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    plain = {name: value.cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    state = {"step": run.step, "losses": run.losses, "history": run.history, "validation_due": run.validation_due}
    state["sha256"] = digest(plain, state)
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


def digest(tensors: dict[str, Tensor], state: dict) -> str:
    """The SHA-256 of named tensors on the CPU and of the state, as JSON, beside them, in hexadecimal."""
    found = hashlib.sha256(json.dumps(state, sort_keys=True).encode())
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def read_checkpoint(folder: Path) -> tuple[dict, dict[str, Tensor]]:
    """The state and the tensors of a checkpoint.

    Raises:
        RunError: it is damaged.
    """
    damaged = f"{folder} is damaged."
    with refused_as(RunError, damaged, MemoryError):
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "state.safetensors")
        if state.pop("sha256") != digest(tensors, state):
            raise RunError(damaged)
    return state, tensors


def is_whole(folder: Path) -> bool:
    """Whether a checkpoint can be read."""
    try:
        read_checkpoint(folder)
    except RunError:
        return False
    return True


def load_newest(output: Path, run: Run) -> list[str]:
    """Restores in `run` the newest whole checkpoint in `output`.

    Returns:
        The names of the newer ones that were skipped since they are damaged or not finished.

    Raises:
        RunError: there is none.
    """
    skipped = [UNFINISHED_CHECKPOINT] if (output / UNFINISHED_CHECKPOINT).exists() else []
    for folder in all_checkpoints(output):
        try:
            state, tensors = read_checkpoint(folder)
        except RunError:
            skipped.append(folder.name)
            continue
        restore(run, state, tensors)
        return skipped
    damaged = f"; {', '.join(skipped)} is damaged" if skipped else ""
    raise RunError(f"There is no whole checkpoint in {output}{damaged}; start again with --overwrite.")


def shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    """The shape of each of named tensors."""
    return {name: value.shape for name, value in tensors.items()}


def restore(run: Run, state: dict, tensors: dict[str, Tensor]) -> None:
    """Sets `run` to what a checkpoint holds; RunError if it is one of another network."""

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    states: dict[int, dict[str, Tensor]] = {}
    for name, value in part("optimizer.").items():
        index, key = name.split(".")
        states.setdefault(int(index), {})[key] = value
    learnt = dict(enumerate(parameter for group in run.optimizer.param_groups for parameter in group["params"]))
    fits = shapes(part("network.")) == shapes(run.network.state_dict()) and all(
        index in learnt and value.shape in ((), learnt[index].shape)
        for index, values in states.items()
        for value in values.values()
    )
    if not fits or shapes(part("ema.")) != shapes(run.ema.state_dict()):
        raise RunError("The checkpoint is one of another network; start again with --overwrite.")
    run.network.load_state_dict(part("network."))
    run.ema.load_state_dict(part("ema."))
    run.optimizer.load_state_dict({"state": states, "param_groups": run.optimizer.state_dict()["param_groups"]})
    run.step, run.losses, run.history = state["step"], state["losses"], state["history"]
    run.validation_due = state["validation_due"]
