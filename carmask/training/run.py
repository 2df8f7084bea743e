"""One training run: data set in, a network that learns step by step, model folder out."""

import os
import shlex
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, set_seed
from datasets import DatasetDict
from safetensors import SafetensorError
from transformers.image_processing_utils import BaseImageProcessor

from carmask.data.card import grouped_by_of
from carmask.data.streams import is_stream
from carmask.doctor.data_set_checks import summary
from carmask.errors import CheckpointError, DataError, ModelError, RunError
from carmask.evaluation.figures import write_worst
from carmask.evaluation.validation import validate
from carmask.files.picture_folders import find_pictures
from carmask.files.system import keep_freed_memory
from carmask.hub.licences import origins
from carmask.hub.model_card import describe_inference_settings, write_report
from carmask.hub.provenance import made_with
from carmask.hub.upload import PublishError, upload
from carmask.inference.exporting import refresh_exported
from carmask.inference.model_folder import LOCK, LOGS
from carmask.inference.predictor import Predictor
from carmask.networks.initial_weights import DEFAULT_INITIAL_WEIGHTS, initialise_network
from carmask.tasks.dots_task import DotsTask
from carmask.tasks.mask_task import MaskTask
from carmask.training.checkpoints import load_newest
from carmask.training.config import TrainConfig, dot_settings, label_settings, network_settings
from carmask.training.dry_run import dry_run
from carmask.training.examples import Examples, StreamedExamples
from carmask.training.loader import make_loader, make_processor
from carmask.training.loop import train_loop
from carmask.training.memory import fitting_batch_size, out_of_memory
from carmask.training.output_folder import begin_output, open_output, remove_checkpoints, resume_hint
from carmask.training.setup import extra_inputs, make_distillation_loss, open_task, training_rows
from carmask.training.state import LoopSettings, Run, start_run
from carmask.training.trackers import start_tracker

SPLITTERS = ("FSDP", "DEEPSPEED", "MEGATRON_LM")  # what spreads the weights of a network over several GPUs


def finish(run: Run, config: TrainConfig, splits: DatasetDict, facts: dict) -> None:
    """Scores the best model on validation and, if there is one, test; writes the model card and the pictures."""
    output = Path(config.output)
    refresh_exported(output)
    predictor = Predictor.from_pretrained(output)
    scores = {}
    for split in [name for name in ("validation", "test") if name in splits]:
        scores[split], worst = validate(predictor, splits[split], worst=12)
        write_worst(output, worst)
    facts = facts | {"network": config.network, "seed": config.seed, "task": config.task}
    facts |= {"inference_settings": describe_inference_settings(predictor), "labels": predictor.task.labels}
    facts["grouped_by"] = grouped_by_of(config.data)
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
        again = shlex.join(["carmask", "publish", str(output), name])
        raise RunError(f"The model is in {output}, but not on the Hub. {error} Then: {again}") from error


def train(config: TrainConfig) -> None:
    """Trains as the options say.

    Raises:
        RunError: says in one sentence what is wrong, and how to resume the run where that is possible.
    """
    keep_freed_memory()
    try:
        run_all(config)
    except (DataError, ModelError, CheckpointError) as error:
        raise RunError(str(error)) from error
    except OSError as error:
        words = f"{error.filename or 'The disk'}: {error.strerror or error}.{resume_hint(Path(config.output))}"
        raise RunError(words, this_process_only=True) from error
    except SafetensorError as error:
        raise RunError(f"{config.output} cannot be written: {error}.{resume_hint(Path(config.output))}") from error
    except (RuntimeError, MemoryError) as error:
        if "DataLoader worker (pid" in str(error):  # "is killed by signal", or "exited unexpectedly"
            words = "A process that prepares crops was killed, probably since memory ran out; close other programs"
        elif out_of_memory(error):
            words = "Memory ran out; close other programs, or start again with a smaller --crop"
        else:
            raise
        raise RunError(f"{words}.{resume_hint(Path(config.output))}", this_process_only=True) from error


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
    hours = timedelta(hours=6)  # how long the others wait while one validates
    return Accelerator(
        gradient_accumulation_steps=config.accumulate,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=hours)],
        log_with=None if config.report_to == "none" else config.report_to,
        project_dir=str(Path(config.output) / LOGS),
    )


