"""What a run logs to a tracker: trackio, tensorboard or wandb."""

import importlib
import json
import secrets
import shutil
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from PIL import Image

from carmask.errors import RunError
from carmask.evaluation.validation import Scores
from carmask.files.drawing import contact_sheet
from carmask.inference.model_folder import LOGS, SETTINGS
from carmask.training.memory import peak_memory
from carmask.training.state import Run

PROJECT = "carmask"

SAMPLES = 4

REMEDIES = {"wandb": "run wandb login, or set WANDB_MODE=offline, or leave out --report-to"}


def start_tracker(accelerator: Accelerator, output: Path, settings: dict) -> str:
    """Starts the tracker that `accelerator` was made with, if any, under the name of the model folder.

    A resumed run goes on in the same curves of trackio and wandb. Once the tracker has started, tensorboard's curves
    of a run that this one replaces are removed.

    Returns:
        The run's identifier at wandb, to be stored with the settings in the folder.

    Raises:
        RunError: the tracker cannot start; what was in the folder is still there.
    """
    stored = json.loads((output / SETTINGS).read_text(encoding="utf-8")) if settings["resume"] else {}
    # Random, not from the path: in a team's project two machines may have the same one.
    number = stored.get("tracker_run") or secrets.token_hex(4)
    old = [] if settings["resume"] else list((output / LOGS).glob("*/*"))
    name, tracker = output.absolute().name, settings["report_to"]
    plain = {key: value if isinstance(value, (int, float, str)) else str(value) for key, value in settings.items()}
    options = {
        "trackio": {"name": name, "resume": "allow" if settings["resume"] else "never"},
        "wandb": {"name": name, "id": number, "resume": "allow"},
    }
    refusals: list[type[Exception]] = [ImportError, OSError, RuntimeError, TypeError, ValueError]
    try:
        if tracker == "wandb":
            refusals.append(importlib.import_module("wandb.errors").Error)
        accelerator.init_trackers(PROJECT, plain, options)
    except tuple(refusals) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0].rstrip(".")
        remedy = REMEDIES.get(tracker, "repair it, or leave out --report-to")
        raise RunError(f"{tracker} cannot start: {reason}; {remedy}.") from error
    for path in old:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return number


def log_validation(
    accelerator: Accelerator, run: Run, scores: Scores, pictures_per_second: float, cases: list[Image.Image]
) -> None:
    """Logs the scores of a validation, the speed since the last one, and some `cases` as `validate` draws them.

    The scores of a source, or of a dot, have its name in front: `intelecai/iou`.
    """
    values = {name: value for name, value in run.history[-1].items() if name != "step"}
    values |= {f"learning_rate_{place}": group["lr"] for place, group in enumerate(run.optimizer.param_groups)}
    for part in scores.keys() - {"all"}:
        values |= {f"{part}/{name}": value for name, value in scores[part].items()}
    values |= {"pictures_per_second": pictures_per_second, "memory_gb": peak_memory(accelerator.device) / 2**30}
    accelerator.log(values, step=run.step)
    pixels = np.asarray(contact_sheet(cases, columns=SAMPLES, tile=240).convert("RGB"))
    for tracker in accelerator.trackers:
        if tracker.name == "trackio":  # accelerate sends it no pictures
            trackio = importlib.import_module("trackio")
            tracker.log({"samples": trackio.Image(pixels)}, step=run.step)
        else:
            layout = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
            tracker.log_images({"samples": pixels[None]}, step=run.step, **layout)
