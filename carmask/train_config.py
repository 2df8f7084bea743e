"""The options of the training program, and which values and combinations make sense."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from accelerate.tracking import get_available_trackers
from transformers import SegformerImageProcessorPil
from transformers.hf_argparser import HfArg

from carmask.examples import LARGEST_ZOOM, SMALLEST_ZOOM
from carmask.model_folder import RunError, check_output


@dataclass(frozen=True)
class TrainConfig:
    """Everything one training run depends on; it stands in the model card."""

    data: str = HfArg(help="Folder of data_scripts/ or save_to_disk, or a data set of the Hub.")
    output: str = HfArg(help="Model folder to write.")
    model: str = HfArg(default="", help="Start: a model folder or backbone, one of the Hub, or scratch-b0, -b1, -b2.")
    task: Literal["mask", "dots"] = HfArg(default="mask", help="What the network learns: a mask, or named dots.")
    network: Literal["segformer", "fcn", "unet"] = HfArg(default="segformer", help="Which network to train.")
    settings: list[str] = HfArg(default_factory=list, help="Its own settings: skips=2, depth=3 (docs/networks.md).")
    sigma: float = HfArg(default=0.03, help="Dots: radius of the painted bumps as a share of the crop's side.")
    focal: float = HfArg(default=0.0, help="Dots: power of focal weighting, 0 for none, 2 is usual.")
    swap: str = HfArg(default="", help="Dots: names that mirroring swaps, as a:b,c:d (default: left and right ones).")
    teacher: str = HfArg(default="", help="Model folder whose soft masks the network learns as well.")
    unlabelled: str = HfArg(default="", help="Folder of more pictures, for the teacher alone to label.")
    teacher_features: bool = HfArg(default=False, help="Learn its features too, stage by stage, then chained.")
    forced_share: float = HfArg(default=0.3, help="Share of the steps in which each stage learns on its own.")
    steps: int = HfArg(default=2000, help="Updates of the weights.")
    batch_size: int = HfArg(default=8, help="Crops per process and step.")
    accumulate: int = HfArg(default=1, help="Batches per update.")
    crop: int = HfArg(default=256, help="Side of the training crops in pixels, a multiple of 32.")
    largest_zoom: float = HfArg(default=LARGEST_ZOOM, help="Longest a picture is in a crop, in sides of the crop.")
    paste: float = HfArg(default=0.0, help="Masks: share of the crops that get what another crop shows of a car.")
    side: int = HfArg(default=512, help="Long side in pixels at which the network will see pictures.")
    learning_rate: float = HfArg(default=2e-4, help="Highest AdamW step size; new parts use 5 times as much.")
    weight_decay: float = HfArg(default=0.02, help="AdamW weight decay.")
    warmup: float = HfArg(default=0.03, help="Share of the steps in which the step size rises.")
    average: float = HfArg(default=0.998, help="Decay of the running average of the weights, which is what is kept.")
    validate_every: int = HfArg(default=0, help="Steps between validations and checkpoints (0: a tenth of all).")
    workers: int = HfArg(default=1, help="Processes that prepare crops.")
    mixed_precision: Literal["no", "bf16", "fp16"] = HfArg(default="no", help="Lower precision where accelerate can.")
    seed: int = HfArg(default=0, help="Fixes every random choice.")
    half: bool = HfArg(default=False, help="Store the weights as float16, half the size.")
    report_to: Literal["none", "trackio", "tensorboard", "wandb"] = HfArg(
        default="none", help="Where curves go as well."
    )
    plan: bool = HfArg(default=False, help="Say what the run costs in minutes, memory and disk, and end.")
    overwrite: bool = HfArg(default=False, help="Replace an existing output.")
    resume: bool = HfArg(default=False, help="Go on from the last checkpoint in the output.")


SPLITTERS = ("FSDP", "DEEPSPEED", "MEGATRON_LM")  # whose checkpoints and averages are spread over processes
RANGES = {
    "steps": (1, math.inf), "batch_size": (1, math.inf), "accumulate": (1, math.inf), "side": (32, math.inf),
    "validate_every": (0, math.inf), "workers": (0, math.inf), "seed": (0, math.inf), "learning_rate": (0, 1),
    "weight_decay": (0, 1), "warmup": (0, 1), "average": (0, 1), "forced_share": (0, 1), "paste": (0, 1),
    "sigma": (0.001, 0.5), "focal": (0, 10), "largest_zoom": (SMALLEST_ZOOM, 100),
}  # fmt: skip


def check(config: TrainConfig) -> None:
    """Finds what is wrong with the arguments before anything is read or written.

    Raises:
        RunError: a number out of range, options that do not fit, or an output that is in the way.
    """
    if config.crop < 32 or config.crop % 32:
        raise RunError(f"--crop is {config.crop}; it must be a multiple of 32.")
    for name, (low, high) in RANGES.items():
        if not low <= getattr(config, name) <= high:
            raise RunError(f"--{name} is {getattr(config, name)}; it must lie between {low} and {high}.")
    if config.teacher_features and not (config.teacher and config.network == "segformer"):
        raise RunError("--teacher_features needs a --teacher and --network segformer.")
    if config.unlabelled and not config.teacher:
        raise RunError("--unlabelled pictures need a --teacher that labels them.")
    if config.paste and config.task == "dots":
        raise RunError("--paste is for masks; leave it out with --task dots.")
    if config.teacher and config.task == "dots":
        raise RunError("A --teacher teaches masks alone; leave it out with --task dots.")
    for name in SPLITTERS:
        if os.environ.get(f"ACCELERATE_USE_{name}", "false").lower() == "true":
            raise RunError(f"{name} splits a network that one GPU cannot hold; these all fit, see docs/training.md.")
    if config.report_to != "none" and config.report_to not in map(str, get_available_trackers()):
        remedy = f"run pip install {config.report_to}, or leave out --report_to."
        raise RunError(f"{config.report_to} is not installed; {remedy}")  # accelerate would leave it out in silence
    check_output(Path(config.output), vars(config), vars(TrainConfig(data="", output="")))


def make_processor(config: TrainConfig) -> SegformerImageProcessorPil:
    """What turns pictures into pixels: the long side fits `config.side`, the shape is kept."""
    return SegformerImageProcessorPil(size={"max_height": config.side, "max_width": config.side})
