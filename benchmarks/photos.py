"""Measures the way from a photo file to the PNG of its mask, from 0.3 to 48 megapixels, beside the stock pipeline.

    python benchmarks/photos.py models/car-mask-b0

The photos are drawn, with grain, and saved as JPEG in a temporary folder. Ours and transformers' own
pipeline("image-segmentation") with the same model take turns in one process. The last two columns say how many pixels
of the mask change because the JPEG is decoded no finer than the network needs, and how many change if the network's
picture is resized bicubically instead. Memory is the peak over what the process holds idle (Linux alone tells it).
"""

import argparse
import gc
import io
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import ImageSegmentationPipeline, pipeline

from carmask import ModelError, Predictor, open_picture
from carmask.files.pictures import open_reduced
from carmask.inference.folders import mask_as_png
from carmask.inference.predictor import check_task
from data_scripts.drawn_cars.scene import draw_picture

MEGAPIXELS = (0.3, 2, 12, 24, 48)
SEED, INDEX, DRAWN = 7, 5, (1000, 1504)  # what is drawn, then enlarged
GRAIN = 3.0  # standard deviation of the noise that makes a photo's file as heavy as a camera's
PARTS = ("decode", "network", "resize", "encode")
COLUMNS = (
    *("times as fast as stock", "s beyond twice the network", *(f"{part} ms" for part in (*PARTS, "total"))),
    *("stock ms", "MB", "stock MB", "changed by decoding smaller", "changed by a bicubic resize"),
)
MEMORY = Path("/proc/self/status")


def save_photo(path: Path, megapixels: float, index: int = INDEX) -> None:
    """Draws 3:2 photo number `index` of about so many megapixels; its sides are multiples of 8, as a camera's are."""
    height, width = (8 * round((megapixels * 1e6 * shape) ** 0.5 / 8) for shape in (2 / 3, 3 / 2))
    photo = draw_picture(SEED, index, DRAWN).picture.resize((width, height), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(SEED).normal(0, GRAIN, (height, width)).round().astype(np.int8)
    channels = [np.clip(np.asarray(channel, np.int16) + grain, 0, 255).astype(np.uint8) for channel in photo.split()]
    Image.fromarray(np.stack(channels, axis=-1)).save(path, quality=92)


def ours(predictor: Predictor, photo: Path) -> dict[str, float]:
    """Takes our way, as the command line does; gives the seconds of each part, resizing to and from the network."""
    inside = []

    def watched(pixel_values: np.ndarray) -> np.ndarray:
        start = time.perf_counter()
        logits = predictor.network(pixel_values)
        inside.append(time.perf_counter() - start)
        return logits

    moments = [time.perf_counter()]
    picture, size = open_reduced(photo, predictor.seen_size)
    moments.append(time.perf_counter())
    mask = replace(predictor, network=watched)(picture, size)
    moments.append(time.perf_counter())
    mask_as_png(mask)
    moments.append(time.perf_counter())
    decode, answer, encode = np.diff(moments)
    seconds = (decode, sum(inside), answer - sum(inside), encode)
    return dict(zip(PARTS, seconds, strict=True)) | {"total": sum(seconds)}


def stock(segment: ImageSegmentationPipeline, photo: Path) -> dict[str, float]:
    """Takes the stock way; gives the seconds."""
    start = time.perf_counter()
    for part in segment(str(photo), subtask="semantic"):
        if part["label"] == "car":
            part["mask"].save(io.BytesIO(), "PNG")
    return {"total": time.perf_counter() - start}


def peak_megabytes(function: Callable[[], object]) -> float:
    """The most memory that a call holds beyond what is held before it; NaN where the system does not tell."""
    if not MEMORY.is_file():
        return float("nan")

    def megabytes(entry: str) -> float:
        line = next(line for line in MEMORY.read_text().splitlines() if line.startswith(entry))
        return int(line.split()[1]) / 1000

    gc.collect()
    MEMORY.with_name("clear_refs").write_text("5")  # the peak starts anew
    before = megabytes("VmRSS")
    function()
    return megabytes("VmHWM") - before


def changed_share(predictor: Predictor, photo: Path) -> tuple[float, float]:
    """Shares of the mask's pixels that change: by decoding the file smaller, and by another filter of the resize."""
    wanted = predictor(open_picture(photo))
    reduced = predictor(*open_reduced(photo, predictor.seen_size))
    bicubic = replace(predictor.preprocessing, resample=Image.Resampling.BICUBIC)
    resized = replace(predictor, preprocessing=bicubic)(open_picture(photo))
    return (wanted != reduced).mean(), (wanted != resized).mean()


def measure(predictor: Predictor, segment: ImageSegmentationPipeline, photo: Path, rounds: int) -> str:
    """One row of the table: ours and the stock way in turns, medians; two turns before warm up and tell the memory."""
    ways = {"ours": lambda: ours(predictor, photo), "stock": lambda: stock(segment, photo)}
    for way in ways.values():
        way()
    memory = {name: peak_megabytes(way) for name, way in ways.items()}
    times = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(way())
    medians = {
        name: {part: statistics.median(one[part] for one in turns) for part in turns[0]}
        for name, turns in times.items()
    }
    mine, other = medians["ours"], medians["stock"]["total"]
    changed = [f"{share:.3%}" for share in changed_share(predictor, photo)]
    cells = [f"{other / mine['total']:.1f}", f"{mine['total'] - 2 * mine['network']:.2f}"]
    cells += [f"{mine[part] * 1000:.0f}" for part in (*PARTS, "total")] + [f"{other * 1000:.0f}"]
    return " | ".join([*cells, f"{memory['ours']:.0f}", f"{memory['stock']:.0f}", *changed])


def main() -> None:
    """Reads the command line and prints one table, a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a SegFormer")
    parser.add_argument("--megapixels", type=float, nargs="+", default=MEGAPIXELS, help="sizes (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each way (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the network (default: one per core)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    try:
        predictor = Predictor.from_pretrained(arguments.model)
        check_task(predictor, "mask")
    except ModelError as error:
        sys.exit(str(error))
    segment = pipeline("image-segmentation", arguments.model)
    print(f"{platform.machine()}, {os.cpu_count()} cores, {arguments.threads} threads, {arguments.rounds} rounds")
    print(f"torch {torch.__version__}, {Path(arguments.model).name}\n")
    print(f"| megapixels | {' | '.join(COLUMNS)} |\n" + "|---:" * (1 + len(COLUMNS)) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for megapixels in arguments.megapixels:
            photo = Path(folder) / "photo.jpg"
            save_photo(photo, megapixels)
            print(f"| {megapixels:g} | {measure(predictor, segment, photo, arguments.rounds)} |", flush=True)


if __name__ == "__main__":
    main()
