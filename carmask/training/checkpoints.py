"""Checkpoints of a training run, written atomically: tensors as safetensors, the rest as JSON."""

import hashlib
import json
import shutil
import time
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from carmask.errors import CheckpointError
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
    state = {
        "step": run.step,
        "losses": run.losses,
        "history": run.history,
        "validation_due": run.validation_due,
        "sha256": digest(plain),
    }
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
        found.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
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
    raise CheckpointError(f"There is no whole checkpoint in {output}{damaged}; start again with --overwrite.")


def restore(run: Run, state: dict, tensors: dict[str, Tensor]) -> None:
    """Sets `run` to what a checkpoint holds."""

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    run.network.load_state_dict(part("network."))
    run.ema.load_state_dict(part("ema."))
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in part("optimizer.").items():
        index, key = name.split(".")
        states.setdefault(int(index), {})[key] = value
    run.optimizer.load_state_dict({"state": states, "param_groups": run.optimizer.state_dict()["param_groups"]})
    run.step, run.losses, run.history = state["step"], state.get("losses", []), state["history"]
    run.validation_due = state.get("validation_due", False)
