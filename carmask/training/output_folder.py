"""The folder that a training run writes: when it may be used, and how a model gets into it whole."""

import copy
import fcntl
import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from carmask.files.disk import sync

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.image_processing_utils import BaseImageProcessor


CHECKPOINT, UNFINISHED_CHECKPOINT = "checkpoint", "checkpoint-new"

SETTINGS, NEW_SETTINGS, LOCK, LOGS = "run.json", "run.json-new", "run.lock", "tensorboard"

MODEL_FILES = {"config.json", "model.safetensors", "preprocessor_config.json"}

REPORT_FILES = {"README.md", "scores.json", "curves.png", "worst.png"}

UNFINISHED = "model-new"

OUR_FILES = MODEL_FILES | REPORT_FILES | {SETTINGS, NEW_SETTINGS, LOCK, LOGS, UNFINISHED}

MAY_CHANGE = {
    "output", "steps", "validate_every", "workers", "learning_rate", "resume", "overwrite", "report_to", "plan",
    "push_to_hub",
}  # fmt: skip


class RunError(ValueError):
    """Says in one sentence why a run cannot start or go on; `alone` if maybe one of several processes alone knows."""

    def __init__(self, sentence: str, alone: bool = False):
        """Keeps both."""
        super().__init__(sentence)
        self.alone = alone


def check_output(output: Path, settings: dict, defaults: dict) -> None:
    """Finds out, before anything is read or written, whether a run with these settings may use the folder.

    `defaults` are what runs had that know fewer settings.

    Raises:
        RunError: it cannot be written, another run uses it, it holds something and may not be replaced, or not be
            resumed with these settings.
    """
    if output.is_file():
        raise RunError(f"The output {output} is a file; choose another output.")
    place = existing_part(output)
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise RunError(f"The output {output} cannot be written, since {place} cannot; choose another output.")
    if (output / LOCK).exists():
        claim(output, fcntl.LOCK_SH).close()
    if settings["resume"]:
        check_resumable(output, settings, defaults)
    elif output.is_dir():
        names = {path.name for path in output.iterdir()}
        foreign = sorted(name for name in names - OUR_FILES if not is_checkpoint(name))
        if foreign:
            raise RunError(f"The output {output} holds {foreign[0]}, which no run wrote; choose another output.")
        if names - {SETTINGS, NEW_SETTINGS, LOCK} and not settings["overwrite"]:
            remedy = "add --resume to go on or" if all_checkpoints(output) else "replace it with"
            raise RunError(f"The output {output} exists; choose another, or {remedy} --overwrite.")


