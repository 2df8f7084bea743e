"""One training run: data set in, a network that learns step by step, model folder out."""

import copy
import math
import os
import shlex
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import InitProcessGroupKwargs, set_seed
from datasets import DatasetDict
from safetensors import SafetensorError
from tqdm import tqdm
from transformers import PreTrainedModel

from carmask.commands.publish import PublishError, upload
from carmask.data.folder import DataError
from carmask.evaluation.validation import BEST, describe_look, headline, validate, write_report, write_worst
from carmask.files.system import keep_freed_memory
from carmask.hub.licences import origins
from carmask.hub.provenance import made_with
from carmask.inference.predictor import ModelError, Predictor
from carmask.networks.initial_weights import DEFAULT_STARTS, start_network
from carmask.training.checkpoints import CheckpointError, Run, load_newest, save_checkpoint
from carmask.training.config import TrainConfig, network_settings
from carmask.training.distillation import Lesson
from carmask.training.dry_run import plan
from carmask.training.examples import Examples, make_processor, to_pixels
from carmask.training.loader import make_examples, make_loader
from carmask.training.memory import fitting, out_of_memory
from carmask.training.optimizer import descend, make_optimizer, rate_factor
from carmask.training.output_folder import (
    LOCK,
    LOGS,
    RunError,
    begin_output,
    open_output,
    remove_checkpoints,
    save_model,
    way_on,
)
from carmask.training.setup import beside, make_lesson, open_task, read_rows, warn_of_faults
from carmask.training.signals import check_finite, noted_signals
from carmask.training.trackers import SAMPLES, start_tracker, tell

SPLITTERS = ("FSDP", "DEEPSPEED", "MEGATRON_LM")  # what spreads the weights of a network over several GPUs

MOST_SKIPPED = 20  # a scale that was too high is halved each time, from 65536

MOST_LOST = 300  # seconds between two checkpoints

AVERAGE = 0.998  # decay of the running average of the weights, which is what is kept


def start_run(config: TrainConfig, network: PreTrainedModel, fresh: set[str]) -> Run:
    """A new run of `network`, or the run of the last checkpoint."""
    optimizer = make_optimizer(network, fresh, config.learning_rate)
    run = Run(network, copy.deepcopy(network).eval().requires_grad_(False), optimizer)
    if config.resume:
        skipped = load_newest(Path(config.output), run)
        words = f", without {', '.join(skipped)}, which is not whole" if skipped else ""
        PartialState().print(f"Going on from step {run.step}{words}.")
    return run


def teach(
    run: Run, lesson: Lesson, config: TrainConfig, accelerator: Accelerator, examples: Examples, splits: DatasetDict
) -> None:
    """Takes the run from its step to the last, with a validation and a checkpoint every so often.

    Raises:
        RunError: the loss or its gradient is no number any more, and nothing of that step is kept; or a signal asked
            the run to stop, and a checkpoint is kept.
    """
    processor, learnt = make_processor(config), []
    lesson, optimizer = accelerator.prepare(lesson, run.optimizer)
    run.averaged.to(accelerator.device)
    lesson.train()
    run.timed = run.step, time.perf_counter()
    if run.owed:  # it was stopped before or in its validation
        judge(run, config, accelerator, splits)
    bar = tqdm(total=config.steps, initial=run.step, desc="Training", disable=not accelerator.is_main_process)
    skipped = 0  # updates in a row, as float16 leaves out those whose gradient is not finite
    with noted_signals() as noted, bar:
        for batch in make_loader(examples, config, accelerator):
            # Dropout depends on the step alone, as the examples do, so a resumed run goes on exactly as it would have.
            step_seed = (config.seed * config.steps + run.step) * accelerator.num_processes
            torch.manual_seed(step_seed + accelerator.process_index)
            with accelerator.accumulate(lesson):
                forced = config.teacher_features and run.step < config.forced_share * config.steps
                grey, target = (batch[name].to(accelerator.device) for name in ("grey", "target"))
                loss = lesson(to_pixels(grey, processor), target, run.step, forced)
                if any(batch["fault"]):
                    loss = loss * math.nan  # all processes stop, not only that which met the picture
                gradient = descend(loss, lesson, optimizer, accelerator, rate_factor(run.step, config.steps))
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
                raise RunError(f"{words}; train in bf16 or without --mixed_precision.{way_on(config.output)}")
            learnt.clear()
            run.step += 1
            bar.update()
            bar.set_postfix(loss=f"{np.mean(run.losses[-50:]):.3f}")
            run.update_average(min(AVERAGE, run.step / (run.step + 10)))
            after_update(run, config, accelerator, splits, stop=asked > 0)


