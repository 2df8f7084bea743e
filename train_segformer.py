"""Fine-tunes a network to draw masks or to place dots: data set in, model folder out.

    python train_segformer.py --data my-set --output my-model
    python train_segformer.py --data my-set --output my-model --task dots

A plain SegFormer by default; `--network fcn` and `--network unet` train the two classic networks the same way.
"""

import copy
import math
import os
import shlex
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import InitProcessGroupKwargs, set_seed
from datasets import DatasetDict
from safetensors import SafetensorError
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import ConcatDataset, DataLoader
from tqdm import tqdm
from transformers import HfArgumentParser, PreTrainedModel, SegformerImageProcessorPil
from transformers.hf_argparser import HfArg

from carmask.checkpoints import CheckpointError, Run, all_checkpoints, load_newest, remove_checkpoints, save_checkpoint
from carmask.dataset_folder import DataError
from carmask.dot_rows import open_dots, swapped_pairs
from carmask.examples import LARGEST_ZOOM, SMALLEST_ZOOM, Examples, to_pixels
from carmask.interruption import leave_signals, noted_signals
from carmask.memory import keep_freed_memory
from carmask.model_folder import LOCK, RunError, check_output, check_same_data, make_output, save_model
from carmask.optimizer import make_optimizer, rate_factor
from carmask.pairs import find_pictures
from carmask.predictor import ModelError, Predictor, load_network
from carmask.provenance import code_revision, fingerprint, versions
from carmask.reports import BEST, headline, validate, write_report, write_worst
from carmask.rows import GreyRows, check_split, open_data, row_name, unlabelled_rows
from carmask.starts import DEFAULT_STARTS, origins, start_network
from carmask.tasks import DotsTask, MaskTask
from carmask.teaching import Lesson

FEATURE_CROPS = 256  # on which a teacher's features are measured
MOST_NAMED = 8  # files in a sentence


@dataclass(frozen=True)
class TrainConfig:
    """Everything one training run depends on; it stands in the model card."""

    data: str = HfArg(help="Folder of data_scripts/ or save_to_disk, or a data set of the Hub.")
    output: str = HfArg(help="Model folder to write.")
    model: str = HfArg(default="", help="Start: a model folder or backbone, one of the Hub, or scratch-b0, -b1, -b2.")
    task: Literal["mask", "dots"] = HfArg(default="mask", help="What the network learns: a mask, or named dots.")
    network: Literal["segformer", "fcn", "unet"] = HfArg(default="segformer", help="Which network to train.")
    settings: list[str] = HfArg(default_factory=list, help="Its own settings: skips=2, depth=3 (docs/networks.md).")
    sigma: float = HfArg(default=0.03, help="Dots: radius of the painted bumps as a share of the crop's side.")
    focal: float = HfArg(default=0.0, help="Dots: power of focal weighting, 0 for none, 2 is usual.")
    swap: str = HfArg(default="", help="Dots: names that mirroring swaps, as a:b,c:d (default: left and right ones).")
    teacher: str = HfArg(default="", help="Model folder whose soft masks the network learns as well.")
    unlabelled: str = HfArg(default="", help="Folder of more pictures, for the teacher alone to label.")
    teacher_features: bool = HfArg(default=False, help="Learn its features too, stage by stage, then chained.")
    forced_share: float = HfArg(default=0.3, help="Share of the steps in which each stage learns on its own.")
    steps: int = HfArg(default=2000, help="Updates of the weights.")
    batch_size: int = HfArg(default=8, help="Crops per process and step.")
    accumulate: int = HfArg(default=1, help="Batches per update.")
    crop: int = HfArg(default=256, help="Side of the training crops in pixels, a multiple of 32.")
    largest_zoom: float = HfArg(default=LARGEST_ZOOM, help="Longest a picture is in a crop, in sides of the crop.")
    paste: float = HfArg(default=0.0, help="Masks: share of the crops that get what another crop shows of a car.")
    side: int = HfArg(default=512, help="Long side in pixels at which the network will see pictures.")
    learning_rate: float = HfArg(default=2e-4, help="Highest AdamW step size; new parts use 5 times as much.")
    weight_decay: float = HfArg(default=0.02, help="AdamW weight decay.")
    warmup: float = HfArg(default=0.03, help="Share of the steps in which the step size rises.")
    average: float = HfArg(default=0.998, help="Decay of the running average of the weights, which is what is kept.")
    validate_every: int = HfArg(default=0, help="Steps between validations and checkpoints (0: a tenth of all).")
    workers: int = HfArg(default=1, help="Processes that prepare crops.")
    mixed_precision: Literal["no", "bf16", "fp16"] = HfArg(default="no", help="Lower precision where accelerate can.")
    seed: int = HfArg(default=0, help="Fixes every random choice.")
    half: bool = HfArg(default=False, help="Store the weights as float16, half the size.")
    overwrite: bool = HfArg(default=False, help="Replace an existing output.")
    resume: bool = HfArg(default=False, help="Go on from the last checkpoint in the output.")