def existing_part(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(part for part in (path.absolute(), *path.absolute().parents) if part.exists())


def claim(output: Path, kind: int = fcntl.LOCK_EX) -> TextIO:
    """Keeps other runs out of the folder until the file that it returns is closed, if only by the end of the program.

    Processes that this one starts do not inherit the lock, so a run whose parent was killed keeps nobody out.

    Raises:
        RunError: another run is in it.
    """
    handle = (output / LOCK).open("a+")
    try:
        fcntl.lockf(handle, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        handle.close()
        raise RunError(f"Another run writes to {output}; wait for its end, or choose another output.") from error
    return handle


def check_resumable(output: Path, settings: dict, defaults: dict) -> None:
    """Demands a checkpoint of a run with the same settings, but for those that change nothing done so far.

    Raises:
        RunError: there is none, it is damaged, or a setting differs.
    """
    if not all_checkpoints(output) or not (output / SETTINGS).is_file():
        raise RunError(f"There is no checkpoint in {output} to resume from; start without --resume.")
    try:
        before = defaults | json.loads((output / SETTINGS).read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"The {SETTINGS} in {output} is damaged; start anew with --overwrite.") from error
    for name in sorted(settings.keys() - MAY_CHANGE):
        if settings[name] != before.get(name):
            raise RunError(f"The run in {output} had --{name} {before.get(name)}; resume it with the same.")


def check_same_run(output: Path, settings: dict) -> None:
    """Demands that data set, number of processes and precision are still what they were when the run began.

    Raises:
        RunError: a picture or its truth has changed, there are more or fewer processes, or the precision is another.
    """
    before = settings | json.loads((output / SETTINGS).read_text(encoding="utf-8"))
    if before["fingerprint"] != settings["fingerprint"]:
        changed = "The data set, an unlabelled picture or the teacher has changed"
        raise RunError(f"{changed} since the run in {output} began; start anew with --overwrite.")
    if before["processes"] != settings["processes"]:
        had, given = (f"{count} process{'es' * (count > 1)}" for count in (before["processes"], settings["processes"]))
        raise RunError(f"The run in {output} had {had}, not {given}; resume it with as many.")
    had, given = before["precision"], settings["precision"]
    if had != given:
        raise RunError(f"The run in {output} had the mixed precision {had}, not {given}; resume it with the same.")


def is_checkpoint(name: str) -> bool:
    """Whether a file's name is one that checkpoints have, finished or not."""
    return re.fullmatch(rf"{CHECKPOINT}(-new|-old|-\d+)?", name) is not None


def all_checkpoints(output: Path) -> list[Path]:
    """The folders in `output` with a finished checkpoint's name, newest first; `checkpoint` alone is an old name."""
    folders = [path for path in output.glob(f"{CHECKPOINT}*") if re.fullmatch(rf"{CHECKPOINT}(-\d+)?", path.name)]
    return sorted(folders, key=lambda path: int(path.name.partition("-")[2] or 0), reverse=True)


def remove_checkpoints(output: Path) -> None:
    """Removes every checkpoint; one that is half removed no longer has a finished one's name."""
    shutil.rmtree(output / UNFINISHED_CHECKPOINT, ignore_errors=True)
    for folder in all_checkpoints(output):
        shutil.rmtree(folder.rename(output / UNFINISHED_CHECKPOINT))


def way_on(output: str) -> str:
    """How a run that ended too early goes on, if it does, as one more sentence."""
    checkpoints = all_checkpoints(Path(output))
    return f" The same command with --resume goes on from {checkpoints[0].name}." if checkpoints else ""


def open_output(output: Path, settings: dict) -> TextIO:
    """Makes the folder, and keeps other runs out; what is in it stays.

    Returns:
        The open file that keeps other runs out.

    Raises:
        RunError: it cannot be written, another run is in it, or the run in it was not the same.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock = claim(output)
    except OSError as error:
        raise RunError(f"The output {output} cannot be written: {error.strerror}.") from error
    if settings["resume"]:
        check_same_run(output, settings)
    return lock


def begin_output(output: Path, settings: dict) -> None:
    """Notes the settings; the checkpoints of a run that this one replaces go.

    An old model stays until the first new one takes its place.

    Raises:
        RunError: it cannot be written.
    """
    try:
        if not settings["resume"]:
            remove_checkpoints(output)
        (output / NEW_SETTINGS).write_text(json.dumps(settings, indent=1), encoding="utf-8")
        (output / NEW_SETTINGS).replace(output / SETTINGS)
    except OSError as error:
        raise RunError(f"The output {output} cannot be written: {error.strerror}.") from error


def save_model(output: Path, network: "PreTrainedModel", processor: "BaseImageProcessor", half: bool) -> None:
    """Writes network and processor into the folder, each file replaced as a whole; `half` stores float16 weights.

    What was reported about the model before goes, since it is not true of this one.
    """
    unfinished = output / UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        (copy.deepcopy(network).half() if half else network).save_pretrained(unfinished)
        settings = json.loads((unfinished / "config.json").read_text(encoding="utf-8"))
        settings["dtype"] = "float32"  # what a plain from_pretrained opens it in, whatever is stored
        (unfinished / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        processor.save_pretrained(unfinished)
        sync(*unfinished.iterdir())
        for name in REPORT_FILES:
            (output / name).unlink(missing_ok=True)
        for path in unfinished.iterdir():
            path.replace(output / path.name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
