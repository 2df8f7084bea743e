"""Makes the picture of target maps against learned maps in docs/dots.md, from a model for dots and a data set."""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from carmask.data.dots_column import open_dots
from carmask.errors import DataError, ModelError, PictureError
from carmask.files.drawing import contact_sheet, draw_dots, heat_picture
from carmask.files.pictures import upright_rgb
from carmask.inference.predictor import Predictor, check_task
from carmask.tasks.dots_task import DotsTask

TILE = 240  # pixels
MAPS = 4  # shown of each picture


def chosen_rows(data: str, task: DotsTask, number: int) -> list[dict]:
    """Finds the held-out rows with the most dots, each with its dots in the order of the task.

    Raises:
        DataError: there is no such data set, or it lacks a dot of the task.
    """
    splits, _ = open_dots(data, task.entries)
    rows = splits["test" if "test" in splits else "validation"]
    shown = np.isfinite(np.array(rows["dots"], float)).all(2).sum(1)
    return [rows[int(index)] for index in np.argsort(-shown, kind="stable")[:number]]


def tiles_of(predictor: Predictor, row: dict) -> tuple[list[Image.Image], list[str]]:
    """Returns two rows of tiles for one picture, the target maps above the learned ones, and their captions."""
    picture, truth, task = upright_rgb(row["image"]), np.array(row["dots"], float), predictor.task
    learned = predictor.activations(picture)
    target = task.paint(task.target(truth, learned.shape[1:])[None], learned.shape[1:])[0].numpy()
    shown = np.argsort(-target.max((1, 2)), kind="stable")[:MAPS]
    scaled = truth * (picture.width, picture.height)
    true_dots = [
        (name, None, None, 0.0) if np.isnan(x) else (name, x, y, 1.0)
        for name, (x, y) in zip(task.entries, scaled, strict=True)
    ]
    tiles, captions = [], []
    for kind, dots, maps in (("target", true_dots, target), ("learned", predictor(picture), learned)):
        tiles += [draw_dots(picture, dots, sides=(2 * TILE, 2 * TILE))]
        tiles += [heat_picture(picture, maps[index]) for index in shown]
        captions += [f"{kind}: dots", *(f"{kind}: {task.names[index]}" for index in shown)]
    return tiles, captions


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="model folder for dots")
    parser.add_argument("data", help="data set of dots; its test pictures are shown")
    parser.add_argument("out", type=Path, help="the PNG to write, such as docs/dots.png")
    parser.add_argument("--pictures", type=int, default=2, help="how many (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        predictor = Predictor.from_pretrained(arguments.model)
        check_task(predictor, "dots")
        made = [tiles_of(predictor, row) for row in chosen_rows(arguments.data, predictor.task, arguments.pictures)]
    except (DataError, ModelError, PictureError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    tiles, captions = ([item for both in made for item in both[part]] for part in (0, 1))
    columns = 1 + min(MAPS, len(predictor.task.names))
    contact_sheet(tiles, captions, columns, TILE).save(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
