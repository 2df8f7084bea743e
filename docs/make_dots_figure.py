"""Makes the picture of target maps against learned maps in docs/dots.md, from a model for dots and a data set."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from carmask.drawing import contact_sheet, draw_dots, heat_picture
from carmask.pictures import PictureError, open_picture
from carmask.predictor import ModelError, Predictor, check_task
from carmask.tasks import DotsTask

TILE = 240  # pixels
MAPS = 4  # shown of each picture


class FigureError(ValueError):
    """Says in one sentence why the picture cannot be made."""


def chosen_rows(data: Path, number: int) -> tuple[list[tuple[Path, list]], list[str]]:
    """Finds the held-out pictures with the most dots.

    Returns:
        Path and dots of each; and the names of the dots.

    Raises:
        FigureError: the folder has no such pictures.
    """
    try:
        table = next(path for split in ("test", "validation") for path in data.glob(f"{split}/metadata.jsonl"))
        names = json.loads((data / "dot_names.json").read_text(encoding="utf-8"))
        rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
        rows.sort(key=lambda row: sum(dot is not None for dot in row["dots"]), reverse=True)
    except (StopIteration, OSError, ValueError, KeyError):
        raise FigureError(f"{data} has no test or validation split with dots; give a data set of dots.") from None
    return [(table.parent / row["file_name"], row["dots"]) for row in rows[:number]], names


def truth_for(task: DotsTask, names: list[str], dots: list) -> np.ndarray:
    """Puts dots into the order of the task: float (entries, 2), NaN where a dot is not there."""
    places = {name: iter([dot for other, dot in zip(names, dots, strict=True) if other == name]) for name in names}
    unknown = (None, None)
    points = [next(places[name], None) or unknown if name in places else unknown for name in task.entries]
    return np.array(points, float)


def tiles_of(predictor: Predictor, path: Path, truth: np.ndarray) -> tuple[list[Image.Image], list[str]]:
    """Returns two rows of tiles for one picture, the target maps above the learned ones, and their captions."""
    picture = open_picture(path)
    task = predictor.task
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
    parser.add_argument("data", type=Path, help="data set of dots; its test pictures are shown")
    parser.add_argument("out", type=Path, help="the PNG to write, such as docs/dots.png")
    parser.add_argument("--pictures", type=int, default=2, help="how many (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        predictor = Predictor.from_pretrained(arguments.model)
        check_task(predictor, "dots")
        rows, names = chosen_rows(arguments.data, arguments.pictures)
        made = [tiles_of(predictor, path, truth_for(predictor.task, names, dots)) for path, dots in rows]
    except (ModelError, FigureError, PictureError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    tiles, captions = ([item for both in made for item in both[part]] for part in (0, 1))
    columns = 1 + min(MAPS, len(predictor.task.names))
    contact_sheet(tiles, captions, columns, TILE).save(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
