"""Fine-tunes a network to draw masks or to place dots: data set in, model folder out.

    python train_segformer.py --data my-set --output my-model
    python train_segformer.py --data my-set --output my-model --task dots

A plain SegFormer by default; `--network fcn` and `--network unet` train the two classic networks the same way.
"""

import copy
import os
import shlex
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import InitProcessGroupKwargs, set_seed
from datasets import DatasetDict
from safetensors import SafetensorError
from torch.utils.data import ConcatDataset, DataLoader
from tqdm import tqdm
from transformers import HfArgumentParser, PreTrainedModel

from carmask.checkpoints import CheckpointError, Run, load_newest, remove_checkpoints, save_checkpoint
from carmask.dataset_folder import DataError
from carmask.dot_rows import open_dots, swapped_pairs
from carmask.examples import Examples, Pair, to_pixels
from carmask.interruption import check_finite, leave_signals, noted_signals, way_on
from carmask.memory import fitting, keep_freed_memory
from carmask.model_folder import LOCK, LOGS, RunError, make_output, save_model
from carmask.optimizer import descend, make_optimizer, rate_factor
from carmask.plan import plan
from carmask.predictor import ModelError, Predictor, load_network
from carmask.provenance import made_with
from carmask.reports import BEST, headline, validate, write_report, write_worst
from carmask.rows import GreyRows, check_split, open_data, unlabelled_rows
from carmask.starts import DEFAULT_STARTS, origins, start_network
from carmask.tasks import DotsTask, MaskTask
from carmask.teaching import Lesson
from carmask.trackers import start_tracker, tell
from carmask.train_config import TrainConfig, check, make_processor

FEATURE_CROPS = 256  # on which a teacher's features are measured


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
    run.timed = run.step, time.perf_counter()
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
            both = torch.stack([loss.detach().float(), torch.tensor(float(bool(noted)), device=loss.device)])
            loss, asked = accelerator.reduce(both, "mean").tolist()
            check_finite(loss, gradient, run.step, examples, config, splits)
            run.losses.append(loss)
            if not accelerator.sync_gradients:
                continue
            run.step += 1
            bar.update()
            bar.set_postfix(loss=f"{np.mean(run.losses[-50:]):.3f}")
            run.update_average(min(config.average, run.step / (run.step + 10)))
            after_update(run, config, accelerator, splits, stop=asked > 0)


def after_update(run: Run, config: TrainConfig, accelerator: Accelerator, splits: DatasetDict, stop: bool) -> None:
    """Keeps the run every so often, and before it stops.

    Raises:
        RunError: it stops here.
    """
    due = run.step % (config.validate_every or max(1, config.steps // 10)) == 0 or run.step == config.steps
    if accelerator.is_main_process and due:
        keep(run, config, accelerator, splits)
    elif accelerator.is_main_process and stop:
        save_checkpoint(Path(config.output), run)
    if due or stop:
        accelerator.wait_for_everyone()
    if due:
        run.losses.clear()
    if stop:
        accelerator.end_training()
        raise RunError(f"Stopped after step {run.step}.{way_on(config.output)}")


def keep(run: Run, config: TrainConfig, accelerator: Accelerator, splits: DatasetDict) -> None:
    """Validates the averaged weights, keeps them if they are the best so far, tells, and writes a checkpoint."""
    output, pace = Path(config.output), (run.step - run.timed[0]) / (time.perf_counter() - run.timed[1])
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
    if accelerator.trackers:
        crops = config.batch_size * config.accumulate * accelerator.num_processes
        tell(accelerator, run, crops * pace, predictor, splits["validation"])
    run.timed = run.step, time.perf_counter()


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


def read_rows(config: TrainConfig, splits: DatasetDict) -> Sequence[Pair]:
    """The rows to learn from; every row of every split is read once, so that bad ones are met before the first step.

    Raises:
        DataError: a row cannot be used.
    """
    longest = int(config.crop * config.largest_zoom)
    rows = GreyRows(splits["train"], longest)
    if config.unlabelled:
        rows = ConcatDataset([rows, unlabelled_rows(Path(config.unlabelled), longest)])
    for name in set(splits) - {"train"}:
        check_split(splits[name])
    return rows


def make_lesson(
    config: TrainConfig, network: PreTrainedModel, task: MaskTask | DotsTask, rows: Sequence[Pair]
) -> Lesson:
    """What the network learns from a batch, with its teacher if there is one.

    Raises:
        RunError: the teacher cannot teach this network.
    """
    try:
        lesson = Lesson(network, task, load_network(config.teacher) if config.teacher else None)
        if config.teacher_features:
            crops = Examples(rows, task, config.crop, config.seed + 1, range(FEATURE_CROPS), config.largest_zoom)
            lesson.fit_features(to_pixels(batch["grey"], make_processor(config)) for batch in DataLoader(crops, 16))
        return lesson
    except ValueError as error:
        raise RunError(f"The teacher {config.teacher} cannot teach: {error}") from error


def train(config: TrainConfig) -> None:
    """The whole run: data, network, steps with validations, model folder."""
    check(config)
    output, patience = Path(config.output), timedelta(hours=6)  # the others wait while one validates
    accelerator = Accelerator(
        mixed_precision=config.mixed_precision,
        gradient_accumulation_steps=config.accumulate,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=patience)],
        log_with=None if config.report_to == "none" else config.report_to,
        project_dir=str(output / LOGS),
    )
    set_seed(config.seed)
    splits, task = open_task(config)
    start = config.model or DEFAULT_STARTS[config.network]
    starts = origins([start, config.teacher])
    network, fresh = start_network(config.network, start, task, config.settings, starts)
    rows = read_rows(config, splits)
    lesson = make_lesson(config, network, task, rows)
    facts = {"origin": starts, "processes": accelerator.num_processes, "device": accelerator.device.type}
    facts |= made_with(splits)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process and not config.plan:
        lock = make_output(output, vars(config) | {"fingerprint": facts["data"]})
    accelerator.wait_for_everyone()
    run = start_run(config, network, fresh)
    batch = config.batch_size * config.accumulate * accelerator.num_processes
    numbers = range(run.step * batch, config.steps * batch)
    examples = Examples(rows, task, config.crop, config.seed, numbers, config.largest_zoom, config.paste)
    if numbers:
        config = fitting(config, lesson, examples[0], make_processor(config), accelerator)
    if config.plan:
        accelerator.print(plan(run, lesson, config, accelerator, examples, splits))
        accelerator.end_training()
        return
    start_tracker(accelerator, output, vars(config), goes_on=config.resume)
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
        sentence = f"{error.filename or 'The disk'}: {error.strerror or error}.{way_on(config.output)}"
    except SafetensorError as error:
        sentence = f"{config.output} cannot be written: {error}.{way_on(config.output)}"
    except KeyboardInterrupt:
        sentence = f"Stopped at once.{way_on(config.output)}"
    if os.environ.get("RANK", "0") == "0":
        print(f"train_segformer: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
