"""What a run learns from: the data set and what its truth means, its rows, unlabelled pictures, and a teacher."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from datasets import DatasetDict, IterableDataset
from torch.utils.data import ConcatDataset
from transformers import PreTrainedModel
from transformers.image_processing_utils import BaseImageProcessor

from carmask.data.card import object_name_of
from carmask.data.dots_column import open_dots, swapped_pairs
from carmask.data.label_options import PLAIN, LabelOptions
from carmask.data.rows import Example, check_split, grey_rows, row_names, unlabelled_rows
from carmask.data.sources import open_data
from carmask.data.streams import is_stream
from carmask.errors import RunError
from carmask.files.words import DEFAULT_OBJECT
from carmask.hub.licences import find_folder
from carmask.inference.loading import load_preprocessing
from carmask.inference.torch_network import load_network
from carmask.tasks.dots_task import DotsTask
from carmask.tasks.mask_task import MaskTask
from carmask.training.distillation import DistillationLoss
from carmask.training.examples import Examples
from carmask.training.loader import make_loader, to_pixels

FEATURE_CROPS = 256  # on which a teacher's features are measured


def open_task(
    data: str, task: str, streaming: bool, settings: dict[str, float | str], labels: LabelOptions = PLAIN
) -> tuple[DatasetDict, MaskTask | DotsTask]:
    """The data set, and the task with its `settings`; `labels` is what a person says of the data's.

    Raises:
        DataError: there is no such data, or it lacks the truth, or has no dots of the names to swap.
    """
    if task == "mask":
        name = labels.object.name if labels.object.named else object_name_of(data) or DEFAULT_OBJECT
        return open_data(data, streaming=streaming, options=labels), MaskTask(name=name)
    splits, entries = open_dots(data)
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


def extra_inputs(teacher: str, unlabelled: list[Path]) -> list[Path]:
    """The files outside the data set that decide what a run learns: those of a teacher, and unlabelled pictures."""
    folder = find_folder(teacher) if teacher else None
    weights = sorted([*folder.glob("*.safetensors"), *folder.glob("config.json")]) if folder else []
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
