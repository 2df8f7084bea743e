"""One training run: data set in, a network that learns step by step, model folder out."""

import os
import re
import time
import warnings
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, set_seed
from safetensors import SafetensorError
from transformers.image_processing_utils import BaseImageProcessor

from carmask.errors import DataError, ModelError, NetworkError, RunError
from carmask.files.picture_folders import find_pictures
from carmask.files.system import keep_freed_memory
from carmask.hub.licences import origins
from carmask.hub.provenance import made_with
from carmask.inference.model_folder import LOGS
from carmask.networks.fetching import fetch
from carmask.networks.initial_weights import initialise_network
from carmask.networks.products import use_fast_products
from carmask.training.checkpoints import load_newest
from carmask.training.config import (
    TrainConfig,
    count_steps,
    dot_settings,
    label_settings,
    network_settings,
    share_of_batch,
)
from carmask.training.costs import dry_run, fitting_batch_size, out_of_memory
from carmask.training.examples import Examples
from carmask.training.finish import finish, pictures_to_tune
from carmask.training.loader import make_loader, make_processor
from carmask.training.loop import all_threads, train_loop
from carmask.training.output_folder import begin_output, open_output, resume_hint
from carmask.training.setup import (
    Choice,
    extra_inputs,
    make_distillation_loss,
    make_examples,
    open_task,
    say_faults,
    settle,
)
from carmask.training.state import LoopSettings, Run, start_run
from carmask.training.trackers import start_tracker

SPLITTERS = ("FSDP", "DEEPSPEED", "MEGATRON_LM")  # what spreads the weights of a network over several GPUs


def train(config: TrainConfig) -> None:
    """Trains as the options say.

    Raises:
        RunError: says in one sentence what is wrong, and how to resume the run where that is possible.
    """
    keep_freed_memory()
    # DDP says so of depthwise kernels, whose one channel gives the same layout two strides.
    warnings.filterwarnings("ignore", message=r"(?s).*Grad strides do not match bucket view strides")
    output = Path(config.output)
    try:
        run_all(config)
    except (DataError, ModelError, NetworkError) as error:
        raise RunError(str(error)) from error
    except OSError as error:
        words = f"{error.filename or 'The disk'}: {error.strerror or error}.{resume_hint(output)}"
        raise RunError(words, this_process_only=True) from error
    except SafetensorError as error:
        raise RunError(f"{output} cannot be written: {error}.{resume_hint(output)}") from error
    except (RuntimeError, MemoryError) as error:
        if "DataLoader worker (pid" in str(error):  # "is killed by signal", or "exited unexpectedly"
            words = "A process that prepares crops was killed, probably since memory ran out; close other programs"
        elif out_of_memory(error):
            words = "Memory ran out; close other programs, or start again with a smaller --crop"
        elif re.search("Connection (closed|reset) by peer|Broken pipe", str(error)):
            words = "Another process of this run ended; if it does not say why, then probably for lack of memory: "
            words += f"close other programs, or start again with --processes 1.{resume_hint(output)}"
            time.sleep(0.5)  # until the first process is gone, if it is the one
            first_is_gone = os.environ.get("FIRST_PROCESS", "") not in ("", str(os.getppid()))
            raise RunError(words, this_process_only=first_is_gone) from error
        else:
            raise
        raise RunError(f"{words}.{resume_hint(output)}", this_process_only=True) from error


def check_not_split() -> None:
    """Refuses to split the network over several GPUs: its EMA and its checkpoints need all of it in one process.

    Raises:
        RunError: accelerate was told to do so.
    """
    for name in SPLITTERS:
        if os.environ.get(f"ACCELERATE_USE_{name}", "false").lower() == "true":
            raise RunError(f"{name} splits a network, and these are small; use DDP: accelerate launch --multi_gpu.")


def make_accelerator(config: TrainConfig) -> Accelerator:
    """What spreads the run over processes and devices, in the precision that was asked for, and logs its curves."""
    if "WORLD_SIZE" in os.environ and not torch.accelerator.is_available():
        os.environ.setdefault("ACCELERATE_USE_CPU", "true")  # else each process would train on its own
    hours = timedelta(hours=6)  # how long the others wait while one validates
    accelerator = Accelerator(
        gradient_accumulation_steps=config.accumulate,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=hours)],
        log_with=None if config.report_to == "none" else config.report_to,
        project_dir=str(Path(config.output) / LOGS),
    )
    if accelerator.device.type == "cpu":
        use_fast_products()
    return accelerator


