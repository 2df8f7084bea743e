"""What a run tells a tracker while it learns: trackio, tensorboard or wandb."""

import importlib
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from PIL import Image

from carmask.checkpoints import Run
from carmask.drawing import contact_sheet
from carmask.memory import peak_memory

PROJECT = "carmask"
SAMPLES = 4


def start_tracker(accelerator: Accelerator, output: Path, settings: dict, goes_on: bool) -> None:
    """Opens the run of the tracker that `accelerator` was made with, if any, under the name of the model folder."""
    plain = {name: value if isinstance(value, (int, float, str)) else str(value) for name, value in settings.items()}
    options = {"name": output.absolute().name, "resume": "allow" if goes_on else "never"}
    accelerator.init_trackers(PROJECT, plain, {"trackio": options, "wandb": {"name": options["name"]}})


def tell(accelerator: Accelerator, run: Run, pace: float, cases: list[Image.Image]) -> None:
    """Sends what a validation found, the `pace` in pictures per second, and some `cases` as `validate` draws them."""
    values = run.history[-1] | {
        f"learning_rate_{place}": group["lr"] for place, group in enumerate(run.optimizer.param_groups)
    }
    values |= {"pictures_per_second": pace, "memory_gb": peak_memory(accelerator.device) / 2**30}
    accelerator.log(values, step=run.step)
    pixels = np.asarray(contact_sheet(cases, columns=SAMPLES, tile=240).convert("RGB"))
    for tracker in accelerator.trackers:
        if tracker.name == "trackio":  # accelerate sends it no pictures
            trackio = importlib.import_module("trackio")
            tracker.log({"samples": trackio.Image(pixels)}, step=run.step)
        else:
            layout = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
            tracker.log_images({"samples": pixels[None]}, step=run.step, **layout)
