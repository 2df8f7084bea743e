"""Builds the dots data set of car parts from the folder of real data, in its official split: one command."""

import argparse
import csv
import shutil
import sys
from pathlib import Path

from carmask.command_line import exit_code
from carmask.data.card import count_line
from carmask.data.folder import staged_folder
from carmask.files.picture_folders import find_pictures
from data_scripts import from_coco, from_csv, merge
from data_scripts.build_mixture import run

# The parts whose centres mean a place; doors and the trunk mostly show in part. Up to four wheels in a picture.
PARTS = (
    *(f"{end}_{side}_light" for end in ("front", "back") for side in ("left", "right")),
    *("left_mirror", "right_mirror", "front_bumper", "back_bumper", "front_glass", "back_glass", "hood"),
    *("wheel",) * 4,
)


def import_parts(data: Path, folder: Path, dots: str) -> list[Path]:
    """Imports both splits of the car parts below `folder`; returns the new folders."""
    made = []
    for split, options in (("training", ("--shares", "88,12,0")), ("test", ("--split", "test"))):
        inputs = (
            data / "car_parts" / f"{split}set" / "annotations.json",
            data / "car_parts" / f"{split}set/JPEGImages",
        )
        made.append(run(from_coco, inputs, folder / split, ("--source", "car_parts", "--dots", dots, *options)))
    return made


def import_no_cars(data: Path, folder: Path, dots: str) -> Path:
    """Imports pictures without a car, all their dots blank, to train and validation: the official test stays alone."""
    header = ["file", *(f"{name}_{axis}" for name in dots.split(",") for axis in "xy")]
    pictures = find_pictures(data / "no_cars")
    table = folder / "no_cars.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *([path.name] + [""] * (len(header) - 1) for path in pictures)])
    # The shares of build_mixture.py, so that the pictures left out here are those that no model of ours has seen.
    no_cars = run(from_csv, (table, data / "no_cars"), folder / "no_cars", ("--shares", "70,10,20"))
    shutil.rmtree(no_cars / "test")
    return no_cars


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared_data", type=Path, help="folder with car_parts and no_cars")
    parser.add_argument("out", type=Path, help="data set folder to write")
    parser.add_argument(
        "--dots", default=",".join(PARTS), help="parts, separated by commas; one that repeats may occur so often"
    )
    parser.add_argument("--parts-only", action="store_true", help="add no pictures without a car")
    parser.add_argument("--overwrite", action="store_true", help="replace an older data set at OUT")
    return exit_code(build, parser.parse_args(argv))


def build(arguments: argparse.Namespace) -> int:
    """Writes the data set; returns the exit code."""
    with staged_folder(arguments.out, arguments.overwrite) as staged:
        parts = staged / "parts"
        made = import_parts(arguments.shared_data, parts, arguments.dots)
        if not arguments.parts_only:
            made.append(import_no_cars(arguments.shared_data, parts, arguments.dots))
        rows = merge.merge_into(staged, made, arguments.out.resolve().name)
        shutil.rmtree(parts)
    sys.stderr.write(f"{arguments.out}: {count_line(rows)}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
