"""Covers training pictures with what is no car: people, bicycles or animals cut out of another data set.

Where only cars were ever pasted on pictures, a network learns that what is pasted is a car; and where people on
bicycles are rare, it takes them for cars.
"""

import argparse
import functools
import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from carmask.dataset_card import count_line
from carmask.dataset_folder import (
    CAR,
    DataError,
    exit_code,
    finish_data_set,
    natural_number,
    positive_number,
    save_example,
    staged_folder,
)
from data_scripts.compose import LONGEST_SIDE, cut_out, fitted, lit_like, open_pair, place, shadow, solid
from data_scripts.merge import read_rows

LEAST_HEIGHT = 20  # pixels of a thing that is worth cutting out
MOST_THINGS = 5
HEIGHTS = (0.08, 0.8)  # of a thing, as a share of the picture's
LARGEST_SCALE = 4.0  # by which a thing is enlarged at most


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_set", type=Path, help="data set whose train split is covered")
    parser.add_argument("things", type=Path, help='data set whose train split gives the things, marked as its "car"')
    parser.add_argument("out", type=Path, help="data set folder to write; it has a train split only")
    parser.add_argument("--count", type=positive_number, default=800, help="how many pictures")
    parser.add_argument("--seed", type=natural_number, default=0, help="the same seed gives the same pictures")
    parser.add_argument("--overwrite", action="store_true", help="replace an older data set at OUT")
    return exit_code(functools.partial(cover, parser.parse_args(argv)))


def cover(arguments: argparse.Namespace) -> int:
    """Writes the data set; returns the exit code."""
    grounds, things = masked_rows(arguments.data_set), cut_things(arguments.things)
    heights = np.array([thing.height for thing in things], float)
    with staged_folder(arguments.out, arguments.overwrite) as staged:
        (staged / "train").mkdir()
        rows = []
        for index in tqdm(range(arguments.count), desc="covered", disable=None):
            random = np.random.default_rng([arguments.seed, index])
            ground = grounds[random.integers(len(grounds))]
            picture, mask = open_pair(ground, arguments.data_set / "train")
            picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            mask = mask.resize(picture.size, Image.Resampling.NEAREST)
            chosen = random.choice(len(things), random.integers(1, MOST_THINGS + 1), p=heights / heights.sum())
            put_before(picture, mask, [things[number] for number in chosen], random)
            row = save_example(staged / "train", f"covered_{index:05d}", picture, np.asarray(mask), lossless=False)
            rows.append({**row, "source": "covered", "group": ground["group"], "split": "train"})
        finish_data_set(staged, rows, arguments.out.resolve().name)
    sys.stderr.write(f"{arguments.out}: {count_line(rows)}, with {len(things)} things on {len(grounds)} pictures.\n")
    return 0


def masked_rows(data_set: Path) -> list[dict]:
    """The train rows of a data set that have a mask.

    Raises:
        DataError: There are none.
    """
    rows = [row for row in read_rows(data_set) if row["split"] == "train" and "mask_file_name" in row]
    if not rows:
        raise DataError(f"The train split of {data_set} has no picture with a mask; choose another data set.")
    return rows


def cut_things(data_set: Path) -> list[Image.Image]:
    """Cuts out each thing of a train split, as RGBA: pixels of a mask's "car" that hang together are one.

    Raises:
        DataError: There are none, or all are too small.
    """
    train, things = data_set / "train", []
    for row in masked_rows(data_set):
        picture, mask = open_pair(row, train)
        pieces = pieces_of(mask)
        things += [cut_out(picture, piece) for piece in pieces if height_of(piece) >= LEAST_HEIGHT]
    if not things:
        raise DataError(f"The train split of {data_set} marks nothing as high as {LEAST_HEIGHT} pixels.")
    return things


def pieces_of(mask: Image.Image) -> list[Image.Image]:
    """The pieces of a mask's 255 that hang together, each as a mask L of 0 and 255."""
    rest, pieces = mask.point(lambda value: 255 * (value == CAR)), []
    while box := rest.getbbox():
        before, top = np.asarray(rest), box[1]
        ImageDraw.floodfill(rest, (int(before[top].argmax()), top), 0)
        pieces.append(Image.fromarray(before - np.asarray(rest)))
    return pieces


def height_of(mask: Image.Image) -> int:
    """The height of what a mask shows, in pixels."""
    _, top, _, bottom = mask.getbbox()
    return bottom - top


def put_before(
    picture: Image.Image, mask: Image.Image, things: list[Image.Image], random: np.random.Generator
) -> None:
    """Pastes things on a picture, in place, the far and small ones first; where they lie its mask becomes 0."""
    width, height = picture.size
    for share in sorted(np.exp(random.uniform(*map(math.log, HEIGHTS), len(things)))):
        thing = things.pop()
        high = min(share * height, LARGEST_SCALE * thing.height)
        thing = fitted(thing, picture.size, high / thing.height * thing.width / width, random)
        thing = lit_like(thing, picture, random)
        corner = place(thing.size, picture.size, high / height, random)
        shadow(picture, thing, corner, random)
        picture.paste(thing, corner, thing)
        mask.paste(0, corner, solid(thing))


if __name__ == "__main__":
    sys.exit(main())
