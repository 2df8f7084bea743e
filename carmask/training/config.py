"""The options of the training program, and which values and combinations make sense; all without torch."""

import argparse
import importlib.util
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transformers.hf_argparser import HfArg

from carmask.data.label_options import LabelOptions, colour, numbers
from carmask.data.object_choice import ObjectChoice, object_choice
from carmask.errors import ModelError, NetworkError, RunError, first_line, shortened
from carmask.files.masks import MaskOptions
from carmask.hub.checks import check_hub
from carmask.networks.fetching import check_weights
from carmask.training.output_folder import check_output

SMALLEST_SCALE = 0.6  # a picture's long side is drawn at 0.6 to `scale_jitter` times the crop's side
LARGEST_SCALE = 3.0
STEPS, SIDE, MOST_PROCESSES = 500, 512, 512  # the first two where nobody says how many, or how large
HEADINGS = {  # in --help, by the first option below each
    "data": "what most people need first",
    "object": "labels that do not say what they mean (docs/your-own-data.md)",
    "settings": "network and augmentation",
    "teacher": "distillation from a larger network",
    "accumulate": "memory and speed",
    "validate_every": "validation, curves and publishing",
    "plan": "dry run, new run or resumed run",
}


@dataclass(frozen=True)
class TrainConfig:
    """Every option of a training run; the command in the model card shows them."""

    data: str = HfArg(help="Folder of data_scripts/, of parquet files or save_to_disk, or a data set of the Hub.")
    output: str = HfArg(help="Model folder to write.")
    model: str = HfArg(
        default="",
        help="Initial weights: a model folder or backbone, one of the Hub, or scratch-b0, -b1, -b2 (default: the "
        "embedded FCN).",
    )
    task: Literal["mask", "dots"] = HfArg(default="mask", help="What the network learns: a mask, or named dots.")
    network: Literal["auto", "segformer", "fcn", "unet"] = HfArg(
        default="auto", help="Which network to train; auto: that of the initial weights."
    )
    steps: int | None = HfArg(default=None, help=f"Updates of the weights (default: {STEPS}).")
    epochs: float | None = HfArg(default=None, help="Times through the training pictures, instead of --steps.")
    batch_size: int = HfArg(default=8, help="Crops per batch, of all processes together.")
    crop: int = HfArg(default=256, help="Side of the training crops in pixels, a multiple of 32.")
    side: int | None = HfArg(
        default=None,
        help=f"Long side in pixels at which the network sees pictures (default: as the initial weights, else {SIDE}).",
    )
    learning_rate: float = HfArg(
        default=2e-4, help="Highest rate of AdamW; new parts of a network learn at 5 times it."
    )
    object: str = HfArg(
        default="",
        help="What the object is called, and the classes of the labels that are it: leaf, 13, leaf=2,3 "
        "(default: what the data set's README says, or car).",
    )
    image_column: str = HfArg(default="", help="Column of the pictures (default: image or pixel_values).")
    mask_column: str = HfArg(default="", help="Column of the masks (default: mask, label, labels, annotation, ...).")
    not_judged: str = HfArg(default="", help="Values of masks that take no part, such as 255.")
    object_above: int | None = HfArg(default=None, help="Every higher value of masks is the object.")
    object_colour: str = HfArg(default="", help="Colour of the object in masks: 250,50,83.")
    not_judged_colour: str = HfArg(default="", help="Colour in masks that takes no part: 224,224,192.")
    threshold: int = HfArg(default=0, help="Soft masks: the object from this of 255 on, such as 128.")
    invert: bool = HfArg(default=False, help="The object is black in the masks.")
    settings: list[str] = HfArg(
        default_factory=list,
        help="The network's own settings: skips=2 (docs/networks.md); the dots': sigma=0.03 (docs/dots.md).",
    )
    scale_jitter: float = HfArg(default=LARGEST_SCALE, help="Longest a picture is in a crop, in sides of the crop.")
    paste: float = HfArg(
        default=0.0, help="Masks: share of the crops onto which the object of another crop is pasted."
    )
    seed: int = HfArg(default=0, help="Fixes every random choice.")
    teacher: str = HfArg(default="", help="Model folder or model of the Hub whose soft masks are learned as well.")
    teacher_features: bool = HfArg(default=False, help="Learn its features too, stage-wise at first, then end-to-end.")
    stagewise_share: float = HfArg(default=0.3, help="Share of the steps that are stage-wise.")
    unlabelled: str = HfArg(default="", help="Folder of more pictures, which only the teacher labels.")
    accumulate: int = HfArg(default=1, help="Batches per update (gradient accumulation).")
    workers: int = HfArg(default=1, help="Processes that prepare crops, for each that trains.")
    processes: str = HfArg(default="auto", help="Processes that train on a CPU: a number; auto: one for each core.")
    streaming: bool = HfArg(default=False, help="Stream the training pictures, for a data set larger than the disk.")
    half: bool = HfArg(default=False, help="Store the weights as float16, half the size.")
    validate_every: int = HfArg(default=0, help="Steps between validations and checkpoints (0: a tenth of all).")
    patience: float = HfArg(default=0.3, help="Stop once validation has not risen for this share of steps; 1: never.")
    report_to: Literal["none", "trackio", "tensorboard", "wandb"] = HfArg(
        default="none", help="Tracker that gets the curves as well."
    )
    push_to_hub: str = HfArg(default="", help="Name such as anna/my-model: publish the model there at the end.")
    plan: bool = HfArg(default=False, help="Dry run: say what the run costs in minutes, memory and disk, and end.")
    overwrite: bool = HfArg(default=False, help="Replace an existing output.")
    resume: bool = HfArg(default=False, help="Go on from the last checkpoint in the output.")


