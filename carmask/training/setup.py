"""What a run learns from: the data set and what its truth means, its rows, unlabelled pictures, and a teacher."""

from dataclasses import replace
from pathlib import Path

from accelerate import Accelerator
from datasets import DatasetDict
from torch.utils.data import ConcatDataset
from transformers import PreTrainedModel

from carmask.data.dots_column import open_dots, swapped_pairs
from carmask.data.rows import check_split, grey_rows, row_names, unlabelled_rows
from carmask.data.sources import open_data
from carmask.doctor.data_set_checks import summary
from carmask.errors import RunError
from carmask.files.pictures import find_pictures
from carmask.hub.licences import find_folder
from carmask.inference.loading import load_network, load_processor
from carmask.tasks.dots_task import DotsTask
from carmask.tasks.mask_task import MaskTask
from carmask.training.config import TrainConfig, dot_settings
from carmask.training.distillation import DistillationLoss
from carmask.training.loader import Rows, make_examples, make_loader, make_processor, to_pixels

FEATURE_CROPS = 256  # on which a teacher's features are measured


def open_task(config: TrainConfig) -> tuple[DatasetDict, MaskTask | DotsTask]:
    """The data set, and what its truth means.

    Raises:
        DataError: there is no such data, or it lacks the truth, or has no dots of the names to swap.
    """
    if config.task == "mask":
        return open_data(config.data, streaming=config.streaming), MaskTask()
    splits, entries = open_dots(config.data)
    settings = dot_settings(config)
    pairs = swapped_pairs(entries, settings.pop("swap", ""))
    return splits, DotsTask.from_entries(entries, pairs=pairs, **settings)


def warn_of_faults(config: TrainConfig, accelerator: Accelerator) -> None:
    """Prints what the data doctor finds wrong with the pictures of a run that begins; the run goes on."""
    if accelerator.is_main_process and not (config.streaming or config.resume):
        faults = summary(config.data)
        if faults:
            accelerator.print(faults, flush=True)


def read_rows(config: TrainConfig, splits: DatasetDict) -> Rows:
    """The rows to learn from; every row but those of a stream is read once, so that bad ones are met before a step.

    Raises:
        DataError: a row cannot be used.
    """
    for name in set(splits) - {"train"}:
        check_split(splits[name])
    if config.streaming:
        return Rows(splits["train"], [])
    longest = int(config.crop * config.scale_jitter)
    rows, names = grey_rows(splits["train"], longest), row_names(splits["train"])
    if config.unlabelled:
        rows = ConcatDataset([rows, unlabelled_rows(Path(config.unlabelled), longest)])
        names += map(str, find_pictures(Path(config.unlabelled)))
    return Rows(rows, names)


def beside(config: TrainConfig) -> list[Path]:
    """The files beside the data set that decide what a run learns: those of a teacher, and unlabelled pictures."""
    folder = find_folder(config.teacher) if config.teacher else None
    weights = sorted([*folder.glob("*.safetensors"), *folder.glob("config.json")]) if folder else []
    return weights + (find_pictures(Path(config.unlabelled)) if config.unlabelled else [])


def make_distillation_loss(
    config: TrainConfig, network: PreTrainedModel, task: MaskTask | DotsTask, rows: Rows
) -> DistillationLoss:
    """What the network learns from a batch, with its teacher if there is one.

    Raises:
        RunError: the teacher cannot teach this network.
    """
    try:
        teacher = load_network(config.teacher) if config.teacher else None
        if teacher:
            own, other = make_processor(config), load_processor(config.teacher)
            if (own.image_mean, own.image_std) != (other.image_mean, other.image_std):
                raise ValueError("Its image_mean or image_std is not that of a SegFormer; choose another teacher.")
        criterion = DistillationLoss(network, task, teacher)
        if config.teacher_features:
            measured = replace(config, seed=config.seed + 1, paste=0.0, batch_size=16, workers=0)
            crops = make_loader(make_examples(measured, task, rows, range(FEATURE_CROPS)), measured)
            criterion.fit_features(to_pixels(batch["grey"], make_processor(config)) for batch in crops)
        return criterion
    except ValueError as error:
        raise RunError(f"The teacher {config.teacher} cannot teach: {error}") from error
