"""Measures pictures a second over a folder: one after the other, by the command line, and by it in two processes.

    python benchmarks/folder.py models/car-mask-fcn

The pictures are drawn, enlarged and saved as JPEG in a temporary folder. All ways take turns, each from file to file;
what a program needs to start is not counted. Memory is the peak over what the process holds idle, for a share of the
pictures and for all of them (Linux alone tells it).
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from transformers import pipeline

from benchmarks.machine import describe_machine
from benchmarks.photos import SHAPE, peak_megabytes, save_photo
from benchmarks.speed import floor_seconds
from carmask import ModelError, Predictor, open_picture
from carmask.inference.folders import mask_as_png, plan_answers, write_answers
from carmask.inference.predictor import check_task

ROOT = Path(__file__).resolve().parent.parent
PLAIN, STOCK, COMMAND, TWO = (
    "one after the other in torch", "stock pipeline, one by one", "command line", "command line, two processes",
)  # fmt: skip
SHARE = 4  # memory is measured on a fourth of the pictures, too


def one_by_one(predictor: Predictor, folder: Path, out: Path) -> float:
    """Answers each picture whole before the next; gives pictures per second."""
    start = time.perf_counter()
    pictures = sorted(folder.iterdir())
    for picture in pictures:
        (out / f"{picture.stem}.png").write_bytes(mask_as_png(predictor(open_picture(picture))))
    return len(pictures) / (time.perf_counter() - start)


def by_stock_pipeline(segment: Callable[..., list[dict]], folder: Path, out: Path) -> float:
    """Takes transformers' own pipeline for each picture; gives pictures per second."""
    start = time.perf_counter()
    pictures = sorted(folder.iterdir())
    for picture in pictures:
        for part in segment(str(picture), subtask="semantic"):
            if part["label"] == "car":
                part["mask"].save(out / f"{picture.stem}.png")
    return len(pictures) / (time.perf_counter() - start)


def by_command(model: Path, folder: Path, out: Path, processes: int) -> float:
    """Runs the command line in so many processes; gives the pictures per second that it reports."""
    launcher = ["torch.distributed.run", "--nproc_per_node", str(processes), "-m"] if processes > 1 else []
    command = [sys.executable, "-m", *launcher, "carmask", "predict", str(folder)]
    command += ["--out", str(out), "--model", str(model)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(re.search(r"\(([\d.]+) pictures/s\)", done.stdout)[1])


def memory_of(predictor: Predictor, folder: Path, out: Path) -> list[float]:
    """Peak megabytes over idle of the command line's threads, for a share of the pictures and for all."""
    planned, _ = plan_answers([folder], out)
    workers = os.cpu_count() or 1
    write_answers(predictor, planned[:workers], workers, quiet=True)  # warms up
    amounts = (len(planned) // SHARE, len(planned))
    return [peak_megabytes(lambda n=n: write_answers(predictor, planned[:n], workers, quiet=True)) for n in amounts]


def main() -> None:
    """Reads the command line and prints pictures per second, by ratio first, and the memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model folder for masks")
    parser.add_argument("--count", type=int, default=60, help="pictures (default: %(default)s)")
    parser.add_argument("--megapixels", type=float, default=2.0, help="size of each (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way (default: %(default)s)")
    arguments = parser.parse_args()
    model = arguments.model.resolve()
    machine = describe_machine("torch", "onnxruntime")
    try:
        plain, predictor = (
            Predictor.from_pretrained(model, runtime="torch"),
            Predictor.from_pretrained(model, threads=1),
        )
        check_task(predictor, "mask")
    except ModelError as error:
        sys.exit(str(error))
    with tempfile.TemporaryDirectory() as scratch:
        folder, out = Path(scratch) / "pictures", Path(scratch) / "masks"
        folder.mkdir()
        out.mkdir()
        for index in range(arguments.count):
            save_photo(folder / f"{index:04d}.jpg", arguments.megapixels, index)
        ways = {PLAIN: lambda: one_by_one(plain, folder, out), COMMAND: lambda: by_command(model, folder, out, 1)}
        ways[TWO] = lambda: by_command(model, folder, out, 2)
        segment = pipeline("image-segmentation", str(model))
        ways[STOCK] = lambda: by_stock_pipeline(segment, folder, out)
        rates = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, way in ways.items():
                rates[name].append(way())
        medians = {name: statistics.median(values) for name, values in rates.items()}
        few, many = memory_of(predictor, folder, out)
    slowest = next(iter(medians))
    floor = floor_seconds(model, predictor, SHAPE, os.cpu_count() or 1)
    print(f"{machine}\n{model.name}; matrix products of as many operations would allow {1 / floor:.1f} pictures/s")
    print(f"{arguments.count} pictures of {arguments.megapixels:g} megapixels, {arguments.rounds} rounds\n")
    print(f"| | times as fast as {slowest} | pictures/s |\n|---|---:|---:|")
    for name, rate in medians.items():
        print(f"| {name} | {rate / medians[slowest]:.2f} | {rate:.2f} |")
    print(f"\nMemory over idle: {few:.0f} MB for {arguments.count // SHARE} pictures, {many:.0f} MB for all.")


if __name__ == "__main__":
    main()
