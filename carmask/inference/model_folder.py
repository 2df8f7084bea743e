"""The files of a model folder, and how a model gets into it atomically."""

import copy
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from carmask.files.disk import sync
from carmask.inference.runtimes import FILES

if TYPE_CHECKING:  # a run that may not use its folder is refused before torch is imported
    from transformers import PreTrainedModel
    from transformers.image_processing_utils import BaseImageProcessor

CHECKPOINT, UNFINISHED_CHECKPOINT = "checkpoint", "checkpoint-new"
SETTINGS, NEW_SETTINGS, LOCK, LOGS = "run.json", "run.json-new", "run.lock", "tensorboard"
MODEL_FILES = {"config.json", "model.safetensors", "preprocessor_config.json"}
REPORT_FILES = {"README.md", "scores.json", "curves.png", "worst.png"}
UNFINISHED = "model-new"
OUR_FILES = MODEL_FILES | REPORT_FILES | {FILES["onnx"], SETTINGS, NEW_SETTINGS, LOCK, LOGS, UNFINISHED}


def is_checkpoint(name: str) -> bool:
    """Whether a file's name is one that checkpoints have, finished or not."""
    return re.fullmatch(rf"{CHECKPOINT}(-new|-old|-\d+)?", name) is not None


def all_checkpoints(output: Path) -> list[Path]:
    """The folders in `output` with a finished checkpoint's name, newest first; `checkpoint` alone is an old name."""
    folders = [path for path in output.glob(f"{CHECKPOINT}*") if re.fullmatch(rf"{CHECKPOINT}(-\d+)?", path.name)]
    return sorted(folders, key=lambda path: int(path.name.partition("-")[2] or 0), reverse=True)


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
