"""The command line: pictures and folders of pictures in, a mask or a file of dots per picture out."""

import argparse
import io
import os
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import distributed
from tqdm import tqdm

from carmask.files.disk import write_whole
from carmask.files.pictures import ENDINGS, PictureError, open_reduced, pictures_below
from carmask.inference.predictor import EMBEDDED, ModelError, Predictor, check_task
from carmask.tasks.auto import CAR_LABELS
from carmask.tasks.dot_files import dots_as_csv, dots_as_json
from carmask.tasks.dots_task import Dot

ANSWERS = {"mask": "_mask.png", "dots": "_dots.json"}  # what the name of an answer's file ends on

MOST_WORKERS = 8  # pictures in memory at a time


def probability(text: str) -> float:
    """Reads a threshold, a number between 0 and 1 (both excluded)."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return value


def times(text: str) -> float:
    """Reads how many times as large the network shall see a picture, from 1 to 100."""
    value = float(text)
    if not 1 <= value <= 100:
        raise argparse.ArgumentTypeError("must be between 1 and 100")
    return value


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m carmask",
        description="Writes NAME_mask.png for each picture; with a model for dots NAME_dots.json, and one dots.csv.",
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="PICTURE_OR_FOLDER", help="folders keep sub-folders")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where the answers go")
    parser.add_argument("--model", help="model folder or model of the Hub; it knows its task")
    parser.add_argument(
        "--car-labels", default=CAR_LABELS, type=lambda names: names.split(","), metavar="NAME,NAME",
        help="the labels that mean car, in a model that has many (default: car)",
    )  # fmt: skip
    parser.add_argument("--task", choices=list(ANSWERS), help="demand this task (default: what the model does)")
    parser.add_argument(
        "--threshold", type=probability, help="probability above which a pixel is car, or a dot is in the picture"
    )
    parser.add_argument(
        "--tiles",
        type=times,
        default=1.0,
        metavar="TIMES",
        help="see a picture up to so many times as large, piece by piece: for small cars in large pictures",
    )
    return parser.parse_args(argv)


def find_pictures(inputs: list[Path], out: Path) -> Iterator[tuple[Path, Path]]:
    """Pairs each picture with its answer's path, without the ending: in `out`, in the sub-folders of its input."""
    for given in inputs:
        if not given.is_dir():
            yield given, out / given.stem
            continue
        for path in pictures_below(given):
            if not is_mask(path, given, out):
                yield path, out / path.relative_to(given).with_name(path.stem)


def is_mask(path: Path, given: Path, out: Path) -> bool:
    """Whether `path` below the input folder `given` is a mask that an earlier run wrote to `out`."""
    if given.resolve() in out.resolve().parents:
        return out.resolve() in path.resolve().parents
    partner = path.stem.removesuffix("_mask")
    return path.stem != partner and any(path.with_name(partner + ending).exists() for ending in ENDINGS)


