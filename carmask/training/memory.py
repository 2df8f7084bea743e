"""How much memory a training run uses, and what it does when that is not enough."""

import copy
from dataclasses import replace

import torch
from accelerate import Accelerator
from accelerate.utils.memory import should_reduce_batch_size
from torch import Tensor

from carmask.errors import RunError
from carmask.files.system import peak_resident_bytes
from carmask.training.distillation import DistillationLoss, batch_loss
from carmask.training.examples import Examples
from carmask.training.loader import make_loader
from carmask.training.state import LoopSettings


def peak_memory(device: torch.device) -> int:
    """The most bytes that this process has held so far, on the accelerator or else in main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_resident_bytes()


def fitting_batch_size(
    criterion: DistillationLoss, examples: Examples, batch_size: int, settings: LoopSettings, accelerator: Accelerator
) -> int:
    """The batch size, divided as often as it takes to fit into memory, with gradient accumulation multiplied instead.

    An update learns from as many crops as before; only batch norm sees fewer of them at a time.

    Raises:
        RunError: not even one crop fits.
    """
    size = batch_size
    example = next(iter(make_loader(replace(examples, numbers=range(1)), batch_size=1)))
    while not fits(criterion, repeated(example, size), settings, accelerator):
        if size == 1:
            raise RunError(f"Not even one crop of {examples.crop} pixels fits into memory; take a smaller --crop.")
        size //= next(factor for factor in range(2, size + 1) if size % factor == 0)
    size = int(accelerator.gather(torch.tensor([size], device=accelerator.device)).min())
    if size < batch_size:
        accelerator.gradient_accumulation_steps = accelerator.gradient_accumulation_steps * batch_size // size
        accelerator.print(
            f"--batch-size {batch_size} does not fit into memory; going on with --batch-size {size} --accumulate "
            f"{accelerator.gradient_accumulation_steps}, which learns from as many crops in an update."
        )
    return size


def repeated(example: dict[str, Tensor], size: int) -> dict[str, Tensor]:
    """A batch of `size` times the example in a batch of one."""
    return {name: example[name].expand(size, *example[name].shape[1:]) for name in ("grey", "target")}


def fits(
    criterion: DistillationLoss, batch: dict[str, Tensor], settings: LoopSettings, accelerator: Accelerator
) -> bool:
    """Whether a step fits, tried on a copy, while as much is allocated as the EMA and AdamW will need."""
    try:
        trial = copy.deepcopy(criterion).to(accelerator.device).train()
        held = [torch.empty_like(value) for value in trial.student.parameters() for _ in range(3)]
        with accelerator.autocast():
            batch_loss(trial, batch, settings.processor, stage_wise=settings.is_stage_wise(0)).backward()
        del held
        return True
    except (RuntimeError, MemoryError) as error:  # torch has no error class for this on a CPU
        if not out_of_memory(error):
            raise
        return False


def out_of_memory(error: Exception) -> bool:
    """Whether an error means that memory ran out: one of Python, of torch, or of its kernels for CPUs."""
    kernel = "could not create a primitive" in str(error)
    return isinstance(error, MemoryError) or kernel or should_reduce_batch_size(error)
