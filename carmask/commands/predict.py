"""The command line: pictures and folders of pictures in, a mask or a file of dots per picture out."""

import argparse
import os
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from carmask.command_line import probability, times
from carmask.data.object_choice import add_object_labels
from carmask.errors import ModelError
from carmask.inference.folders import ANSWERS, MOST_WORKERS, plan_answers, write_answers, write_table
from carmask.inference.loading import EMBEDDED
from carmask.inference.predictor import Predictor, check_task
from carmask.inference.runtimes import RUNTIMES


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="carmask predict",
        description="Writes NAME_mask.png for each picture; with a model for dots NAME_dots.json, and one dots.csv.",
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="PICTURE_OR_FOLDER", help="folders keep sub-folders")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where the answers go")
    parser.add_argument("--model", help="model folder or model of the Hub; it knows its task")
    add_object_labels(parser)
    words = "what runs the network (default: onnx, where it is installed and the model has a model.onnx)"
    parser.add_argument("--runtime", choices=RUNTIMES, default="", help=words)
    parser.add_argument("--task", choices=list(ANSWERS), help="demand this task (default: what the model does)")
    words = "probability above which a pixel is in the mask, or a dot is in the picture"
    parser.add_argument("--threshold", type=probability, help=words)
    words = "sliding-window inference: see a picture up to so many times as large, for small objects"
    parser.add_argument("--sliding-window", type=times, default=1.0, metavar="TIMES", help=words)
    return parser.parse_args(argv)


def gather(value: list) -> list[list]:
    """The values of all processes that a launcher started; waits for the slowest, so that none is stopped."""
    processes = int(os.environ.get("WORLD_SIZE", 1))
    if processes == 1:
        return [value]
    from torch import distributed

    gathered: list[list] = [[]] * processes
    distributed.init_process_group("gloo", timeout=timedelta(days=30))
    distributed.all_gather_object(gathered, value)
    distributed.destroy_process_group()
    return gathered


def open_predictor(arguments: argparse.Namespace, threads: int) -> Predictor:
    """Opens the model that the command line asks for, to take `threads` for one picture.

    Raises:
        ModelError: it cannot be used, or does not do the task that is demanded.
    """
    model = arguments.model or EMBEDDED[arguments.task or "mask"]
    predictor = Predictor.from_pretrained(model, threads, arguments.object.classes, arguments.runtime)
    predictor = replace(predictor, magnification=arguments.sliding_window)
    if arguments.task:
        check_task(predictor, arguments.task)
    return predictor.with_threshold(arguments.threshold) if arguments.threshold else predictor


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns 0, or 1 if anything failed."""
    arguments = parse_arguments(argv)
    process, processes = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    everything, refused = plan_answers(arguments.inputs, arguments.out)
    planned = everything[process::processes]  # under torchrun or accelerate launch each process takes its share
    cores = max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    workers = max(1, min(cores, MOST_WORKERS, len(planned)))
    try:
        predictor = open_predictor(arguments, cores // workers)
    except ModelError as error:
        print(f"carmask predict: {error}", file=sys.stderr)
        return 1
    start = time.monotonic()
    written, failed = write_answers(predictor, planned, workers, quiet=process > 0)
    for line in failed:
        print(f"carmask predict: {line}", file=sys.stderr)
    shares = gather([written, failed])
    written, failed = (sum((share[part] for share in shares), []) for part in (0, 1))
    failed += refused
    if process == 0:
        unwritten = write_table(predictor, written, arguments.out)
        rate = len(written) / max(time.monotonic() - start, 1e-9)
        kind = {"mask": "masks", "dots": "files of dots"}[predictor.task.kind]
        count = f"{len(written)} {kind} written to {arguments.out} ({rate:.1f} pictures/s)"
        print(f"{count}, {len(failed)} pictures failed.")
        for line in refused + unwritten:
            print(f"carmask predict: {line}", file=sys.stderr)
        failed += unwritten
        if not everything:
            print("carmask predict: there are no pictures in what was given.", file=sys.stderr)
    return int(bool(failed) or not written)