def plan_answers(inputs: list[Path], out: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Lists each picture with its answer's path, once; and says which pictures would replace another one's answer."""
    planned: dict[Path, Path] = {}
    refused = []
    for picture, target in find_pictures(inputs, out):
        first = planned.setdefault(target, picture)
        if first.resolve() != picture.resolve():
            refused.append(f"{picture}: its answer would replace that of {first}; rename one of the two.")
    return [(picture, target) for target, picture in planned.items()], refused


def write_answer(predictor: Predictor, picture: Path, target: Path) -> list[Dot]:
    """Writes the answer for one picture file to `target` and an ending: a mask as PNG or dots as JSON.

    Returns:
        The dots, if the model places dots.

    Raises:
        PictureError: the picture is refused.
        OSError: the answer cannot be written.
    """
    opened, size = open_reduced(picture, predictor.seen_size)
    answer = predictor(opened, size)
    target.parent.mkdir(parents=True, exist_ok=True)
    target = target.with_name(target.name + ANSWERS[predictor.task.kind])
    if predictor.task.kind == "dots":
        text = dots_as_json(picture.name, size, answer)
        write_whole(target, text.encode())
        return answer
    write_whole(target, mask_as_png(answer))
    return []


def mask_as_png(mask: np.ndarray) -> bytes:
    """The content of a PNG file of a mask, uint8 (height, width)."""
    store = io.BytesIO()
    Image.fromarray(mask).save(store, "PNG", compress_type=zlib.Z_RLE)  # as small for masks, and faster
    return store.getvalue()


def write_answers(
    predictor: Predictor, planned: list[tuple[Path, Path]], workers: int, quiet: bool
) -> tuple[list[tuple[Path, list[Dot]]], list[str]]:
    """Writes answers in several threads, each with one picture at a time from file to file.

    Returns:
        The path and the dots of each answer written, and what failed, in sentences.
    """

    def answer(picture: Path, target: Path) -> tuple[Path, list[Dot]] | str:
        try:
            return target.with_name(picture.name), write_answer(predictor, picture, target)
        except PictureError as error:
            return f"{picture}: {error}"
        except OSError as error:
            return f"{picture}: its answer cannot be written to {target.parent} ({error.strerror})."

    with ThreadPoolExecutor(workers) as pool:
        answers = pool.map(answer, *zip(*planned, strict=True)) if planned else ()
        try:
            results = [*tqdm(answers, total=len(planned), disable=quiet or None, unit="picture")]
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    return [result for result in results if not isinstance(result, str)], [
        result for result in results if isinstance(result, str)
    ]


def gather(value: list) -> list[list]:
    """The values of all processes that a launcher started; waits for the slowest, so that none is stopped."""
    processes = int(os.environ.get("WORLD_SIZE", 1))
    if processes == 1:
        return [value]
    gathered = [None] * processes
    distributed.init_process_group("gloo", timeout=timedelta(days=30))
    distributed.all_gather_object(gathered, value)
    distributed.destroy_process_group()
    return gathered


def write_table(predictor: Predictor, written: list[tuple[Path, list[Dot]]], out: Path) -> list[str]:
    """Writes the dots of all pictures to one dots.csv, if the model places dots; returns what failed."""
    if predictor.task.kind != "dots" or not written:
        return []
    lines = [(path.relative_to(out).as_posix(), dots) for path, dots in written]
    try:
        write_whole(out / "dots.csv", dots_as_csv(sorted(lines)).encode())
    except OSError as error:
        return [f"{out / 'dots.csv'} cannot be written ({error.strerror})."]
    return []


def open_model(arguments: argparse.Namespace, threads: int) -> Predictor:
    """Opens the model that the command line asks for, to take `threads` for one picture where it is exported.

    Raises:
        ModelError: it cannot be used, or does not do the task that is demanded.
    """
    model = arguments.model or EMBEDDED[arguments.task or "mask"]
    if not arguments.model and not model.is_dir():
        raise ModelError(f"There is no model for --task {arguments.task} here yet; name one with --model.")
    predictor = Predictor.from_pretrained(model, threads, arguments.car_labels)
    predictor = replace(predictor, tiles=arguments.tiles)
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
    torch.set_num_threads(min(cores // workers, torch.get_num_threads()))
    try:
        predictor = open_model(arguments, cores // workers)
    except ModelError as error:
        print(f"carmask: {error}", file=sys.stderr)
        return 1
    start = time.monotonic()
    written, failed = write_answers(predictor, planned, workers, quiet=process > 0)
    for line in failed:
        print(f"carmask: {line}", file=sys.stderr)
    shares = gather([written, failed])
    written, failed = (sum((share[part] for share in shares), []) for part in (0, 1))
    failed += refused
    if process == 0:
        rate = len(written) / max(time.monotonic() - start, 1e-9)
        kind = {"mask": "masks", "dots": "files of dots"}[predictor.task.kind]
        count = f"{len(written)} {kind} written to {arguments.out} ({rate:.1f} pictures/s)"
        print(f"{count}, {len(failed)} pictures failed.")
        unwritten = write_table(predictor, written, arguments.out)
        for line in refused + unwritten:
            print(f"carmask: {line}", file=sys.stderr)
        failed += unwritten
        if not everything:
            print("carmask: there are no pictures in what was given.", file=sys.stderr)
    return int(bool(failed) or not written)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("carmask: stopped; the answers written so far are whole.")