LARGEST_VALUE = 2**31 - 1  # of a mask
MOST_LETTERS, MOST_BYTES = 1000, 255  # of an option's text, and of a file's name in it

RANGES = {
    "steps": (1, 10**8), "batch_size": (1, 2**16), "accumulate": (1, 2**16), "side": (32, 4096), "crop": (32, 4096),
    "validate_every": (0, 10**8), "workers": (0, 512), "seed": (0, 2**32 - 1), "learning_rate": (0, 1),
    "stagewise_share": (0, 1), "epochs": (0.001, 10**6), "patience": (0.01, 1), "paste": (0, 1),
    "scale_jitter": (SMALLEST_SCALE, 100), "threshold": (0, 255), "object_above": (-LARGEST_VALUE, LARGEST_VALUE),
}  # fmt: skip

DOT_RANGES = {"sigma": (0.001, 0.5), "focal": (0, 10)}
DOT_SETTINGS = {*DOT_RANGES, "swap"}  # swap is text


def check(config: TrainConfig) -> None:
    """Finds what is wrong with the arguments before anything is read or written.

    Raises:
        RunError: a number out of range, options that do not fit, an output that is in the way, or a Hub that would not
            take the model.
    """
    check_texts(config)
    check_numbers(config)
    if config.teacher_features and not (config.teacher and config.network in ("auto", "segformer")):
        raise RunError("--teacher-features needs a --teacher and --network segformer.")
    if config.unlabelled and config.task == "dots":
        raise RunError("--unlabelled is for masks; from_csv.py --no-dots FOLDER adds pictures that show no dots.")
    if config.unlabelled and not config.teacher:
        raise RunError("--unlabelled pictures need a --teacher that labels them.")
    if config.object and config.task == "dots":
        raise RunError("--object is for masks; leave it out with --task dots, whose labels are the dots' names.")
    label_settings(config)
    for name in ("paste", "teacher", "streaming"):
        if config.task == "dots" and getattr(config, name):
            raise RunError(f"--{name} is for masks; leave it out with --task dots.")
    for name in ("paste", "unlabelled", "epochs"):
        if config.streaming and getattr(config, name):
            raise RunError(f"--{name} needs all pictures at once; leave it or --streaming out.")
    dot_settings(config)
    if config.report_to != "none" and not importlib.util.find_spec(config.report_to):
        remedy = f"run pip install {config.report_to}, or leave out --report-to."
        raise RunError(f"{config.report_to} is not installed; {remedy}")  # accelerate would silently ignore it
    check_output(Path(config.output), vars(config), vars(TrainConfig(data="", output="")))
    try:
        for name in filter(None, (config.model, config.teacher)):
            check_weights(name)
    except (ModelError, NetworkError) as error:
        raise RunError(str(error)) from error
    if config.push_to_hub:
        check_hub(config.push_to_hub)


