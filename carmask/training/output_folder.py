"""The folder that a training run writes: when it may be used, and what a run does to it at its beginning and end."""

import json
import os
import shutil
from pathlib import Path
from typing import TextIO

from carmask.errors import RunError, refused_as
from carmask.files.system import lock
from carmask.inference.model_folder import (
    LOCK,
    NEW_SETTINGS,
    OUR_FILES,
    SETTINGS,
    UNFINISHED_CHECKPOINT,
    all_checkpoints,
    is_checkpoint,
)

MAY_CHANGE = {
    "output", "steps", "epochs", "validate_every", "patience", "workers", "processes", "learning_rate", "resume",
    "overwrite", "report_to", "plan", "push_to_hub",
}  # fmt: skip


def check_output(output: Path, settings: dict, defaults: dict) -> None:
    """Finds out, before anything is read or written, whether a run with these settings may use the folder.

    `defaults` stand in for settings that did not exist yet when the run in the folder began.

    Raises:
        RunError: it cannot be written, another run uses it, it holds something that may not be replaced, or its run
            cannot be resumed with these settings.
    """
    if output.is_file():
        raise RunError(f"The output {output} is a file; choose another output.")
    place = existing_part(output)
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise RunError(f"The output {output} cannot be written, since {place} cannot; choose another output.")
    if (output / LOCK).exists():
        claim(output, shared=True).close()
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


def claim(output: Path, shared: bool = False) -> TextIO:
    """Keeps other runs out of the folder until the file that it returns is closed, if only by the end of the program.

    Processes that this one starts do not inherit the lock, so a run whose parent was killed keeps nobody out.

    Raises:
        RunError: another run is in it.
    """
    handle = (output / LOCK).open("a+")
    try:
        lock(handle, shared)
    except (BlockingIOError, PermissionError) as error:
        handle.close()
        raise RunError(f"Another run writes to {output}; wait for its end, or choose another output.") from error
    return handle


def check_resumable(output: Path, settings: dict, defaults: dict) -> None:
    """Demands a checkpoint of a run with the same settings, but for those that do not affect the steps done.

    Raises:
        RunError: there is none, it is damaged, or a setting differs.
    """
    if not all_checkpoints(output) or not (output / SETTINGS).is_file():
        raise RunError(f"There is no checkpoint in {output} to resume from; start without --resume.")
    damaged = f"The {SETTINGS} in {output} is damaged; start again with --overwrite."
    with refused_as(RunError, damaged):
        stored = json.loads((output / SETTINGS).read_text(encoding="utf-8"))
        if not isinstance(stored.get("processes", 1), int):
            raise RunError(damaged)
        before = defaults | stored
    for name in sorted(settings.keys() - MAY_CHANGE):
        if settings[name] != before.get(name):
            option, had = f"--{name.replace('_', '-')}", before.get(name)
            had = f"no {option}" if had in (None, "", []) or had is False else f"{option} {had}"
            raise RunError(f"The run in {output} had {had}; resume it with the same.")


def check_same_run(output: Path, settings: dict) -> None:
    """Demands that data set, number of processes and precision are still what they were when the run began.

    Raises:
        RunError: a picture or its truth has changed, there are more or fewer processes, or the precision is another.
    """
    before = settings | json.loads((output / SETTINGS).read_text(encoding="utf-8"))
    if before["fingerprint"] != settings["fingerprint"]:
        changed = "The data set, an unlabelled picture or the teacher has changed"
        raise RunError(f"{changed} since the run in {output} began; start again with --overwrite.")
    if before["processes"] != settings["processes"]:
        had, given = (f"{count} process{'es' * (count > 1)}" for count in (before["processes"], settings["processes"]))
        raise RunError(f"The run in {output} had {had}, not {given}; resume it with as many.")
    had, given = before["precision"], settings["precision"]
    if had != given:
        raise RunError(f"The run in {output} had the mixed precision {had}, not {given}; resume it with the same.")


def remove_checkpoints(output: Path) -> None:
    """Removes every checkpoint, each renamed first, so that a half-removed one is never taken for a whole one."""
    shutil.rmtree(output / UNFINISHED_CHECKPOINT, ignore_errors=True)
    for folder in all_checkpoints(output):
        shutil.rmtree(folder.rename(output / UNFINISHED_CHECKPOINT))


def resume_hint(output: Path) -> str:
    """How to resume a run that ended early, if it has a checkpoint, as one more sentence."""
    checkpoints = all_checkpoints(output)
    return f" The same command with --resume goes on from {checkpoints[0].name}." if checkpoints else ""


def open_output(output: Path, settings: dict) -> TextIO:
    """Makes the folder, and keeps other runs out; nothing in it is changed.

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
    """Writes the settings, and removes the checkpoints of a run that this one replaces.

    An old model stays until the first new one replaces it.

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
