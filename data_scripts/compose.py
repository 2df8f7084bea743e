"""Composes training pictures: objects cut out of a data set, pasted on its pictures without one."""

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from carmask.command_line import exit_code, natural_number, positive_number
from carmask.data.card import common_object, count_line
from carmask.data.folder import finish_data_set, mask_shares, save_example, staged_folder
from carmask.errors import DataError, refused_as
from carmask.files.progress import progress
from data_scripts.merge import data_set_rows

LEAST_CAR_SHARE = 0.05
MOST_CARS = 4
LONGEST_SIDE = 640

# From a row and what draws at random: the picture, RGB, and its mask, uint8 (height, width).
Maker = Callable[[dict, np.random.Generator], tuple[Image.Image, np.ndarray]]


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_set", type=Path, help="data set whose train split gives objects and backgrounds")
    add_options(parser)
    return exit_code(compose, parser.parse_args(argv))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds what `write_train` needs to a command line."""
    parser.add_argument("out", type=Path, help="data set folder to write; it has a train split only")
    parser.add_argument("--count", type=positive_number, default=800, help="how many pictures")
    parser.add_argument("--seed", type=natural_number, default=0, help="the same seed gives the same pictures")
    parser.add_argument("--overwrite", action="store_true", help="replace an older data set at OUT")


def compose(arguments: argparse.Namespace) -> int:
    """Writes the data set; returns the exit code."""
    train = arguments.data_set / "train"
    cars, grounds = cars_and_grounds(arguments.data_set)

    def make(ground: dict, random: np.random.Generator) -> tuple[Image.Image, np.ndarray]:
        picture, _ = open_pair(ground, train, LONGEST_SIDE)
        chosen = [cars[i] for i in random.integers(len(cars), size=MOST_CARS)]
        return add_cars(picture, chosen, train, random)

    words = write_train(arguments, "composed", grounds, make)
    sys.stderr.write(f"{words}, of {len(cars)} cut-outs on {len(grounds)} backgrounds.\n")
    return 0


def write_train(arguments: argparse.Namespace, source: str, grounds: list[dict], make: Maker) -> str:
    """Writes a data set of `arguments.count` pictures, each made of one of the `grounds`; returns a line on it."""
    with staged_folder(arguments.out, arguments.overwrite) as staged:
        (staged / "train").mkdir()
        rows = []
        for index in progress(range(arguments.count), source):
            random = np.random.default_rng([arguments.seed, index])
            ground = grounds[random.integers(len(grounds))]
            row = save_example(staged / "train", f"{source}_{index:05d}", *make(ground, random), lossless=False)
            rows.append({**row, "source": source, "group": ground["group"], "split": "train"})
        title = arguments.out.resolve().name
        finish_data_set(staged, rows, title, object_name=common_object([arguments.data_set]))
    return f"{arguments.out}: {count_line(rows)}"


def masked_rows(data_set: Path) -> list[dict]:
    """The train rows of a data set that have a mask."""
    return [row for row in data_set_rows(data_set) if row["split"] == "train" and "mask_file_name" in row]


def cars_and_grounds(data_set: Path) -> tuple[list[dict], list[dict]]:
    """Finds the train rows with an object to cut out, fully judged and large, and the rows fit as background.

    Raises:
        DataError: The train split lacks one of the two.
    """
    cars, grounds = [], []
    for row in masked_rows(data_set):
        car, not_judged = mask_shares(data_set, row)
        if not_judged == 0 and car > LEAST_CAR_SHARE:
            cars.append(row)
        if not_judged == 0 and car == 0:
            grounds.append(row)
    if not cars or not grounds:
        lack = "large object without not-judged pixels" if not cars else "picture without the object"
        raise DataError(f"The train split of {data_set} has no {lack}, so nothing can be composed.")
    return cars, grounds


def open_pair(row: dict, train: Path, longest: int | None = None) -> tuple[Image.Image, Image.Image]:
    """Opens a row's picture, RGB, and its mask, L; reduced where its longer side is above `longest`."""
    names = [train / row[column] for column in ("file_name", "mask_file_name")]
    damaged = f"{names[0]} or its mask cannot be read; data_scripts/doctor.py lists all faults."
    with refused_as(DataError, damaged), Image.open(names[0]) as picture, Image.open(names[1]) as mask:
        picture, mask = picture.convert("RGB"), mask.convert("L")
    if longest:
        picture.thumbnail((longest, longest))
    return picture, mask.resize(picture.size, Image.Resampling.NEAREST)


def cut_out(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """Cuts out of a picture what is 255 in a mask of 0 and 255, as RGBA; its soft edge lies inside the outline."""
    cut = picture.copy()
    # An even blur keeps the outline at one half; the small shrink before it keeps the old background's rim out.
    cut.putalpha(mask.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.GaussianBlur(0.8)))
    return cut.crop(mask.getbbox())


