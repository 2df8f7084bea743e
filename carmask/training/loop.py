"""The training loop: updates, validations and checkpoints, step by step."""

import math
import time
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from datasets import DatasetDict
from tqdm import tqdm

from carmask.errors import RunError
from carmask.evaluation.validation import BEST, headline, validate
from carmask.inference.model_folder import save_model
from carmask.inference.predictor import Predictor
from carmask.training.checkpoints import save_checkpoint
from carmask.training.config import TrainConfig
from carmask.training.distillation import DistillationLoss
from carmask.training.examples import Examples
from carmask.training.loader import make_loader, make_processor, to_pixels
from carmask.training.optimizer import lr_multiplier, optimizer_step
from carmask.training.output_folder import resume_hint
from carmask.training.signals import check_finite, noted_signals
from carmask.training.state import Run
from carmask.training.trackers import SAMPLES, tell

MOST_SKIPPED = 20  # a scale that was too high is halved each time, from 65536

MOST_LOST = 300  # seconds between two checkpoints

EMA_DECAY = 0.998  # of the exponential moving average of the weights, which is what is kept


def train_loop(
    run: Run,
    criterion: DistillationLoss,
    config: TrainConfig,
    accelerator: Accelerator,
    examples: Examples,
    splits: DatasetDict,
) -> None:
    """Takes the run from its step to the last, with a validation and a checkpoint every so often.

    Raises:
        RunError: the loss or its gradient is no number any more, and nothing of that step is kept; or a signal asked
            the run to stop, and a checkpoint is kept.
    """
    processor, learnt = make_processor(config), []
    criterion, optimizer = accelerator.prepare(criterion, run.optimizer)
    run.ema.to(accelerator.device)
    criterion.train()
    run.timed = run.step, time.perf_counter()
    if run.validation_due:  # it was stopped before or in its validation
        validate_on_main_process(run, config, accelerator, splits)
    bar = tqdm(total=config.steps, initial=run.step, desc="Training", disable=not accelerator.is_main_process)
    skipped = 0  # updates in a row, as float16 leaves out those whose gradient is not finite
    with noted_signals() as noted, bar:
        for batch in make_loader(examples, config, accelerator):
            # Dropout depends on the step alone, as the examples do, so a resumed run goes on exactly as it would have.
            step_seed = (config.seed * config.steps + run.step) * accelerator.num_processes
            torch.manual_seed(step_seed + accelerator.process_index)
            with accelerator.accumulate(criterion):
                stage_wise = config.teacher_features and run.step < config.stagewise_share * config.steps
                grey, target = (batch[name].to(accelerator.device) for name in ("grey", "target"))
                loss = criterion(to_pixels(grey, processor), target, run.step, stage_wise)
                if any(batch["fault"]):
                    loss = loss * math.nan  # all processes stop, not only that which met the picture
                gradient = optimizer_step(
                    loss, criterion, optimizer, accelerator, lr_multiplier(run.step, config.steps)
                )
            both = torch.stack([loss.detach().float(), torch.tensor(float(bool(noted)), device=loss.device)])
            loss, asked = accelerator.reduce(both, "mean").tolist()
            learnt += zip(batch["name"], batch["fault"], strict=True)
            check_finite(loss, gradient, run.step, learnt, config.output)
            run.losses.append(loss)
            if not accelerator.sync_gradients:
                continue
            skipped = skipped + 1 if accelerator.optimizer_step_was_skipped else 0
            if skipped > MOST_SKIPPED:
                words = f"The gradient of {skipped} updates in a row was not finite in float16, up to step {run.step}"
                raise RunError(f"{words}; train in bf16 or without --mixed_precision.{resume_hint(config.output)}")
            learnt.clear()
            run.step += 1
            bar.update()
            bar.set_postfix(loss=f"{np.mean(run.losses[-50:]):.3f}")
            run.update_ema(min(EMA_DECAY, run.step / (run.step + 10)))
            after_update(run, config, accelerator, splits, stop=asked > 0)


def is_validation_step(step: int, config: TrainConfig) -> bool:
    """Whether the EMA of the weights is to be validated after a step."""
    every = config.validate_every or max(1, config.steps // 10)
    return step == config.steps or step > 0 and step % every == 0


def after_update(run: Run, config: TrainConfig, accelerator: Accelerator, splits: DatasetDict, stop: bool) -> None:
    """Writes a checkpoint now and then, before a validation and before the run stops; validates if that is due.

    A run that stops does not validate first, since who stopped it may not wait; it will when it goes on.

    Raises:
        RunError: it stops here.
    """
    run.validation_due = is_validation_step(run.step, config)
    if accelerator.is_main_process and (run.validation_due or stop or time.monotonic() - run.saved > MOST_LOST):
        save_checkpoint(Path(config.output), run)
    if stop:
        accelerator.wait_for_everyone()
        accelerator.end_training()
        raise RunError(f"Stopped after step {run.step}.{resume_hint(config.output)}")
    if run.validation_due:
        validate_on_main_process(run, config, accelerator, splits)


def validate_on_main_process(run: Run, config: TrainConfig, accelerator: Accelerator, splits: DatasetDict) -> None:
    """Has one process validate while the others wait."""
    if accelerator.is_main_process:
        keep_best(run, config, accelerator, splits)
    accelerator.wait_for_everyone()
    run.losses.clear()
    run.validation_due = False


def keep_best(run: Run, config: TrainConfig, accelerator: Accelerator, splits: DatasetDict) -> None:
    """Validates the EMA of the weights, keeps it if it is the best so far, and tells."""
    output, pace = Path(config.output), (run.step - run.timed[0]) / (time.perf_counter() - run.timed[1])
    predictor = Predictor.from_network(run.ema, make_processor(config))
    samples = SAMPLES if accelerator.trackers else 0
    scores, worst = validate(predictor, splits["validation"], worst=samples, calibrate=True)
    loss = float(np.mean(run.losses))
    run.losses.clear()
    line = {"step": run.step, "loss": loss} | scores["all"]
    best = max((old[BEST[config.task]] for old in run.history), default=-1.0)
    run.history.append(line)
    tqdm.write(f"step {run.step}: loss {loss:.3f}, {headline(config.task, scores)}")
    if line[BEST[config.task]] > best:
        run.ema.config.threshold = line.get("threshold", predictor.threshold)
        save_model(output, run.ema, make_processor(config), config.half)
    if accelerator.trackers:
        crops = config.batch_size * config.accumulate * accelerator.num_processes
        tell(accelerator, run, scores, crops * pace, worst)
    run.timed = run.step, time.perf_counter()
