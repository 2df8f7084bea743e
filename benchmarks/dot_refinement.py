"""Measures how far dots are off by the way their place is read from a map, on the dots that are in the pictures.

    python benchmarks/dot_refinement.py my-dots --data drawn

`highest cell` is a plain arg-max, `parabola` what `carmask.tasks.peaks` does, `expectation` the mean place of the
5×5 cells around the highest, weighted by their probability. Errors are shares of the picture's longer side.
"""

import argparse
import sys

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from carmask import ModelError, Predictor
from carmask.data.dots_column import open_dots
from carmask.errors import DataError
from carmask.files.pictures import grey_rgb, upright_rgb
from carmask.inference.predictor import check_task
from carmask.tasks.peaks import find_peaks

REACH = 2  # cells around the highest that an expectation takes in


def highest_cell(one_map: Tensor) -> tuple[float, float]:
    """The middle of the highest cell of a map (h, w), as (x, y) in cells."""
    y, x = divmod(int(one_map.argmax()), one_map.shape[1])
    return x + 0.5, y + 0.5


def parabola(one_map: Tensor) -> tuple[float, float]:
    """The highest place of a map (h, w) as the project reads it, as (x, y) in cells."""
    return find_peaks(one_map, count=1, apart=1)[0][:2]


def expectation(one_map: Tensor) -> tuple[float, float]:
    """The mean place of the cells around the highest of a map (h, w), as (x, y) in cells."""
    y, x = divmod(int(one_map.argmax()), one_map.shape[1])
    top, left = max(0, y - REACH), max(0, x - REACH)
    weights = one_map[top : y + REACH + 1, left : x + REACH + 1].sigmoid()
    along = (weights.sum(1) * (torch.arange(weights.shape[0]) + top + 0.5)).sum() / weights.sum()
    across = (weights.sum(0) * (torch.arange(weights.shape[1]) + left + 0.5)).sum() / weights.sum()
    return float(across), float(along)


METHODS = {"highest cell": highest_cell, "parabola": parabola, "expectation": expectation}


@torch.inference_mode()
def main() -> None:
    """Reads the command line and prints one line per method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model folder for dots, one dot a name")
    parser.add_argument("--data", required=True, help="data set folder with dots")
    parser.add_argument("--split", default="test")
    arguments = parser.parse_args()
    try:
        predictor = Predictor.from_pretrained(arguments.model)
        check_task(predictor, "dots")
        splits, _ = open_dots(arguments.data, list(predictor.task.names))
        if arguments.split not in splits:
            raise DataError(
                f"The data set {arguments.data} has no split {arguments.split}; it has {', '.join(splits)}."
            )
    except (DataError, ModelError) as error:
        sys.exit(str(error))
    errors = {name: [] for name in METHODS}
    for row in tqdm(splits[arguments.split], disable=None):
        picture = grey_rgb(upright_rgb(row["image"]))
        for one_map, (x, y) in zip(predictor.logits(picture), row["dots"], strict=True):
            for name, method in METHODS.items():
                found = np.array(method(one_map)) / one_map.shape[::-1] * picture.size
                errors[name].append(float(np.hypot(*(found - np.array([x, y]) * picture.size))) / max(picture.size))
    print("| read by | median error | mean error of the better nine tenths |\n|---|---|---|")
    for name, values in errors.items():
        judged = np.sort([value for value in values if np.isfinite(value)])
        near = judged[: max(1, len(judged) * 9 // 10)]
        print(f"| {name} | {np.median(judged):.5f} | {near.mean():.5f} |")


if __name__ == "__main__":
    main()