def check_numbers(config: TrainConfig) -> None:
    """Demands that numbers are in range (RunError)."""
    if config.crop % 32:
        raise RunError(f"--crop is {config.crop}; it must be a multiple of 32.")
    for name, (low, high) in RANGES.items():
        value = getattr(config, name)
        if value is not None and not low <= value <= high:
            option = name.replace("_", "-")
            raise RunError(f"--{option} is {shortened(value, 30)}; it must lie between {low} and {high}.")
    if config.steps is not None and config.epochs is not None:
        raise RunError("--steps and --epochs say the same; leave one of them out.")
    count = int(config.processes[:9]) if config.processes.isdecimal() else 0
    if config.processes != "auto" and not 1 <= count <= MOST_PROCESSES:
        raise RunError(f"--processes is {shortened(config.processes, 30)}; give auto, or 1 to {MOST_PROCESSES}.")


def check_texts(config: TrainConfig) -> None:
    """Demands that no text is longer than any name or path can be (RunError)."""
    for name, value in vars(config).items():
        for text in filter(lambda text: isinstance(text, str), value if isinstance(value, list) else [value]):
            longest = max(len(part) for part in os.fsencode(text).split(b"/"))
            if len(text) > MOST_LETTERS or longest > MOST_BYTES:
                option = name.replace("_", "-")
                raise RunError(f"--{option} is {shortened(text, 30)}, which is too long for a name; choose another.")


def label_settings(config: TrainConfig) -> LabelOptions:
    """What the options say of the labels.

    Raises:
        RunError: one cannot be read.
    """
    choice = ObjectChoice(classes=())
    try:
        choice = object_choice(config.object) if config.object else choice
        masks = MaskOptions(
            choice.numbers,
            config.object_above,
            numbers(config.not_judged) if config.not_judged else frozenset(),
            frozenset({colour(config.object_colour)} if config.object_colour else ()),
            frozenset({colour(config.not_judged_colour)} if config.not_judged_colour else ()),
            threshold=config.threshold or None,
            invert=config.invert,
        )
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise RunError(f"--object, --not-judged or --object-colour cannot be read: {first_line(error)}") from error
    if max(masks.objects | masks.not_judged, default=0) > LARGEST_VALUE:
        raise RunError(f"--object or --not-judged names a value above {LARGEST_VALUE}, which no mask holds.")
    return LabelOptions(choice, masks, config.image_column, config.mask_column)


def network_settings(config: TrainConfig) -> list[str]:
    """The words of `--settings` that are for the network."""
    return [word for word in config.settings if config.task != "dots" or word.partition("=")[0] not in DOT_SETTINGS]


def dot_settings(config: TrainConfig) -> dict[str, float | str]:
    """The words of `--settings` that are for the dots, by name.

    Raises:
        RunError: one has no such value.
    """
    settings: dict[str, float | str] = {}
    for word in set(config.settings) - set(network_settings(config)):
        name, _, text = word.partition("=")
        if name == "swap":
            settings[name] = text
            continue
        low, high = DOT_RANGES[name]
        try:
            settings[name] = value = float(text)
        except ValueError as error:
            raise RunError(f"--settings {word} has no readable value; write it like {name}={low}.") from error
        if not low <= value <= high:
            raise RunError(f"--settings {word} is out of range; it must lie between {low} and {high}.")
    return settings


def count_steps(config: TrainConfig, pictures: int) -> int:
    """The updates of a run: as many as were asked for, or as it takes to go through so many pictures so often."""
    if config.epochs is None:
        return config.steps or STEPS
    return max(1, math.ceil(config.epochs * pictures / (config.batch_size * config.accumulate)))


def share_of_batch(batch_size: int, processes: int) -> int:
    """The crops in a batch of one of several processes.

    Raises:
        RunError: they cannot have equal shares.
    """
    if batch_size % processes:
        raise RunError(
            f"--batch-size {batch_size} cannot be shared by {processes} processes; take a multiple of {processes}."
        )
    return batch_size // processes
