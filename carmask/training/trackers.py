"""What a run logs to a tracker: trackio, tensorboard or wandb, through accelerate."""

import importlib
from pathlib import Path

from accelerate import Accelerator

from carmask.errors import RunError
from carmask.evaluation.validation import Scores
from carmask.training.costs import peak_memory
from carmask.training.state import Run

PROJECT = "carmask"
REMEDIES = {"wandb": "run wandb login, or set WANDB_MODE=offline, or leave out --report-to"}


def start_tracker(accelerator: Accelerator, output: Path, settings: dict) -> None:
    """Starts the tracker that `accelerator` was made with, if any, under the name of the model folder.

    Raises:
        RunError: the tracker cannot start; what was in the folder is still there.
    """
    tracker, name = settings["report_to"], output.absolute().name
    plain = {key: value if isinstance(value, (int, float, str)) else str(value) for key, value in settings.items()}
    options = {
        "trackio": {"name": name, "resume": "allow" if settings["resume"] else "never"},
        "wandb": {"name": name},
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


def log_validation(accelerator: Accelerator, run: Run, scores: Scores, pictures_per_second: float) -> None:
    """Logs the scores of a validation and the speed since the last one.

    The scores of a source, or of a dot, have its name in front: `intelecai/iou`.
    """
    values = {name: value for name, value in run.history[-1].items() if name != "step"}
    values |= {f"learning_rate_{place}": group["lr"] for place, group in enumerate(run.optimizer.param_groups)}
    for part in scores.keys() - {"all"}:
        values |= {f"{part}/{name}": value for name, value in scores[part].items()}
    values |= {"pictures_per_second": pictures_per_second, "memory_gb": peak_memory(accelerator.device) / 2**30}
    accelerator.log(values, step=run.step)
