"""What a run learns from: the data set and what its truth means, its rows, unlabelled pictures, and a teacher."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from datasets import Dataset, DatasetDict, IterableDataset
from torch.utils.data import ConcatDataset
from transformers import PreTrainedModel
from transformers.image_processing_utils import BaseImageProcessor

from carmask.data.card import object_name_of
from carmask.data.dots_column import open_dots, swapped_pairs
from carmask.data.label_options import PLAIN, LabelOptions
from carmask.data.rows import Example, check_split, grey_rows, row_names, unlabelled_rows
from carmask.data.sources import choose_split, open_data
from carmask.data.streams import is_stream
from carmask.doctor.data_set_checks import fault_summary
from carmask.errors import DataError, RunError, refused_as
from carmask.files.words import DEFAULT_OBJECT, listed
from carmask.inference.loading import EMBEDDED, load_preprocessing
from carmask.inference.model_folder import SETTINGS
from carmask.inference.torch_network import load_network
from carmask.networks.fetching import fetch, inference_settings, is_own
from carmask.networks.initial_weights import network_for
from carmask.networks.limits import faults
from carmask.tasks.dots_task import DotsTask
from carmask.tasks.mask_task import MaskTask
from carmask.training.config import SIDE, TrainConfig
from carmask.training.distillation import DistillationLoss
from carmask.training.examples import Examples, StreamedExamples
from carmask.training.loader import make_loader, to_pixels

SETTING_NAMES = {"side": "size", "mirror": "mirror image", "threshold": "threshold"}
FEATURE_CROPS = 256  # on which a teacher's features are measured
ENDINGS = {"auto": "fcn", "fcn": "fcn", "segformer": "b0"}  # of embedded models
NEVER_ABSENT = (
    "No dot is missing from any picture, so the model will not learn when to place none, and that is not scored: add "
    "pictures without them (docs/dots.md)."
)


@dataclass(frozen=True)
class Choice:
    """What a run settles at its beginning; it is kept in run.json, so that a resumed run goes on with the same.

    `weights` are the initial ones, of our own or a folder; `network` is theirs. `side`, `threshold` and `mirror` are
    the inference settings; those named in `inherited` are the initial weights'.
    """

    object: str
    weights: str
    network: str
    side: int
    threshold: float
    mirror: float
    inherited: list[str]

    def square(self, task: str) -> bool:
        """Whether the network sees pictures resized to a square of `side`, not in their own shape.

        A SegFormer for masks does, as in transformers' own pipeline.
        """
        return task == "mask" and self.network == "segformer"

    @property
    def name(self) -> str:
        """The initial weights by the last two parts of their path."""
        return "/".join(Path(self.weights).parts[-2:])

    def words(self, task: str) -> str:
        """Whose the inference settings are, in a sentence for the card; dots always get a threshold of their own."""
        names = [name for name in SETTING_NAMES if task == "mask" or name != "threshold"]
        theirs = listed([SETTING_NAMES[name] for name in names if name in self.inherited])
        others = listed([SETTING_NAMES[name] for name in names if name not in self.inherited])
        parts = [f"{theirs} from its initial weights"] * bool(theirs)
        parts += [f"{others} as usual, but for what its command says"] * bool(others)
        return f"It has its {', its '.join(parts)}."

    def applied_to(self, task: MaskTask | DotsTask) -> MaskTask | DotsTask:
        """The task with what was settled."""
        task = replace(task, threshold=self.threshold, mirror=self.mirror)
        return replace(task, name=self.object) if isinstance(task, MaskTask) else task


def choose(model: str, network: str, side: int | None, task: MaskTask | DotsTask) -> Choice:
    """Settles on initial weights, on their network, and on the inference settings, which are theirs if they have any.

    An empty `model` is the embedded FCN, or the embedded model of `network`.

    Raises:
        NetworkError: there are no such weights, or they are of another network.
    """
    weights = model or (embedded(task.kind, ENDINGS[network]) if network in ENDINGS else "scratch")
    folder = None if is_own(weights) else fetch(weights)
    network = network_for(weights, folder, network)
    settings = {"side": SIDE, "threshold": task.threshold, "mirror": task.mirror}
    theirs = inference_settings(folder, task.kind) if folder else {}
    settings |= theirs | (given := {"side": side} if side else {})
    return Choice(
        task.name if isinstance(task, MaskTask) else "",
        weights if folder is None or Path(weights).exists() else str(folder),
        network,
        int(settings["side"]),
        float(settings["threshold"]),
        float(settings["mirror"]),
        inherited=sorted(theirs.keys() - given),
    )


def embedded(task: str, ending: str) -> str:
    """The folder of the embedded model for a task whose name ends so."""
    folder = EMBEDDED[task]
    return str(folder.with_name(f"{folder.name.rpartition('-')[0]}-{ending}"))


def choice_of(output: Path) -> Choice:
    """What the run in a folder has settled.

    Raises:
        RunError: it cannot be read.
    """
    with refused_as(RunError, f"The {SETTINGS} in {output} is damaged; start again with --overwrite."):
        return Choice(**json.loads((output / SETTINGS).read_text(encoding="utf-8"))["choice"])


def settle(config: TrainConfig, task: MaskTask | DotsTask, accelerator: Accelerator) -> Choice:
    """What is settled at the beginning of a run, or was by the one that goes on; says what nobody asked for.

    Raises:
        NetworkError: there are no such initial weights, or they are of another network.
    """
    if config.resume:
        return choice_of(Path(config.output))
    with accelerator.main_process_first():  # which fetches them
        choice = choose(config.model, config.network, config.side, task)
    if not config.model:
        reason = ", which learns fastest" if task.kind == "mask" else ""
        default = f", the default{reason}" if config.network == "auto" else ""
        remedy = "--model names other initial weights"
        accelerator.print(f"Training goes on from {choice.name}{default}; {remedy}.", flush=True)
    return choice


def open_task(
    data: str, task: str, streaming: bool, settings: dict[str, float | str], labels: LabelOptions = PLAIN
) -> tuple[DatasetDict, MaskTask | DotsTask]:
    """The data set, and the task with its `settings`; `labels` is what a person says of the data's.

    Raises:
        DataError: there is no such data, or it lacks the truth, a split to train on, or dots of the names to swap.
    """
    if task == "mask":
        name = labels.object.name if labels.object.named else object_name_of(data) or DEFAULT_OBJECT
        splits = open_data(data, streaming=streaming, options=labels)
        choose_split(splits, data, "train")
        return splits, MaskTask(name=name)
    splits, entries = open_dots(data, options=labels)
    if fault := next(faults({"id2label": {str(place): name for place, name in enumerate(entries)}}), None):
        raise DataError(f"No model can learn these dots: {fault}.")
    choose_split(splits, data, "train")
    pairs = swapped_pairs(entries, str(settings.get("swap", "")))
    numbers = {name: value for name, value in settings.items() if name != "swap"}
    return splits, DotsTask.from_entries(entries, pairs=pairs, **numbers)


def training_rows(
    splits: DatasetDict, longest: int, unlabelled: list[Path]
) -> tuple[Sequence[Example] | IterableDataset, list[str]]:
    """The rows to learn from, pictures no longer than `longest` pixels, and their names, which a stream's rows carry.

    Every row but those of a stream is read once, so that a bad one is met before the first step.

    Raises:
        DataError: a row cannot be used.
    """
    for name in set(splits) - {"train"}:
        check_split(splits[name])
    if is_stream(splits["train"]):
        return splits["train"], []
    rows, names = grey_rows(splits["train"], longest), row_names(splits["train"])
    if unlabelled:
        # Any sequence will do, though torch's annotations ask for its own class.
        rows = ConcatDataset([rows, unlabelled_rows(unlabelled, longest)])  # type: ignore[assignment, list-item]
        names += map(str, unlabelled)
    return rows, names


def make_examples(
    config: TrainConfig, task: MaskTask | DotsTask, splits: DatasetDict, unlabelled: list[Path], square: bool
) -> Examples:
    """The training examples; which of them a run learns from is known only when its step is.

    Raises:
        DataError: a row of a split cannot be used.
    """
    rows, names = training_rows(splits, int(config.crop * config.scale_jitter), unlabelled)
    kind = StreamedExamples if is_stream(rows) else Examples
    return kind(rows, task, config.crop, config.seed, range(0), config.scale_jitter, config.paste, names, square)


def say_faults(config: TrainConfig, splits: DatasetDict, task: MaskTask | DotsTask) -> None:
    """Prints what is wrong with the data of a new run, if anything is."""
    if isinstance(task, DotsTask) and not any_absent(splits["train"]):
        print(NEVER_ABSENT, flush=True)
    faults = "" if config.streaming else fault_summary(config.data, splits["train"])
    if faults:
        print(faults, flush=True)


def any_absent(rows: Dataset) -> bool:
    """Whether any dot is missing from any picture."""
    return bool(np.isnan(np.array([point for dots in rows["dots"] for point in dots], dtype=float)).any())


def extra_inputs(teacher: str, unlabelled: list[Path]) -> list[Path]:
    """The files outside the data set that decide what a run learns: those of a teacher's folder, and unlabelled."""
    folder = Path(teacher)
    weights = sorted([*folder.glob("*.safetensors"), *folder.glob("config.json")]) if teacher else []
    return weights + unlabelled


def make_distillation_loss(
    network: PreTrainedModel, teacher: str, teacher_features: bool, processor: BaseImageProcessor, examples: Examples
) -> DistillationLoss:
    """The loss of `network` on the task of `examples`, with a teacher if its folder is given.

    Raises:
        RunError: the teacher does not fit this network.
    """
    if not teacher:
        return DistillationLoss(network, examples.task)
    try:
        opened, its = load_network(teacher), load_preprocessing(teacher)
        if (tuple(processor.image_mean), tuple(processor.image_std)) != (its.mean, its.deviation):
            raise ValueError("Its image_mean or image_std is not that of a SegFormer; choose another teacher.")
        criterion = DistillationLoss(network, examples.task, opened)
        if teacher_features:
            measured = replace(examples, seed=examples.seed + 1, paste=0.0, numbers=range(FEATURE_CROPS))
            crops = make_loader(measured, batch_size=16)
            criterion.fit_features(to_pixels(batch["grey"], processor) for batch in crops)
        return criterion
    except ValueError as error:
        raise RunError(f"The teacher {teacher} cannot be used: {error}") from error
