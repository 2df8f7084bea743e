"""How a training run uses memory, and what it does if that is not enough."""

import copy
from dataclasses import replace

import torch
from accelerate import Accelerator
from accelerate.utils.memory import should_reduce_batch_size
from torch import Tensor
from transformers.image_processing_utils import BaseImageProcessor

from carmask.errors import RunError
from carmask.files.system import peak_resident_bytes
from carmask.training.config import TrainConfig
from carmask.training.distillation import DistillationLoss
from carmask.training.examples import Examples
from carmask.training.loader import make_loader, make_processor, to_pixels


def peak_memory(device: torch.device) -> int:
    """The most bytes that this process has held so far, on the accelerator or else in main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_resident_bytes()


def fitting(
    config: TrainConfig, criterion: DistillationLoss, examples: Examples, accelerator: Accelerator
) -> TrainConfig:
    """The options with a batch size that fits into memory: halved, with `accumulate` doubled, as often as it takes.

    A step learns from as many crops as asked for; only batch norm sees fewer of them at a time.

    Raises:
        RunError: not even one crop fits.
    """
    size, processor = config.batch_size, make_processor(config)
    example = next(iter(make_loader(examples, replace(config, workers=0))))
    while not fits(criterion, repeated(example, size), processor, accelerator, config.teacher_features):
        if size == 1:
            raise RunError(f"Not even one crop of {config.crop} pixels fits into memory; take a smaller --crop.")
        size //= next(factor for factor in range(2, size + 1) if size % factor == 0)
    size = int(accelerator.gather(torch.tensor([size], device=accelerator.device)).min())
    if size == config.batch_size:
        return config
    accumulate = config.accumulate * config.batch_size // size
    accelerator.gradient_accumulation_steps = accumulate
    accelerator.print(
        f"--batch_size {config.batch_size} does not fit into memory; going on with --batch_size {size} "
        f"--accumulate {accumulate}, which learns from as many crops in a step."
    )
    return replace(config, batch_size=size, accumulate=accumulate)


def repeated(example: dict[str, Tensor], size: int) -> dict[str, Tensor]:
    """A batch of `size` times the example in a batch of one."""
    return {name: example[name].expand(size, *example[name].shape[1:]) for name in ("grey", "target")}


def fits(
    criterion: DistillationLoss,
    batch: dict[str, Tensor],
    processor: BaseImageProcessor,
    accelerator: Accelerator,
    stage_wise: bool,
) -> bool:
    """Whether a step fits, tried on a copy, beside what the running average and AdamW will hold."""
    device = accelerator.device
    try:
        trial = copy.deepcopy(criterion).to(device).train()
        held = [torch.empty_like(value) for value in trial.student.parameters() for _ in range(3)]
        with accelerator.autocast():
            pixel_values = to_pixels(batch["grey"].to(device), processor)
            trial(pixel_values, batch["target"].to(device), 0, stage_wise).backward()
        del held
        return True
    except (RuntimeError, MemoryError) as error:  # torch has no class of its own for this on a CPU
        if not out_of_memory(error):
            raise
        return False


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory was not enough: Python's, torch's, or that of the kernels on a CPU."""
    kernel = "could not create a primitive" in str(error)
    return isinstance(error, MemoryError) or kernel or should_reduce_batch_size(error)
