"""The files of a model folder, what it may lack, and how a model gets into it atomically."""

import copy
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from carmask.errors import ModelError
from carmask.files.disk import sync
from carmask.inference.runtimes import FILES
from carmask.networks.limits import checked_settings

if TYPE_CHECKING:  # a run that may not use its folder is refused before torch is imported
    from transformers import PreTrainedModel
    from transformers.image_processing_utils import BaseImageProcessor

MODELS = Path(os.environ.get("CARMASK_MODELS") or Path(__file__).resolve().parents[2] / "models")
CHECKPOINT, UNFINISHED_CHECKPOINT = "checkpoint", "checkpoint-new"
SETTINGS, NEW_SETTINGS, LOCK, LOGS = "run.json", "run.json-new", "run.lock", "tensorboard"
MODEL_FILES = {"config.json", "model.safetensors", "preprocessor_config.json"}
REPORT_FILES = {"README.md", "scores.json", "curves.png", "worst.png"}
UNFINISHED, UNFINISHED_EXPORT = "model-new", "onnx-new"
OUR_FILES = MODEL_FILES | REPORT_FILES | {FILES["onnx"], SETTINGS, NEW_SETTINGS, LOCK, LOGS}
OUR_FILES |= {UNFINISHED, UNFINISHED_EXPORT}


def is_checkpoint(name: str) -> bool:
    """Whether a file's name is one that checkpoints have, finished or not."""
    return re.fullmatch(rf"{CHECKPOINT}-(new|\d+)", name) is not None


def all_checkpoints(output: Path) -> list[Path]:
    """The folders in `output` with a finished checkpoint's name, newest first."""
    folders = [path for path in output.glob(f"{CHECKPOINT}-*") if path.name.partition("-")[2].isdecimal()]
    return sorted(folders, key=lambda path: int(path.name.partition("-")[2]), reverse=True)


def save_model(output: Path, network: "PreTrainedModel", processor: "BaseImageProcessor", half: bool) -> None:
    """Writes network and processor into the folder, each file replaced as a whole; `half` stores float16 weights.

    What was reported about the model before goes, since it is not true of this one, and so does what was exported.
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
        for name in {*REPORT_FILES, FILES["onnx"]}:
            (output / name).unlink(missing_ok=True)
        for path in unfinished.iterdir():
            path.replace(output / path.name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def is_folder(model: str | Path) -> bool:
    """Whether a model is given as a folder, be it there or not, and not as owner/name of the Hub."""
    return Path(model).exists() or str(model).startswith((".", "/", "~")) or str(model).count("/") != 1


def check_folder(folder: Path) -> None:
    """Says early, and in one sentence, what a model folder lacks.

    Raises:
        ModelError: no folder, no readable configuration, or neither weights in safetensors form nor an exported file.
    """
    if not folder.is_dir():
        remedy = "give a folder with a config.json, or a model of the Hub"
        if folder.parent == MODELS:
            remedy += ", or set CARMASK_MODELS to the folder models/ of a checkout"
        raise ModelError(f"There is no model folder {folder}; {remedy}.")
    if not (folder / "config.json").is_file():
        raise ModelError(f"The folder {folder} has no config.json; give the folder that the training program wrote.")
    checked_settings(folder / "config.json")
    if not (folder / "preprocessor_config.json").is_file():
        raise ModelError(
            f"The folder {folder} has no preprocessor_config.json; fetch or train the model again, or write one with "
            f"transformers: SegformerImageProcessor().save_pretrained({str(folder)!r})."
        )
    if not any(file.is_file() for file in [*folder.glob("*.safetensors"), *(folder / one for one in FILES.values())]):
        pickles = [path.name for path in folder.glob("pytorch_model*.bin")]
        remedy = f"save {pickles[0]} as safetensors" if pickles else "fetch or train the model again"
        raise ModelError(f"The folder {folder} has no model.safetensors; {remedy}.")


def settings_file(model: str | Path, name: str) -> Path:
    """Where a file of a model folder or of a model of the Hub lies here; an OSError if it cannot be had."""
    if Path(model).is_dir():
        return Path(model) / name
    from transformers.utils import cached_file

    return Path(cached_file(str(model), name))


def weights_fingerprint(folder: Path) -> str:
    """The SHA-256 of the weights for torch in a model folder; "" without any."""
    files = sorted(folder.glob("*.safetensors"))
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as weights:
            while part := weights.read(2**20):
                digest.update(part)
    return digest.hexdigest() if files else ""