def claim_output(
    config: TrainConfig, choice: Choice, facts: dict[str, Any], accelerator: Accelerator
) -> TextIO | None:
    """Makes the output folder of a run that will write one, and starts the tracker, on the main process.

    Returns:
        The open file that keeps other runs out.
    """
    lock = None
    accelerator.wait_for_everyone()
    if accelerator.is_main_process and not config.plan:
        output = Path(config.output)
        settings = vars(config) | {name: facts[name] for name in ("processes", "precision")}
        settings |= {"fingerprint": facts["data"], "choice": vars(choice)}
        lock = open_output(output, settings)
        start_tracker(accelerator, output, settings)
        begin_output(output, settings)
    accelerator.wait_for_everyone()
    return lock


def loop_settings(config: TrainConfig, examples: Examples, processor: BaseImageProcessor) -> LoopSettings:
    """The options that the loop needs."""
    crops = config.batch_size * config.accumulate
    steps = count_steps(config, len(examples.rows) if config.epochs else 0)
    return LoopSettings(
        output=Path(config.output),
        steps=steps,
        crops_per_update=crops,
        validate_every=config.validate_every or max(1, steps // 10),
        patience=config.patience * steps,
        stage_wise_steps=config.stagewise_share * steps if config.teacher_features else 0,
        seed=config.seed,
        half=config.half,
        processor=processor,
    )


def run_all(config: TrainConfig) -> None:
    """The whole run: data, network, steps with validations, model folder."""
    check_not_split()
    accelerator = make_accelerator(config)
    share = share_of_batch(config.batch_size, accelerator.num_processes)
    set_seed(config.seed)
    splits, task = open_task(config.data, config.task, config.streaming, dot_settings(config), label_settings(config))
    choice = settle(config, task, accelerator)
    if config.teacher_features and choice.network != "segformer":
        raise RunError("--teacher-features needs a SegFormer to train: add --network segformer, or leave it out.")
    task, square = choice.applied_to(task), choice.square(config.task)
    teacher = str(fetch(config.teacher)) if config.teacher else ""
    origin = origins([choice.weights, teacher])
    words = network_settings(config)
    network, newly_initialised = initialise_network(choice.network, choice.weights, task, words, origin)
    if accelerator.is_main_process and not config.resume:
        say_faults(config, splits, task)
    unlabelled = find_pictures(Path(config.unlabelled)) if config.unlabelled else []
    examples, processor = make_examples(config, task, splits, unlabelled, square), make_processor(choice.side, square)
    criterion = make_distillation_loss(network, teacher, config.teacher_features, processor, examples)
    facts = {"processes": accelerator.num_processes, "precision": accelerator.mixed_precision, "origin": origin}
    facts |= {"device": accelerator.device.type} | made_with(splits, extra_inputs(teacher, unlabelled))
    lock = claim_output(config, choice, facts, accelerator)
    run = start_run(network, newly_initialised, config.learning_rate)
    if config.resume:
        accelerator.print(resumed(run, Path(config.output)))
    settings = loop_settings(config, examples, processor)
    batch_size = fitting_batch_size(criterion, examples, share, settings, accelerator)
    numbers = range(run.step * settings.crops_per_update, settings.steps * settings.crops_per_update)
    loader = make_loader(replace(examples, numbers=numbers), batch_size, config.workers, accelerator)
    if config.plan:
        to_tune = pictures_to_tune(config, choice, len(splits["validation"]))
        accelerator.print(dry_run(run, criterion, loader, splits, settings, accelerator, to_tune))
    else:
        train_loop(run, criterion, loader, splits["validation"], settings, accelerator)
        if lock:
            with all_threads():
                finish(run, config, choice, splits, facts | {"steps": settings.steps})
            lock.close()
    accelerator.end_training()


def resumed(run: Run, output: Path) -> str:
    """Goes on from the newest whole checkpoint; returns what is to be said of it.

    Raises:
        RunError: there is none.
    """
    skipped = load_newest(output, run)
    words = f", without {', '.join(skipped)}, which is damaged or not finished" if skipped else ""
    return f"Going on from step {run.step}{words}."