RANGES = {
    "steps": (1, math.inf), "batch_size": (1, math.inf), "accumulate": (1, math.inf), "side": (32, math.inf),
    "validate_every": (0, math.inf), "workers": (0, math.inf), "seed": (0, math.inf), "learning_rate": (0, 1),
    "weight_decay": (0, 1), "warmup": (0, 1), "average": (0, 1), "forced_share": (0, 1), "paste": (0, 1),
    "sigma": (0.001, 0.5), "focal": (0, 10), "largest_zoom": (SMALLEST_ZOOM, 100),
}  # fmt: skip


def check(config: TrainConfig) -> None:
    """Finds what is wrong with the arguments before anything is read or written.

    Raises:
        RunError: a number out of range, options that do not fit, or an output that is in the way.
    """
    if config.crop < 32 or config.crop % 32:
        raise RunError(f"--crop is {config.crop}; it must be a multiple of 32.")
    for name, (low, high) in RANGES.items():
        if not low <= getattr(config, name) <= high:
            raise RunError(f"--{name} is {getattr(config, name)}; it must lie between {low} and {high}.")
    if config.teacher_features and not (config.teacher and config.network == "segformer"):
        raise RunError("--teacher_features needs a --teacher and --network segformer.")
    if config.unlabelled and not config.teacher:
        raise RunError("--unlabelled pictures need a --teacher that labels them.")
    if config.paste and config.task == "dots":
        raise RunError("--paste is for masks; leave it out with --task dots.")
    if config.teacher and config.task == "dots":
        raise RunError("A --teacher teaches masks alone; leave it out with --task dots.")
    check_output(Path(config.output), vars(config), vars(TrainConfig(data="", output="")))


def open_task(config: TrainConfig) -> tuple[DatasetDict, MaskTask | DotsTask]:
    """The data set, and what its truth means.

    Raises:
        DataError: there is no such data, or it lacks the truth, or has no dots of the names to swap.
    """
    if config.task == "mask":
        return open_data(config.data), MaskTask()
    splits, entries = open_dots(config.data)
    pairs = swapped_pairs(entries, config.swap)
    return splits, DotsTask.from_entries(entries, pairs=pairs, sigma=config.sigma, focal=config.focal)


def start_run(config: TrainConfig, network: PreTrainedModel, fresh: set[str]) -> Run:
    """A new run of `network`, or the run of the last checkpoint."""
    optimizer = make_optimizer(network, fresh, config.learning_rate, config.weight_decay)
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
    processor = make_processor(config)
    loader = DataLoader(examples, config.batch_size, num_workers=config.workers, worker_init_fn=leave_signals)
    lesson, optimizer, loader = accelerator.prepare(lesson, run.optimizer, loader)
    run.averaged.to(accelerator.device)
    lesson.train()
    bar = tqdm(total=config.steps, initial=run.step, desc="Training", disable=not accelerator.is_main_process)
    with noted_signals() as noted, bar:
        for batch in loader:
            # Dropout depends on the step alone, as the examples do, so a resumed run goes on exactly as it would have.
            step_seed = (config.seed * config.steps + run.step) * accelerator.num_processes
            torch.manual_seed(step_seed + accelerator.process_index)
            with accelerator.accumulate(lesson):
                forced = config.teacher_features and run.step < config.forced_share * config.steps
                loss = lesson(to_pixels(batch["grey"], processor), batch["target"], run.step, forced)
                factor = rate_factor(run.step, config.steps, config.warmup)
                gradient = descend(loss, lesson, optimizer, accelerator, factor)
            loss, asked = over_processes(accelerator, loss, float(bool(noted)))
            if not math.isfinite(loss + gradient):
                what = f"The loss is {loss} and its gradient {gradient} at step {run.step}"
                raise RunError(f"{what}, learnt from {learnt_from(run.step, examples, config, splits)}")
            run.losses.append(loss)
            if not accelerator.sync_gradients:
                continue
            run.step += 1
            bar.update()
            bar.set_postfix(loss=f"{np.mean(run.losses[-50:]):.3f}")
            run.update_average(min(config.average, run.step / (run.step + 10)))
            after_update(run, config, accelerator, splits, stop=asked > 0)


