"""The training loop: updates, validations and checkpoints."""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from datasets import Dataset
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from tqdm import tqdm

from carmask.errors import RunError
from carmask.evaluation.validation import headline, kept_line, validate
from carmask.files.progress import counted
from carmask.inference.model_folder import save_model
from carmask.inference.predictor import Predictor
from carmask.training.checkpoints import save_checkpoint
from carmask.training.distillation import batch_loss
from carmask.training.optimizer import lr_multiplier, optimizer_step
from carmask.training.output_folder import resume_hint
from carmask.training.signals import check_finite, noted_signals
from carmask.training.state import LoopSettings, Run
from carmask.training.trackers import log_validation

MOST_SKIPPED = 20  # updates in a row: float16's loss scale, 65536 at first, is halved at each of them
MOST_LOST = 300  # seconds between two checkpoints
EMA_DECAY = 0.998  # of the exponential moving average of the weights, which is what the model folder holds


def train_loop(
    run: Run,
    criterion: nn.Module,
    loader: DataLoader,
    validation: Dataset,
    settings: LoopSettings,
    accelerator: Accelerator,
) -> None:
    """Trains from the step of `run` to the last, or until scores on the split `validation` no longer rise.

    Raises:
        RunError: the loss or the gradient norm is not finite, and nothing of that step is kept; or a signal asked the
            run to stop, and a checkpoint is kept.
    """
    criterion, optimizer = accelerator.prepare(criterion, run.optimizer)
    run.ema.to(accelerator.device)
    criterion.train()
    run.timed = run.step, time.perf_counter()
    if run.validation_due and not validate_on_main_process(run, validation, settings, accelerator):
        return  # it was stopped before or during its last validation
    learnt, skipped = list[tuple[str, str]](), 0  # of this update; updates in a row
    with noted_signals() as noted, counted("Training", settings.steps, run.step) as tell:
        for batch in loader:
            loss, gradient_norm = train_step(run, criterion, optimizer, batch, settings, accelerator)
            both = torch.stack([loss.detach().float(), torch.tensor(float(bool(noted)), device=loss.device)])
            loss, stop = accelerator.reduce(both, "mean").tolist()
            learnt += zip(batch["name"], batch["fault"], strict=True)
            check_finite(loss, gradient_norm, run.step, learnt, settings.output)
            run.losses.append(loss)
            if accelerator.sync_gradients:
                skipped = skipped + 1 if accelerator.optimizer_step_was_skipped else 0
                check_not_skipped(skipped, run.step, settings.output)
                learnt.clear()
                run.step += 1
                tell(run.step, f"loss={np.mean(run.losses[-50:]):.3f}")
                run.update_ema(min(EMA_DECAY, run.step / (run.step + 10)))
                if not after_update(run, validation, settings, accelerator, stop > 0):
                    break


def train_step(
    run: Run, criterion: nn.Module, optimizer: Optimizer, batch: dict, settings: LoopSettings, accelerator: Accelerator
) -> tuple[Tensor, float]:
    """Learns from one batch; returns its loss and, after the last batch of an update, the gradient norm."""
    # Dropout depends on the step alone, as the examples do, so a resumed run goes on exactly as it would have.
    step_seed = (settings.seed * settings.steps + run.step) * accelerator.num_processes
    torch.manual_seed(step_seed + accelerator.process_index)
    with accelerator.accumulate(criterion):
        loss = batch_loss(criterion, batch, settings.processor, run.step, settings.is_stage_wise(run.step))
        if any(batch["fault"]):
            loss = loss * math.nan  # all processes stop, not only that which met the picture
        multiplier = lr_multiplier(run.step, settings.steps)
        return loss, optimizer_step(loss, criterion, optimizer, accelerator, multiplier)


def check_not_skipped(skipped: int, step: int, output: Path) -> None:
    """Refuses to go on when float16 has skipped too many updates in a row, since their gradients were not finite.

    Raises:
        RunError: it has.
    """
    if skipped > MOST_SKIPPED:
        words = f"The gradient of {skipped} updates in a row was not finite in float16, up to step {step}"
        raise RunError(f"{words}; train in bf16 or without --mixed_precision.{resume_hint(output)}")


def after_update(run: Run, validation: Dataset, settings: LoopSettings, accelerator: Accelerator, stop: bool) -> bool:
    """Writes a checkpoint now and then, before a validation and before the run stops; validates if that is due.

    A run that is stopped does not validate first, since whoever stopped it may not wait; it will when it is resumed.

    Returns:
        Whether the run goes on.

    Raises:
        RunError: it stops here.
    """
    run.validation_due = settings.is_validation_step(run.step)
    if accelerator.is_main_process and (run.validation_due or stop or time.monotonic() - run.saved > MOST_LOST):
        save_checkpoint(settings.output, run)
    if stop:
        accelerator.wait_for_everyone()
        accelerator.end_training()
        raise RunError(f"Stopped after step {run.step}.{resume_hint(settings.output)}")
    return not run.validation_due or validate_on_main_process(run, validation, settings, accelerator)


def validate_on_main_process(run: Run, validation: Dataset, settings: LoopSettings, accelerator: Accelerator) -> bool:
    """Has one process validate, with the threads of all, while the others wait; returns whether the run goes on."""
    stale = False
    if accelerator.is_main_process:
        with all_threads():
            stale = keep_best(run, validation, settings, accelerator)
    told = accelerator.reduce(torch.tensor(float(stale), device=accelerator.device), "sum")
    run.losses.clear()
    run.validation_due = False
    return not bool(told)


@contextmanager
def all_threads() -> Iterator[None]:
    """Lets this process compute with the threads of all processes on its machine, while they wait."""
    own = torch.get_num_threads()
    torch.set_num_threads(min(own * int(os.environ.get("LOCAL_WORLD_SIZE", "1")), os.cpu_count() or 1))
    try:
        yield
    finally:
        torch.set_num_threads(own)


def keep_best(run: Run, validation: Dataset, settings: LoopSettings, accelerator: Accelerator) -> bool:
    """Validates the EMA of the weights, saves it if it is the best so far, and logs the scores.

    Returns:
        Whether validation has not risen for so long that the run should end.
    """
    steps_per_second = (run.step - run.timed[0]) / (time.perf_counter() - run.timed[1])
    predictor = Predictor.from_network(run.ema, settings.processor)
    scores, _ = validate(predictor, validation, calibrate=True)
    kind, loss = predictor.task.kind, float(np.mean(run.losses))
    line = {"step": run.step, "loss": loss} | scores["all"]
    run.history.append(line)
    tqdm.write(f"step {run.step}: loss {loss:.3f}, {headline(kind, scores)}")
    kept = kept_line(run.history, len(validation))
    if kept is line:
        run.ema.config.threshold = line.get("threshold", predictor.threshold)
        save_model(settings.output, run.ema, settings.processor, settings.half)
    if accelerator.trackers:
        log_validation(accelerator, run, scores, settings.crops_per_update * steps_per_second)
    run.timed = run.step, time.perf_counter()
    stale = run.step < settings.steps and run.step - kept["step"] >= settings.patience
    if stale:
        tqdm.write(f"Validation has not risen since step {kept['step']}, so training ends here.")
    return stale