def make_examples(
    config: TrainConfig, task: MaskTask | DotsTask, splits: DatasetDict, unlabelled: list[Path]
) -> Examples:
    """The training examples; which of them a run learns from is known only when its step is.

    Raises:
        DataError: a row of a split cannot be used.
    """
    rows, names = training_rows(splits, int(config.crop * config.scale_jitter), unlabelled)
    kind = StreamedExamples if is_stream(rows) else Examples
    return kind(
        rows, task, config.crop, config.seed, range(0), config.scale_jitter, config.paste, names, config.square
    )


def claim_output(config: TrainConfig, facts: dict[str, Any], accelerator: Accelerator) -> TextIO | None:
    """Makes the output folder of a run that will write one, and starts the tracker, on the main process.

    Returns:
        The open file that keeps other runs out.
    """
    lock = None
    accelerator.wait_for_everyone()
    if accelerator.is_main_process and not config.plan:
        output = Path(config.output)
        settings = vars(config) | {name: facts[name] for name in ("processes", "precision")}
        settings["fingerprint"] = facts["data"]
        lock = open_output(output, settings)
        start_tracker(accelerator, output, settings)
        begin_output(output, settings)
    accelerator.wait_for_everyone()
    return lock


def loop_settings(config: TrainConfig, processor: BaseImageProcessor, processes: int) -> LoopSettings:
    """The options that the loop needs."""
    return LoopSettings(
        output=Path(config.output),
        steps=config.steps,
        crops_per_update=config.batch_size * config.accumulate * processes,
        validate_every=config.validate_every or max(1, config.steps // 10),
        stage_wise_steps=config.stagewise_share * config.steps if config.teacher_features else 0,
        seed=config.seed,
        half=config.half,
        processor=processor,
    )


def run_all(config: TrainConfig) -> None:
    """The whole run: data, network, steps with validations, model folder."""
    check_not_split()
    accelerator = make_accelerator(config)
    set_seed(config.seed)
    splits, task = open_task(config.data, config.task, config.streaming, dot_settings(config), label_settings(config))
    weights = config.model or DEFAULT_INITIAL_WEIGHTS[config.network]
    origin = origins([weights, config.teacher])
    network, newly_initialised = initialise_network(config.network, weights, task, network_settings(config), origin)
    if accelerator.is_main_process and not (config.streaming or config.resume):
        faults = summary(config.data)
        if faults:
            print(faults, flush=True)
    unlabelled = find_pictures(Path(config.unlabelled)) if config.unlabelled else []
    examples, processor = make_examples(config, task, splits, unlabelled), make_processor(config.side, config.square)
    criterion = make_distillation_loss(network, config.teacher, config.teacher_features, processor, examples)
    facts = {"processes": accelerator.num_processes, "precision": accelerator.mixed_precision, "origin": origin}
    facts |= {"device": accelerator.device.type} | made_with(splits, extra_inputs(config.teacher, unlabelled))
    lock = claim_output(config, facts, accelerator)
    run = start_run(network, newly_initialised, config.learning_rate)
    if config.resume:
        skipped = load_newest(Path(config.output), run)
        words = f", without {', '.join(skipped)}, which is damaged or not finished" if skipped else ""
        accelerator.print(f"Going on from step {run.step}{words}.")
    settings = loop_settings(config, processor, accelerator.num_processes)
    batch_size = fitting_batch_size(criterion, examples, config.batch_size, settings, accelerator)
    numbers = range(run.step * settings.crops_per_update, config.steps * settings.crops_per_update)
    loader = make_loader(replace(examples, numbers=numbers), batch_size, config.workers, accelerator)
    if config.plan:
        accelerator.print(dry_run(run, criterion, loader, splits, settings, accelerator))
    else:
        train_loop(run, criterion, loader, splits["validation"], settings, accelerator)
        if lock:
            finish(run, config, splits, facts)
            lock.close()
    accelerator.end_training()