def over_processes(accelerator: Accelerator, loss: Tensor, asked: float) -> list[float]:
    """The means over all processes of the loss, and of whether a process was asked to stop."""
    both = torch.stack([loss.detach().float(), torch.tensor(asked, device=loss.device)])
    return accelerator.reduce(both, "mean").tolist()


def descend(loss: Tensor, lesson: Lesson, optimizer: Optimizer, accelerator: Accelerator, factor: float) -> float:
    """Adds to the gradient, and after an update's last batch takes the step at `factor` of the highest rates.

    Returns:
        The gradient's length; 0 before the last batch, and with fp16, where accelerate leaves out infinite ones.
    """
    accelerator.backward(loss)
    length = 0.0
    if accelerator.sync_gradients:
        length = float(accelerator.clip_grad_norm_(lesson.parameters(), 1.0))
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
    optimizer.step()
    optimizer.zero_grad()
    return length if accelerator.scaler is None else 0.0


def learnt_from(step: int, examples: Examples, config: TrainConfig, splits: DatasetDict) -> str:
    """The files that all processes together learn from in one step, and what to do if that went wrong."""
    size, labelled = examples.numbers.stop // config.steps, splits["train"]
    rows = sorted({examples.row(number) for number in range(step * size, (step + 1) * size)})
    names = [row_name(labelled, row) for row in rows if row < len(labelled)]
    if config.unlabelled:
        files = find_pictures(Path(config.unlabelled))
        names += [str(files[row - len(labelled)]) for row in rows if row >= len(labelled)]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    remedy = "go on with --resume" if all_checkpoints(Path(config.output)) else "start again"
    return f"{', '.join(names[:MOST_NAMED])}{more}. Look at these, or {remedy} and half the --learning_rate."


