"""What a run costs: the dry run that tells its minutes, memory and disk, and a batch size that fits into memory."""

import copy
import math
import shutil
import time
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils.memory import should_reduce_batch_size
from datasets import Dataset, DatasetDict
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers.image_processing_utils import BaseImageProcessor

from carmask.data.streams import is_stream
from carmask.errors import RunError
from carmask.evaluation.validation import validate
from carmask.files.progress import duration
from carmask.files.system import peak_resident_bytes
from carmask.inference.predictor import Predictor
from carmask.training.distillation import DistillationLoss, batch_loss
from carmask.training.examples import Examples
from carmask.training.loader import make_loader
from carmask.training.optimizer import optimizer_step
from carmask.training.output_folder import existing_part
from carmask.training.state import LoopSettings, Run

WARM_BATCHES, TIMED_BATCHES, TIMED_PICTURES = 2, 6, 6


def peak_memory(device: torch.device) -> int:
    """The most bytes that this process has held so far, on the accelerator or else in main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_resident_bytes()


def fitting_batch_size(
    criterion: DistillationLoss, examples: Examples, batch_size: int, settings: LoopSettings, accelerator: Accelerator
) -> int:
    """The crops of a process and batch, divided until they fit into memory, with gradient accumulation multiplied.

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
        asked, fitting = batch_size * accelerator.num_processes, size * accelerator.num_processes
        accelerator.print(
            f"--batch-size {asked} does not fit into memory; going on with --batch-size {fitting} --accumulate "
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


def dry_run(
    run: Run,
    criterion: nn.Module,
    loader: DataLoader,
    splits: DatasetDict,
    settings: LoopSettings,
    accelerator: Accelerator,
    to_tune: float,
) -> str:
    """The steps, minutes, memory and disk of the rest of a run, a line each; `run` takes a few steps to time them.

    The choice of inference settings takes as long as `to_tune` pictures.
    """
    assert isinstance(loader.dataset, Examples)
    steps, validation, rows = settings.steps - run.step, splits["validation"], loader.dataset.rows
    step = seconds_per_batch(run, criterion, loader, settings, accelerator) * accelerator.gradient_accumulation_steps
    picture = seconds_per_picture(run, validation, settings.processor)
    validations = math.ceil(steps / settings.validate_every)
    pictures = validations * len(validation) + sum(len(splits[name]) for name in splits if name != "train") + to_tune
    network = sum(value.nbytes for value in run.network.state_dict().values())
    during, at_end = 10 * network, network // (2 if settings.half else 1)
    folder = existing_part(settings.output)
    passes = "from a stream"
    if not is_stream(rows):
        passes = f"{settings.crops_per_update * steps / len(rows):.1f} times through {len(rows)} pictures"
    return f"""steps: {steps} of {settings.crops_per_update} crops, {passes}
time: about {duration(steps * step + pictures * picture)}: {step:.2f} s a step, {validations} validations of \
{duration(len(validation) * picture)}
memory: {peak_memory(accelerator.device) / 2**30:.2f} GB a process, \
{accelerator.num_processes} on {accelerator.device.type}
disk: {during / 2**20:.0f} MB while it runs, {at_end / 2**20:.0f} MB at the end; \
{shutil.disk_usage(folder).free / 2**20:.0f} MB are free in {folder}"""


def seconds_per_batch(
    run: Run, criterion: nn.Module, loader: DataLoader, settings: LoopSettings, accelerator: Accelerator
) -> float:
    """How long one batch takes, with making its crops, after a few to warm up."""
    criterion, optimizer = accelerator.prepare(criterion, run.optimizer)
    run.ema.to(accelerator.device)
    criterion.train()
    stage_wise = settings.is_stage_wise(run.step)
    times = [time.perf_counter()]
    for batch in islice(loader, WARM_BATCHES + TIMED_BATCHES):
        loss = batch_loss(criterion, batch, settings.processor, run.step, stage_wise)
        optimizer_step(loss, criterion, optimizer, accelerator, multiplier=0.0)
        run.update_ema(0.5)
        times.append(time.perf_counter())
    timed = times[WARM_BATCHES:] if len(times) > WARM_BATCHES + 1 else times
    return (timed[-1] - timed[0]) / (len(timed) - 1)


def seconds_per_picture(run: Run, validation: Dataset, processor: BaseImageProcessor) -> float:
    """How long the validation of one picture takes: the mean of a few, evenly spread over the split."""
    chosen = np.unique(np.linspace(0, len(validation) - 1, TIMED_PICTURES).astype(int))
    predictor = Predictor.from_network(run.ema, processor)
    start = time.perf_counter()
    validate(predictor, validation.select(chosen), calibrate=True)
    return (time.perf_counter() - start) / len(chosen)
