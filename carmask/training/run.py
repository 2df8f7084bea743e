"""One training run: data set in, a network that learns step by step, model folder out."""

import copy
import os
import shlex
from datetime import timedelta
from pathlib import Path

from accelerate import Accelerator, PartialState
from accelerate.utils import InitProcessGroupKwargs, set_seed
from datasets import DatasetDict
from safetensors import SafetensorError
from transformers import PreTrainedModel

from carmask.errors import CheckpointError, DataError, ModelError, RunError
from carmask.evaluation.figures import write_worst
from carmask.evaluation.validation import validate
from carmask.files.system import keep_freed_memory
from carmask.hub.licences import origins
from carmask.hub.model_card import describe_inference_settings, write_report
from carmask.hub.provenance import made_with
from carmask.hub.upload import PublishError, upload
from carmask.inference.model_folder import LOCK, LOGS
from carmask.inference.predictor import Predictor
from carmask.networks.initial_weights import DEFAULT_INITIAL_WEIGHTS, initialise_network
from carmask.training.checkpoints import load_newest
from carmask.training.config import TrainConfig, network_settings
from carmask.training.dry_run import plan
from carmask.training.loader import make_examples
from carmask.training.loop import train_loop
from carmask.training.memory import fitting, out_of_memory
from carmask.training.optimizer import make_optimizer
from carmask.training.output_folder import begin_output, open_output, remove_checkpoints, resume_hint
from carmask.training.setup import beside, make_distillation_loss, open_task, read_rows, warn_of_faults
from carmask.training.state import Run
from carmask.training.trackers import start_tracker

SPLITTERS = ("FSDP", "DEEPSPEED", "MEGATRON_LM")  # what spreads the weights of a network over several GPUs


def start_run(config: TrainConfig, network: PreTrainedModel, newly_initialised: set[str]) -> Run:
    """A new run of `network`, or the run of the last checkpoint."""
    optimizer = make_optimizer(network, newly_initialised, config.learning_rate)
    run = Run(network, copy.deepcopy(network).eval().requires_grad_(False), optimizer)
    if config.resume:
        skipped = load_newest(Path(config.output), run)
        words = f", without {', '.join(skipped)}, which is not whole" if skipped else ""
        PartialState().print(f"Going on from step {run.step}{words}.")
    return run


def finish(run: Run, config: TrainConfig, splits: DatasetDict, facts: dict[str, str | list[str]]) -> None:
    """Scores the best model on validation and, if there is one, test; writes the model card and the pictures."""
    output = Path(config.output)
    predictor = Predictor.from_pretrained(output)
    scores = {}
    for split in [name for name in ("validation", "test") if name in splits]:
        scores[split], worst = validate(predictor, splits[split], worst=12)
        write_worst(output, worst)
    facts = facts | {"network": config.network, "look": describe_inference_settings(predictor), "seed": config.seed}
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
        again = shlex.join(["carmask", "publish", str(output), name])
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
        words = f"{error.filename or 'The disk'}: {error.strerror or error}.{resume_hint(config.output)}"
        raise RunError(words, this_process_only=True) from error
    except SafetensorError as error:
        raise RunError(f"{config.output} cannot be written: {error}.{resume_hint(config.output)}") from error
    except (RuntimeError, MemoryError) as error:
        if "DataLoader worker (pid" in str(error):  # "is killed by signal", or "exited unexpectedly"
            words = "A process that prepares crops was ended, mostly for want of memory; close what else runs here"
        elif out_of_memory(error):
            words = "Memory was not enough; close what else runs here, or start anew with a smaller --crop"
        else:
            raise
        raise RunError(f"{words}.{resume_hint(config.output)}", this_process_only=True) from error


def check_not_split() -> None:
    """Refuses to split the network over several GPUs: its EMA and its checkpoints need all of it in one process.

    Raises:
        RunError: accelerate was told to do so.
    """
    for name in SPLITTERS:
        if os.environ.get(f"ACCELERATE_USE_{name}", "false").lower() == "true":
            raise RunError(f"{name} splits a network, and these are small; use DDP: accelerate launch --multi_gpu.")


def run_all(config: TrainConfig) -> None:
    """The whole run: data, network, steps with validations, model folder."""
    output, patience = Path(config.output), timedelta(hours=6)  # the others wait while one validates
    check_not_split()
    accelerator = Accelerator(
        gradient_accumulation_steps=config.accumulate,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=patience)],
        log_with=None if config.report_to == "none" else config.report_to,
        project_dir=str(output / LOGS),
    )
    set_seed(config.seed)
    splits, task = open_task(config)
    start = config.model or DEFAULT_INITIAL_WEIGHTS[config.network]
    starts = origins([start, config.teacher])
    network, newly_initialised = initialise_network(config.network, start, task, network_settings(config), starts)
    warn_of_faults(config, accelerator)
    rows = read_rows(config, splits)
    criterion = make_distillation_loss(config, network, task, rows)
    way = {"processes": accelerator.num_processes, "precision": accelerator.mixed_precision}
    facts = way | {"origin": starts, "device": accelerator.device.type}
    facts |= made_with(splits, beside(config))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process and not config.plan:
        settings = vars(config) | way | {"fingerprint": facts["data"]}
        lock = open_output(output, settings)
        begin_output(output, settings | {"tracker_run": start_tracker(accelerator, output, settings)})
    accelerator.wait_for_everyone()
    run = start_run(config, network, newly_initialised)
    batch = config.batch_size * config.accumulate * accelerator.num_processes
    examples = make_examples(config, task, rows, range(run.step * batch, config.steps * batch))
    config = fitting(config, criterion, make_examples(config, task, rows, range(1)), accelerator)
    if config.plan:
        accelerator.print(plan(run, criterion, config, accelerator, examples, splits))
        accelerator.end_training()
        return
    train_loop(run, criterion, config, accelerator, examples, splits)
    if accelerator.is_main_process:
        finish(run, config, splits, facts)
        lock.close()
    accelerator.end_training()