def is_due(step: int, config: TrainConfig) -> bool:
    """Whether the averaged weights are to be validated after a step."""
    every = config.validate_every or max(1, config.steps // 10)
    return step == config.steps or step > 0 and step % every == 0


def after_update(run: Run, config: TrainConfig, accelerator: Accelerator, splits: DatasetDict, stop: bool) -> None:
    """Writes a checkpoint now and then, before a validation and before the run stops; validates if that is due.

    A run that stops does not validate first, since who stopped it may not wait; it will when it goes on.

    Raises:
        RunError: it stops here.
    """
    run.owed = is_due(run.step, config)
    if accelerator.is_main_process and (run.owed or stop or time.monotonic() - run.saved > MOST_LOST):
        save_checkpoint(Path(config.output), run)
    if stop:
        accelerator.wait_for_everyone()
        accelerator.end_training()
        raise RunError(f"Stopped after step {run.step}.{way_on(config.output)}")
    if run.owed:
        judge(run, config, accelerator, splits)


def judge(run: Run, config: TrainConfig, accelerator: Accelerator, splits: DatasetDict) -> None:
    """Has one process validate while the others wait."""
    if accelerator.is_main_process:
        keep(run, config, accelerator, splits)
    accelerator.wait_for_everyone()
    run.losses.clear()
    run.owed = False


def keep(run: Run, config: TrainConfig, accelerator: Accelerator, splits: DatasetDict) -> None:
    """Validates the averaged weights, keeps them if they are the best so far, and tells."""
    output, pace = Path(config.output), (run.step - run.timed[0]) / (time.perf_counter() - run.timed[1])
    predictor = Predictor.from_network(run.averaged, make_processor(config))
    samples = SAMPLES if accelerator.trackers else 0
    scores, worst = validate(predictor, splits["validation"], worst=samples, calibrate=True)
    loss = float(np.mean(run.losses))
    run.losses.clear()
    line = {"step": run.step, "loss": loss} | scores["all"]
    best = max((old[BEST[config.task]] for old in run.history), default=-1.0)
    run.history.append(line)
    tqdm.write(f"step {run.step}: loss {loss:.3f}, {headline(config.task, scores)}")
    if line[BEST[config.task]] > best:
        run.averaged.config.threshold = line.get("threshold", predictor.threshold)
        save_model(output, run.averaged, make_processor(config), config.half)
    if accelerator.trackers:
        crops = config.batch_size * config.accumulate * accelerator.num_processes
        tell(accelerator, run, scores, crops * pace, worst)
    run.timed = run.step, time.perf_counter()


def finish(run: Run, config: TrainConfig, splits: DatasetDict, facts: dict[str, str | list[str]]) -> None:
    """Scores the best model on validation and, if there is one, test; writes the model card and the pictures."""
    output = Path(config.output)
    predictor = Predictor.from_pretrained(output)
    scores = {}
    for split in [name for name in ("validation", "test") if name in splits]:
        scores[split], worst = validate(predictor, splits[split], worst=12)
        write_worst(output, worst)
    facts = facts | {"network": config.network, "look": describe_look(predictor), "seed": config.seed}
    facts |= {"task": config.task, "labels": predictor.task.labels}
    write_report(output, facts, splits["train"], scores, run.history)
    remove_checkpoints(output)
    (output / LOCK).unlink()
    variable = {"mask": "CARMASK_MODEL", "dots": "CARMASK_DOTS_MODEL"}[config.task]
    print(f"The model is in {output}. Try it: {variable}={shlex.quote(str(output))} python app.py")
    if config.push_to_hub:
        push(output, config.push_to_hub)


def push(output: Path, name: str) -> None:
    """Publishes the finished model.

    Raises:
        RunError: the Hub does not take it; the model stays where it is.
    """
    try:
        print(upload(output.resolve(), name))
    except PublishError as error:
        again = shlex.join(["python", "-m", "carmask.publish", str(output), name])
        raise RunError(f"The model is in {output}, but not on the Hub. {error} Then: {again}") from error


def train(config: TrainConfig) -> None:
    """Trains as the options say.

    Raises:
        RunError: says in one sentence what is wrong, and how to go on if the run can.
    """
    keep_freed_memory()
    try:
        run_all(config)
    except (DataError, ModelError, CheckpointError) as error:
        raise RunError(str(error)) from error
    except OSError as error:
        words = f"{error.filename or 'The disk'}: {error.strerror or error}.{way_on(config.output)}"
        raise RunError(words, alone=True) from error
    except SafetensorError as error:
        raise RunError(f"{config.output} cannot be written: {error}.{way_on(config.output)}") from error
    except (RuntimeError, MemoryError) as error:
        if "DataLoader worker (pid" in str(error):  # "is killed by signal", or "exited unexpectedly"
            words = "A process that prepares crops was ended, mostly for want of memory; close what else runs here"
        elif out_of_memory(error):
            words = "Memory was not enough; close what else runs here, or start anew with a smaller --crop"
        else:
            raise
        raise RunError(f"{words}.{way_on(config.output)}", alone=True) from error


def keep_whole() -> str:
    """Undoes that `accelerate launch` asks to split the network; returns the name of what was to split it, or "".

    A run's average and checkpoints need the whole network, and DDP gives the same weights.
    """
    asked = [name for name in SPLITTERS if os.environ.pop(f"ACCELERATE_USE_{name}", "false").lower() == "true"]
    if asked:  # DeepSpeed's file also counts batches, and would overrule --accumulate
        os.environ.pop("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", None)
    return ", ".join(asked)


def run_all(config: TrainConfig) -> None:
    """The whole run: data, network, steps with validations, model folder."""
    output, patience = Path(config.output), timedelta(hours=6)  # the others wait while one validates
    split = keep_whole()
    accelerator = Accelerator(
        gradient_accumulation_steps=config.accumulate,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=patience)],
        log_with=None if config.report_to == "none" else config.report_to,
        project_dir=str(output / LOGS),
    )
    if split:
        accelerator.print(f"{split} splits a network that one GPU cannot hold; each process keeps all of this (DDP).")
    set_seed(config.seed)
    splits, task = open_task(config)
    start = config.model or DEFAULT_STARTS[config.network]
    starts = origins([start, config.teacher])
    network, fresh = start_network(config.network, start, task, network_settings(config), starts)
    warn_of_faults(config, accelerator)
    rows = read_rows(config, splits)
    lesson = make_lesson(config, network, task, rows)
    way = {"processes": accelerator.num_processes, "precision": accelerator.mixed_precision}
    facts = way | {"origin": starts, "device": accelerator.device.type}
    facts |= made_with(splits, beside(config))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process and not config.plan:
        settings = vars(config) | way | {"fingerprint": facts["data"]}
        lock = open_output(output, settings)
        begin_output(output, settings | {"tracker_run": start_tracker(accelerator, output, settings)})
    accelerator.wait_for_everyone()
    run = start_run(config, network, fresh)
    batch = config.batch_size * config.accumulate * accelerator.num_processes
    examples = make_examples(config, task, rows, range(run.step * batch, config.steps * batch))
    config = fitting(config, lesson, make_examples(config, task, rows, range(1)), accelerator)
    if config.plan:
        accelerator.print(plan(run, lesson, config, accelerator, examples, splits))
        accelerator.end_training()
        return
    teach(run, lesson, config, accelerator, examples, splits)
    if accelerator.is_main_process:
        finish(run, config, splits, facts)
        lock.close()
    accelerator.end_training()
