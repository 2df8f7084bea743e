"""The folder that a training run writes: when it may be used, and how a model gets into it whole."""

import copy
import json
import shutil
from pathlib import Path

from transformers import PreTrainedModel
from transformers.image_processing_utils import BaseImageProcessor

from carmask.checkpoints import FOLDER, find_checkpoint

SETTINGS = "run.json"
MODEL_FILES = {"config.json", "model.safetensors", "preprocessor_config.json"}
REPORT_FILES = {"README.md", "scores.json", "curves.png", "worst.png"}
UNFINISHED = "model-new"
OUR_FILES = MODEL_FILES | REPORT_FILES | {SETTINGS, UNFINISHED, FOLDER, f"{FOLDER}-new", f"{FOLDER}-old"}
MAY_CHANGE = {"output", "steps", "validate_every", "workers", "learning_rate", "resume", "overwrite"}


class RunError(ValueError):
    """Says in one sentence why a run cannot start or go on."""


def check_output(output: Path, settings: dict, defaults: dict) -> None:
    """Finds out, before anything is read or written, whether a run with these settings may use the folder.

    `defaults` are what runs had that know fewer settings.

    Raises:
        RunError: it holds something and may not be replaced, or not be resumed with these settings.
    """
    if settings["resume"]:
        check_resumable(output, settings, defaults)
    elif output.is_dir():
        names = {path.name for path in output.iterdir()}
        foreign = sorted(names - OUR_FILES)
        if foreign:
            raise RunError(f"The output {output} holds {foreign[0]}, which no run wrote; choose another output.")
        if names - {SETTINGS} and not settings["overwrite"]:
            remedy = "add --resume to go on or" if find_checkpoint(output) else "replace it with"
            raise RunError(f"The output {output} exists; choose another, or {remedy} --overwrite.")
    elif output.exists():
        raise RunError(f"The output {output} is a file; choose another output.")


def check_resumable(output: Path, settings: dict, defaults: dict) -> None:
    """Demands a checkpoint of a run with the same settings, but for those that change nothing done so far.

    Raises:
        RunError: there is none, it is damaged, or a setting differs.
    """
    if find_checkpoint(output) is None or not (output / SETTINGS).is_file():
        raise RunError(f"There is no checkpoint in {output} to resume from; start without --resume.")
    try:
        before = defaults | json.loads((output / SETTINGS).read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"The {SETTINGS} in {output} is damaged; start anew with --overwrite.") from error
    for name in sorted(settings.keys() - MAY_CHANGE):
        if settings[name] != before.get(name):
            raise RunError(f"The run in {output} had --{name} {before.get(name)}; resume it with the same.")


def check_same_data(output: Path, fingerprint: str) -> None:
    """Demands that the data set is still what it was when the run in the folder began.

    Raises:
        RunError: a picture or its truth has changed.
    """
    before = json.loads((output / SETTINGS).read_text(encoding="utf-8"))
    if before.get("fingerprint", fingerprint) != fingerprint:
        raise RunError(f"The data set has changed since the run in {output} began; start anew with --overwrite.")


def make_output(output: Path, settings: dict) -> None:
    """Makes the folder and notes the settings; an old model stays until the first new one takes its place.

    Raises:
        RunError: it cannot be written.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        if not settings["resume"]:
            for ending in ("", "-new", "-old"):
                shutil.rmtree(output / f"{FOLDER}{ending}", ignore_errors=True)
        (output / SETTINGS).write_text(json.dumps(settings, indent=1), encoding="utf-8")
    except OSError as error:
        raise RunError(f"The output {output} cannot be written: {error.strerror}.") from error


def save_model(output: Path, network: PreTrainedModel, processor: BaseImageProcessor, half: bool) -> None:
    """Writes network and processor into the folder, each file replaced as a whole; `half` stores float16 weights."""
    unfinished = output / UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    (copy.deepcopy(network).half() if half else network).save_pretrained(unfinished)
    settings = json.loads((unfinished / "config.json").read_text(encoding="utf-8"))
    settings["dtype"] = "float32"  # what a plain from_pretrained opens it in, whatever is stored
    (unfinished / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    processor.save_pretrained(unfinished)
    for path in unfinished.iterdir():
        path.replace(output / path.name)
    unfinished.rmdir()
