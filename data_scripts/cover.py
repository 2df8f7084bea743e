"""Covers training pictures with what is not the object, cut out of another data set: people, bicycles, animals.

Where only cars were ever pasted on pictures, a network learns that what is pasted is a car; and where people on
bicycles are rare, it takes them for cars.
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from carmask.command_line import exit_code
from carmask.data.layout import OBJECT
from carmask.errors import DataError
from data_scripts.compose import (
    LONGEST_SIDE,
    add_options,
    cut_out,
    fitted,
    lit_like,
    masked_rows,
    open_pair,
    place,
    shadow,
    solid,
    write_train,
)

LEAST_HEIGHT = 20  # pixels of a thing that is worth cutting out
MOST_THINGS = 5
HEIGHTS = (0.08, 0.8)  # of a thing, as a share of the picture's
LARGEST_SCALE = 4.0  # by which a thing is enlarged at most


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_set", type=Path, help="data set whose train split is covered")
    parser.add_argument("things", type=Path, help="data set whose train split gives the things, as its object")
    add_options(parser)
    return exit_code(cover, parser.parse_args(argv))


def cover(arguments: argparse.Namespace) -> int:
    """Writes the data set; returns the exit code.

    Raises:
        DataError: There is nothing to cover, or no thing.
    """
    grounds, things = masked_rows(arguments.data_set), cut_things(arguments.things)
    if not grounds:
        raise DataError(f"The train split of {arguments.data_set} has no picture with a mask to cover.")
    heights = np.array([thing.height for thing in things], float)
    shares = heights / heights.sum()  # larger cut-outs are sharper, so they are taken more often

    def make(ground: dict, random: np.random.Generator) -> tuple[Image.Image, np.ndarray]:
        picture, mask = open_pair(ground, arguments.data_set / "train", LONGEST_SIDE)
        chosen = random.choice(len(things), random.integers(1, MOST_THINGS + 1), p=shares)
        put_before(picture, mask, [things[number] for number in chosen], random)
        return picture, np.asarray(mask)

    words = write_train(arguments, "covered", grounds, make)
    sys.stderr.write(f"{words}, with {len(things)} things on {len(grounds)} pictures.\n")
    return 0


def cut_things(data_set: Path) -> list[Image.Image]:
    """Cuts out each thing of a train split, as RGBA: pixels of a mask's "car" that hang together are one.

    Raises:
        DataError: There are none, or all are too small.
    """
    train, things = data_set / "train", []
    for row in masked_rows(data_set):
        picture, mask = open_pair(row, train)
        for piece in pieces_of(mask):
            _, top, _, bottom = piece.getbbox()
            if bottom - top >= LEAST_HEIGHT:
                things.append(cut_out(picture, piece))
    if not things:
        raise DataError(f"The train split of {data_set} marks nothing as high as {LEAST_HEIGHT} pixels.")
    return things


def pieces_of(mask: Image.Image) -> list[Image.Image]:
    """The pieces of a mask's 255 that hang together, each as a mask L of 0 and 255."""
    rest, pieces = mask.point(lambda value: 255 * (value == OBJECT)), []
    while box := rest.getbbox():
        before, top = np.asarray(rest), box[1]
        ImageDraw.floodfill(rest, (int(before[top].argmax()), top), 0)
        pieces.append(Image.fromarray(before - np.asarray(rest)))
    return pieces


def put_before(
    picture: Image.Image, mask: Image.Image, things: list[Image.Image], random: np.random.Generator
) -> None:
    """Pastes things on a picture, in place, the far and small ones first; where they lie its mask becomes 0."""
    width, height = picture.size
    shares = sorted(np.exp(random.uniform(*map(math.log, HEIGHTS), len(things))))
    for share, thing in zip(shares, reversed(things), strict=True):
        high = min(share * height, LARGEST_SCALE * thing.height)
        cut = fitted(thing, picture.size, high / thing.height * thing.width / width, random)
        cut = lit_like(cut, picture, random)
        corner = place(cut.size, picture.size, high / height, random)
        shadow(picture, cut, corner, random)
        picture.paste(cut, corner, cut)
        mask.paste(0, corner, solid(cut))


if __name__ == "__main__":
    sys.exit(main())
