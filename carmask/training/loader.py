"""How training examples come to a process: from rows at hand, or from a stream for more than the disk holds."""

from collections.abc import Sequence
from typing import NamedTuple

import datasets
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import SegformerImageProcessorPil
from transformers.image_processing_utils import BaseImageProcessor

from carmask.data.rows import Pair
from carmask.data.streams import is_stream
from carmask.tasks.dots_task import DotsTask
from carmask.tasks.mask_task import MaskTask
from carmask.training.config import TrainConfig
from carmask.training.examples import Examples, StreamedExamples
from carmask.training.signals import leave_signals


class Rows(NamedTuple):
    """What to learn from: pairs at hand and what people know them by, or a stream, whose rows bring their names."""

    pairs: Sequence[Pair] | datasets.IterableDataset
    names: list[str]


def make_examples(config: TrainConfig, task: MaskTask | DotsTask, rows: Rows, numbers: range) -> Examples:
    """The examples of these numbers."""
    kind = StreamedExamples if is_stream(rows.pairs) else Examples
    return kind(
        rows.pairs,
        task,
        config.crop,
        config.seed,
        numbers,
        config.scale_jitter,
        config.paste,
        rows.names,
        config.square,
    )


def make_loader(examples: Examples, config: TrainConfig, accelerator: Accelerator | None = None) -> DataLoader:
    """The batches of this process, or without an accelerator those of all."""
    share = (accelerator.process_index, accelerator.num_processes) if accelerator else ()
    order = examples.order(config.batch_size, *share)
    return DataLoader(
        examples, config.batch_size, sampler=order, num_workers=config.workers, worker_init_fn=leave_signals
    )


def make_processor(config: TrainConfig) -> SegformerImageProcessorPil:
    """What turns pictures into pixels: the long side fits `side` and the shape is kept, or they become a square."""
    names = ("height", "width") if config.square else ("max_height", "max_width")
    return SegformerImageProcessorPil(size=dict.fromkeys(names, config.side))


def to_pixels(grey: Tensor, processor: BaseImageProcessor) -> Tensor:
    """Grey crops, uint8 (B, H, W), as normalised `pixel_values` float32 (B, 3, H, W), as `processor` makes them."""
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (processor.image_mean, processor.image_std))
    return (grey[:, None].float() / 255 - mean.to(grey.device)) / deviation.to(grey.device)