def after_update(run: Run, config: TrainConfig, accelerator: Accelerator, splits: DatasetDict, stop: bool) -> None:
    """Keeps the run every so often, and before it stops.

    Raises:
        RunError: it stops here.
    """
    due = run.step % (config.validate_every or max(1, config.steps // 10)) == 0 or run.step == config.steps
    if accelerator.is_main_process and due:
        keep(run, config, splits)
    elif accelerator.is_main_process and stop:
        save_checkpoint(Path(config.output), run)
    if due or stop:
        accelerator.wait_for_everyone()
    if due:
        run.losses.clear()
    if stop:
        raise RunError(f"Stopped after step {run.step}.{way_on(config)}")


def way_on(config: TrainConfig) -> str:
    """How a run that ended too early goes on, if it does, as one more sentence."""
    checkpoints = all_checkpoints(Path(config.output))
    return f" The same command with --resume goes on from {checkpoints[0].name}." if checkpoints else ""


def keep(run: Run, config: TrainConfig, splits: DatasetDict) -> None:
    """Validates the averaged weights, keeps them if they are the best so far, and writes a checkpoint."""
    output = Path(config.output)
    predictor = Predictor.from_network(run.averaged, make_processor(config))
    scores, _ = validate(predictor, splits["validation"], calibrate=True)
    loss = float(np.mean(run.losses))
    run.losses.clear()
    line = {"step": run.step, "loss": loss} | scores["all"]
    best = max((old[BEST[config.task]] for old in run.history), default=-1.0)
    run.history.append(line)
    tqdm.write(f"step {run.step}: loss {loss:.3f}, {headline(config.task, scores)}")
    if line[BEST[config.task]] > best:
        run.averaged.config.threshold = line.get("threshold", predictor.threshold)
        save_model(output, run.averaged, make_processor(config), config.half)
    save_checkpoint(output, run)


def make_processor(config: TrainConfig) -> SegformerImageProcessorPil:
    """What turns pictures into pixels: the long side fits `config.side`, the shape is kept."""
    return SegformerImageProcessorPil(size={"max_height": config.side, "max_width": config.side})


def finish(run: Run, config: TrainConfig, splits: DatasetDict, facts: dict[str, str | list[str]]) -> None:
    """Scores the best model on validation and, if there is one, test; writes the model card and the pictures."""
    output = Path(config.output)
    predictor = Predictor.from_pretrained(output)
    scores = {}
    for split in [name for name in ("validation", "test") if name in splits]:
        scores[split], worst = validate(predictor, splits[split], worst=12)
        write_worst(output, worst)
    facts = facts | {"network": config.network, "side": config.side, "seed": config.seed}
    facts |= {"task": config.task, "labels": predictor.task.labels}
    write_report(output, facts, splits["train"], scores, run.history)
    remove_checkpoints(output)
    (output / LOCK).unlink()
    variable = {"mask": "CARMASK_MODEL", "dots": "CARMASK_DOTS_MODEL"}[config.task]
    print(f"The model is in {output}. Try it: {variable}={shlex.quote(str(output))} python app.py")


def train(config: TrainConfig) -> None:
    """The whole run: data, network, steps with validations, model folder."""
    check(config)
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=6))  # the others wait while one validates
    accelerator = Accelerator(
        mixed_precision=config.mixed_precision,
        gradient_accumulation_steps=config.accumulate,
        kwargs_handlers=[patience],
    )
    set_seed(config.seed)
    splits, task = open_task(config)
    start = config.model or DEFAULT_STARTS[config.network]
    starts = origins([start, config.teacher])
    network, fresh = start_network(config.network, start, task, config.settings, starts)
    rows = GreyRows(splits["train"], int(config.crop * config.largest_zoom))
    if config.unlabelled:
        rows = ConcatDataset([rows, unlabelled_rows(Path(config.unlabelled), int(config.crop * config.largest_zoom))])
    for name in set(splits) - {"train"}:
        check_split(splits[name])
    try:
        lesson = Lesson(network, task, load_network(config.teacher) if config.teacher else None)
        if config.teacher_features:
            crops = Examples(rows, task, config.crop, config.seed + 1, range(FEATURE_CROPS), config.largest_zoom)
            lesson.fit_features(to_pixels(batch["grey"], make_processor(config)) for batch in DataLoader(crops, 16))
    except ValueError as error:
        raise RunError(f"The teacher {config.teacher} cannot teach: {error}") from error
    accelerator.wait_for_everyone()
    facts = {"origin": starts, "processes": accelerator.num_processes, "device": accelerator.device.type}
    facts |= {"command": shlex.join(["python", *sys.argv]), "code": code_revision(), "versions": versions()}
    if accelerator.is_main_process:
        facts["data"] = fingerprint(splits)
        if config.resume:
            check_same_data(Path(config.output), facts["data"])
        lock = make_output(Path(config.output), vars(config) | {"fingerprint": facts["data"]})
    accelerator.wait_for_everyone()
    run = start_run(config, network, fresh)
    batch = config.batch_size * config.accumulate * accelerator.num_processes
    numbers = range(run.step * batch, config.steps * batch)
    examples = Examples(rows, task, config.crop, config.seed, numbers, config.largest_zoom, config.paste)
    teach(run, lesson, config, accelerator, examples, splits)
    if accelerator.is_main_process:
        finish(run, config, splits, facts)
        lock.close()
    accelerator.end_training()


def main() -> int:
    """Trains as the command line says; returns the exit code."""
    parser = HfArgumentParser(TrainConfig, description=__doc__.splitlines()[0])
    config, unknown = parser.parse_args_into_dataclasses(return_remaining_strings=True)
    if unknown:
        parser.error(f"there is no option {unknown[0]}; --help lists them all")
    keep_freed_memory()
    try:
        train(config)
        return 0
    except (DataError, ModelError, RunError, CheckpointError) as error:
        sentence = str(error)
    except OSError as error:
        sentence = f"{error.filename or 'The disk'}: {error.strerror or error}.{way_on(config)}"
    except SafetensorError as error:
        sentence = f"{config.output} cannot be written: {error}.{way_on(config)}"
    except KeyboardInterrupt:
        sentence = f"Stopped at once.{way_on(config)}"
    if os.environ.get("RANK", "0") == "0":
        print(f"train_segformer: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
