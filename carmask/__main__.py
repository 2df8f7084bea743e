"""The command line: pictures and folders of pictures in, one mask per picture out."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import torch
from PIL import Image
from torch import distributed
from tqdm import tqdm

from carmask.pictures import PictureError, open_picture
from carmask.predictor import ModelError, Predictor

DEFAULT_MODEL = Path(__file__).resolve().parent.parent / "models" / "car-mask-b0"
MOST_WORKERS = 8  # pictures in memory at a time
ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".mpo", ".jfif"}


def probability(text: str) -> float:
    """Reads a threshold, a number between 0 and 1 (both excluded)."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return value


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m carmask", description="Writes NAME_mask.png for each picture.")
    parser.add_argument("inputs", nargs="+", type=Path, metavar="PICTURE_OR_FOLDER", help="folders keep sub-folders")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where the masks go")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="model folder or model of the Hub")
    parser.add_argument("--threshold", type=probability, help="probability above which a pixel is car")
    return parser.parse_args(argv)


def find_pictures(inputs: list[Path], out: Path) -> Iterator[tuple[Path, Path]]:
    """Pairs each picture with its mask's path: in `out`, below the sub-folders that it has in its input folder."""
    for given in inputs:
        if not given.is_dir():
            yield given, out / f"{given.stem}_mask.png"
            continue
        for path in sorted(given.rglob("*")):
            inside = path.relative_to(given)
            hidden = any(part.startswith(".") for part in inside.parts)
            if path.suffix.lower() in ENDINGS and not hidden and not is_mask(path, given, out):
                yield path, out / inside.with_name(f"{path.stem}_mask.png")


def is_mask(path: Path, given: Path, out: Path) -> bool:
    """Whether `path` below the input folder `given` is a mask that an earlier run wrote to `out`."""
    if given.resolve() in out.resolve().parents:
        return out.resolve() in path.resolve().parents
    partner = path.stem.removesuffix("_mask")
    return path.stem != partner and any(path.with_name(partner + ending).exists() for ending in ENDINGS)


def write_mask(predictor: Predictor, picture: Path, target: Path) -> None:
    """Writes the mask of one picture file as a PNG; the target appears whole or not at all.

    Raises:
        PictureError: the picture is refused.
        OSError: the mask cannot be written.
    """
    mask = Image.fromarray(predictor(open_picture(picture)))
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        mask.save(unfinished, "PNG")
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def plan_masks(inputs: list[Path], out: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Lists each picture with its mask's path, once; and says which pictures would replace another one's mask."""
    planned: dict[Path, Path] = {}
    refused = []
    for picture, target in find_pictures(inputs, out):
        first = planned.setdefault(target, picture)
        if first.resolve() != picture.resolve():
            refused.append(f"{picture}: its mask would replace that of {first}; rename one of the two.")
    return [(picture, target) for target, picture in planned.items()], refused


def write_masks(predictor: Predictor, masks: list[tuple[Path, Path]], workers: int, quiet: bool) -> list[str]:
    """Writes masks in several threads, each with one picture at a time from file to file; returns what failed."""

    def failure(picture: Path, target: Path) -> str:
        try:
            write_mask(predictor, picture, target)
        except PictureError as error:
            return f"{picture}: {error}"
        except OSError as error:
            return f"{picture}: its mask cannot be written to {target} ({error.strerror})."
        return ""

    with ThreadPoolExecutor(workers) as pool:
        answers = pool.map(failure, *zip(*masks, strict=True)) if masks else ()
        return [line for line in tqdm(answers, total=len(masks), disable=quiet or None, unit="picture") if line]


def sum_over_processes(counts: list[int]) -> list[int]:
    """Adds up counts over all processes that a launcher started; waits for the slowest, so that none is stopped."""
    distributed.init_process_group("gloo", timeout=timedelta(days=30))
    total = torch.tensor(counts)
    distributed.all_reduce(total)
    distributed.destroy_process_group()
    return total.tolist()


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns 0, or 1 if anything failed."""
    arguments = parse_arguments(argv)
    process, processes = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    planned, refused = plan_masks(arguments.inputs, arguments.out)
    masks = planned[process::processes]  # under torchrun or accelerate launch each process takes its share
    cores = max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    workers = max(1, min(cores, MOST_WORKERS, len(masks)))
    torch.set_num_threads(min(cores // workers, torch.get_num_threads()))
    try:
        predictor = Predictor.from_pretrained(arguments.model, threads=cores // workers)
    except ModelError as error:
        print(f"carmask: {error}", file=sys.stderr)
        return 1
    if arguments.threshold:
        predictor = predictor.with_threshold(arguments.threshold)
    start = time.monotonic()
    unwritten = write_masks(predictor, masks, workers, quiet=process > 0)
    failed = refused * (process == 0) + unwritten
    for line in failed:
        print(f"carmask: {line}", file=sys.stderr)
    counts = [len(masks) - len(unwritten), len(failed)]
    written, missed = sum_over_processes(counts) if processes > 1 else counts
    rate = written / max(time.monotonic() - start, 1e-9)
    if process == 0:
        print(f"{written} masks written to {arguments.out} ({rate:.1f} pictures/s), {missed} pictures failed.")
        if not written and not missed:
            print("carmask: there are no pictures in what was given.", file=sys.stderr)
    return int(bool(missed) or not written)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("carmask: stopped; the masks written so far are whole.")
