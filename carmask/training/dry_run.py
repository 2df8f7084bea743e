"""What a training run will cost, found out before it is begun."""

import math
import shutil
import time
from itertools import islice
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from datasets import DatasetDict

from carmask.data.streams import is_stream
from carmask.evaluation.validation import validate
from carmask.inference.predictor import Predictor
from carmask.training.config import TrainConfig
from carmask.training.distillation import DistillationLoss
from carmask.training.examples import Examples
from carmask.training.loader import make_loader, make_processor, to_pixels
from carmask.training.memory import peak_memory
from carmask.training.optimizer import optimizer_step
from carmask.training.output_folder import existing_part
from carmask.training.state import Run

WARM_BATCHES, TIMED_BATCHES, TIMED_PICTURES = 2, 6, 6


def plan(
    run: Run,
    criterion: DistillationLoss,
    config: TrainConfig,
    accelerator: Accelerator,
    examples: Examples,
    splits: DatasetDict,
) -> str:
    """The steps, minutes, memory and disk of the rest of a run, a line each; `run` takes a few steps to time them."""
    steps, crops = config.steps - run.step, examples.numbers.stop // config.steps
    step = seconds_per_batch(run, criterion, config, accelerator, examples) * config.accumulate
    picture = seconds_per_picture(run, config, splits)
    every = config.validate_every or max(1, config.steps // 10)
    validations = math.ceil(steps / every)
    judged = validations * len(splits["validation"]) + sum(len(splits[name]) for name in splits if name != "train")
    network = sum(value.nbytes for value in run.network.state_dict().values())
    most, stays = 10 * network, network // (2 if config.half else 1)
    folder = existing_part(Path(config.output))
    passes = "from a stream"
    if not is_stream(splits["train"]):
        passes = f"{crops * steps / len(examples.rows):.1f} times through {len(examples.rows)} pictures"
    return f"""steps: {steps} of {crops} crops, {passes}
time: about {minutes(steps * step + judged * picture)}: {step:.2f} s a step, {validations} validations of \
{minutes(len(splits["validation"]) * picture)}
memory: {peak_memory(accelerator.device) / 2**30:.2f} GB a process, \
{accelerator.num_processes} on {accelerator.device.type}
disk: {most / 2**20:.0f} MB while it runs, {stays / 2**20:.0f} MB at the end; \
{shutil.disk_usage(folder).free / 2**20:.0f} MB are free in {folder}"""


def minutes(seconds: float) -> str:
    """A time for people."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} minutes"


def seconds_per_batch(
    run: Run, criterion: DistillationLoss, config: TrainConfig, accelerator: Accelerator, examples: Examples
) -> float:
    """How long one batch takes, crops and all, once the first ones are done."""
    loader = make_loader(examples, config, accelerator)
    criterion, optimizer = accelerator.prepare(criterion, run.optimizer)
    run.ema.to(accelerator.device)
    criterion.train()
    processor = make_processor(config)
    times = [time.perf_counter()]
    for batch in islice(loader, WARM_BATCHES + TIMED_BATCHES):
        grey, target = (batch[name].to(accelerator.device) for name in ("grey", "target"))
        loss = criterion(to_pixels(grey, processor), target, run.step, config.teacher_features)
        optimizer_step(loss, criterion, optimizer, accelerator, factor=0.0)
        run.update_ema(0.5)
        times.append(time.perf_counter())
    timed = times[WARM_BATCHES:] if len(times) > WARM_BATCHES + 1 else times
    return (timed[-1] - timed[0]) / (len(timed) - 1)


def seconds_per_picture(run: Run, config: TrainConfig, splits: DatasetDict) -> float:
    """How long it takes to judge one picture of the validation split, as the mean of a few from all over it."""
    split = splits["validation"]
    chosen = np.unique(np.linspace(0, len(split) - 1, TIMED_PICTURES).astype(int))
    predictor = Predictor.from_network(run.ema, make_processor(config))
    start = time.perf_counter()
    validate(predictor, split.select(chosen), calibrate=True)
    return (time.perf_counter() - start) / len(chosen)
