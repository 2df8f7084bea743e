"""How training examples become batches, and batches pixels."""

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import SegformerImageProcessorPil
from transformers.image_processing_utils import BaseImageProcessor

from carmask.training.examples import Examples
from carmask.training.signals import ignore_signals


def make_loader(
    examples: Examples, batch_size: int, workers: int = 0, accelerator: Accelerator | None = None
) -> DataLoader:
    """The batches of this process, or without an accelerator those of all."""
    share = (accelerator.process_index, accelerator.num_processes) if accelerator else ()
    order = examples.order(batch_size, *share)
    return DataLoader(examples, batch_size, sampler=order, num_workers=workers, worker_init_fn=ignore_signals)


def make_processor(side: int, square: bool) -> SegformerImageProcessorPil:
    """What turns pictures into pixels: their long side becomes `side`; they keep their shape or become a `square`."""
    names = ("height", "width") if square else ("max_height", "max_width")
    return SegformerImageProcessorPil(size=dict.fromkeys(names, side))


def to_pixels(grey: Tensor, processor: BaseImageProcessor) -> Tensor:
    """Grey crops, uint8 (B, H, W), as normalised `pixel_values` float32 (B, 3, H, W), as `processor` makes them."""
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (processor.image_mean, processor.image_std))
    return (grey[:, None].float() / 255 - mean.to(grey.device)) / deviation.to(grey.device)
