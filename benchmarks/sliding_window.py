"""Measures when it helps to see a large picture by a sliding window: IoU and seconds, on ever smaller cars.

    python benchmarks/sliding_window.py models/car-mask-fcn --data data/mixture --source intelecai

Pictures of 12 megapixels are laid out of the validation pictures of one source, `across` times `across` of them, so
that each shows `across` squared scenes with cars so many times smaller.
"""

import argparse
import sys
import time
from dataclasses import replace

import datasets
import numpy as np
from PIL import Image

from carmask import ModelError, Predictor
from carmask.data.rows import read_row
from carmask.data.sources import open_data
from carmask.errors import DataError
from carmask.evaluation.mask_metrics import mask_scores
from carmask.files.pictures import upright_rgb
from carmask.inference.predictor import check_task

SIZE = (4000, 3000)  # (width, height) of a picture
PICTURES = {1: 6, 2: 4, 4: 2, 6: 1}  # how many of so many scenes across
MAGNIFICATIONS = (1, 2, 4)


def lay_out(split: datasets.Dataset, across: int, number: int) -> tuple[Image.Image, np.ndarray]:
    """Picture `number` of `across` times `across` scenes, and its truth, uint8 (height, width) of 0, 128 and 255."""
    picture, truth = Image.new("RGB", SIZE), Image.new("L", SIZE)
    cell = tuple(side // across for side in SIZE)
    for place in range(across**2):
        row = split[(number * across**2 + place) % len(split)]
        corner = (place % across * cell[0], place // across * cell[1])
        picture.paste(upright_rgb(row["image"]).resize(cell, Image.Resampling.BICUBIC), corner)
        truth.paste(Image.fromarray(read_row(row)[1]).resize(cell, Image.Resampling.NEAREST), corner)
    return picture, np.asarray(truth)


def main() -> None:
    """Reads the command line and prints a line for each layout, a column for each magnification."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model folder for masks")
    parser.add_argument("--data", required=True, help="data set folder")
    parser.add_argument("--source", help="take the pictures of this source alone")
    arguments = parser.parse_args()
    try:
        predictor = Predictor.from_pretrained(arguments.model)
        check_task(predictor, "mask")
        split = open_data(arguments.data)["validation"]
    except (DataError, ModelError) as error:
        sys.exit(str(error))
    if arguments.source:
        split = split.select([number for number, name in enumerate(split["source"]) if name == arguments.source])
    print(
        "| scenes in 12 megapixels | "
        + " | ".join(f"IoU, --sliding-window {magnification} (s)" for magnification in MAGNIFICATIONS)
        + " |"
    )
    print("|---" * (1 + len(MAGNIFICATIONS)) + "|")
    for across, count in PICTURES.items():
        pairs = [lay_out(split, across, number) for number in range(count)]
        cells = []
        for magnification in MAGNIFICATIONS:
            start = time.perf_counter()
            masks = [replace(predictor, magnification=float(magnification))(picture) for picture, _ in pairs]
            seconds = (time.perf_counter() - start) / len(pairs)
            cells.append(f"{mask_scores(masks, [truth for _, truth in pairs])['iou']:.3f} ({seconds:.1f})")
        print(f"| {across} × {across} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