def solid(cut: Image.Image) -> Image.Image:
    """The pixels of an RGBA cut-out that hide what lies below them, as a mask L of 0 and 255."""
    return cut.getchannel("A").point(lambda alpha: 255 * (alpha >= 128))


def add_cars(
    picture: Image.Image, cars: list[dict], train: Path, random: np.random.Generator
) -> tuple[Image.Image, np.ndarray]:
    """Pastes one or more of the cars on a picture, the far and small ones first.

    Returns:
        RGB picture, and its exact mask, uint8 (height, width) of 0 and 255.
    """
    number = random.choice(MOST_CARS, p=(0.5, 0.25, 0.15, 0.1)) + 1
    widths = sorted(car_width(random, alone=number == 1) for _ in range(number))
    mask = Image.new("L", picture.size)
    for row, share in zip(cars[:number], widths, strict=True):
        car = fitted(cut_out(*open_pair(row, train)), picture.size, share, random)
        car = lit_like(car, picture, random)
        corner = place(car.size, picture.size, share, random)
        shadow(picture, car, corner, random)
        picture.paste(car, corner, car)
        mask.paste(255, corner, solid(car))
    return picture, np.asarray(mask)


def car_width(random: np.random.Generator, alone: bool) -> float:
    """Draws a car's width as a share of the picture's width: mostly medium and large, some small."""
    low, high = ((0.06, 0.25), (0.25, 0.6), (0.6, 1.15))[
        random.choice(3, p=(0.12, 0.43, 0.45) if alone else (0.3, 0.55, 0.15))
    ]
    return math.exp(random.uniform(math.log(low), math.log(high)))


def fitted(car: Image.Image, size: tuple[int, int], share: float, random: np.random.Generator) -> Image.Image:
    """Scales, mirrors and slightly turns a car; it becomes at most as high as the picture."""
    width, height = size
    scale = min(share * width / car.width, 0.95 * height / car.height)
    car = car.resize((max(8, round(car.width * scale)), max(6, round(car.height * scale))), Image.Resampling.LANCZOS)
    if random.random() < 0.5:
        car = ImageOps.mirror(car)
    car = car.rotate(random.normal(0, 2), Image.Resampling.BICUBIC, expand=True)
    # Premultiplied, so that what lies hidden around the car does not bleed into its edge.
    return car.convert("RGBa").filter(ImageFilter.GaussianBlur(random.uniform(0, 0.8))).convert("RGBA")


def lit_like(car: Image.Image, picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Moves a car's light and contrast part of the way towards the picture's, with some play."""
    alpha = car.getchannel("A")
    seen = np.asarray(car.convert("L"), float)[np.asarray(alpha) > 127]
    around = np.asarray(picture.convert("L"), float)
    if not seen.size:
        return car
    brightness = ((around.mean() + 20) / (seen.mean() + 20)) ** random.uniform(0.2, 0.6) * random.uniform(0.85, 1.15)
    contrast = ((around.std() + 20) / (seen.std() + 20)) ** random.uniform(0.2, 0.6)
    lit = ImageEnhance.Brightness(car.convert("RGB")).enhance(np.clip(brightness, 0.5, 1.6))
    lit = ImageEnhance.Contrast(lit).enhance(np.clip(contrast, 0.6, 1.4))
    lit.putalpha(alpha)
    return lit


def place(car: tuple[int, int], size: tuple[int, int], share: float, random: np.random.Generator) -> tuple[int, int]:
    """Draws the corner (x, y) for a car of size (width, height): small ones higher up, up to a quarter outside."""
    x = random.uniform(-0.25 * car[0], size[0] - 0.75 * car[0])
    ground = size[1] * min(1.05, random.uniform(0.55, 0.85) + 0.3 * share)
    return round(x), round(ground - car[1])


def shadow(picture: Image.Image, car: Image.Image, corner: tuple[int, int], random: np.random.Generator) -> None:
    """Darkens the ground under a car, in the picture itself."""
    width, height = car.size
    depth = max(2, round(height * random.uniform(0.08, 0.16)))
    blob = Image.new("L", (width + 4 * depth, 5 * depth))
    blob.paste(round(255 * random.uniform(0.3, 0.75)), (2 * depth, 2 * depth, width + 2 * depth, 3 * depth))
    blob = blob.filter(ImageFilter.GaussianBlur(depth * 0.6))
    picture.paste((8, 8, 10), (corner[0] - 2 * depth, corner[1] + height - round(3 * depth)), blob)


if __name__ == "__main__":
    sys.exit(main())
