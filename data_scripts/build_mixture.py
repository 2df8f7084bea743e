"""Builds the full training mixture from the folder of real data: one command, one data set."""

import argparse
import shutil
import sys
from pathlib import Path
from types import ModuleType

from PIL import Image

from carmask.command_line import exit_code, natural_number
from carmask.data.card import count_line
from carmask.data.folder import staged_folder
from carmask.errors import DataError
from data_scripts import compose, cover, from_coco, from_folders, merge
from data_scripts.drawn_cars.flat_cars import draw_flat

PLAIN_STEP, PLAIN_SIZE = 6, (384, 288)  # grey levels from one plain picture to the next, and their (width, height)
FLAT = 120  # flat drawings
EVERYDAY_THINGS = "person,bicycle,motorcycle,dog,horse,cow,sheep,chair,umbrella"


def import_real(data: Path, parts: Path) -> list[Path]:
    """Imports each real data set, in its own splits, below `parts`; returns the new folders."""
    camvid = ("--source", "camvid", "--object", "8", "--not-judged", "11", "--group-pattern", "^([^_]+)_")
    intelecai = ("--source", "intelecai", "--object-above", "0")
    car_parts = ("--source", "car_parts", "--parts-of-one-car")
    coco = ("--source", "coco_tiny", "--not-judged", "bus,truck")
    steps = []
    for split, short in (("train", "train"), ("validation", "val"), ("test", "test")):
        inputs = (data / "camvid" / short, data / "camvid" / f"{short}annot")
        steps.append((from_folders, inputs, f"camvid_{split}", (*camvid, "--split", split)))
    for split, long, cut in (
        ("train", "trainingset", ("--shares", "88,12,0")),
        ("test", "testset", ("--split", "test")),
    ):
        inputs = (data / "intelecai" / split / "images", data / "intelecai" / split / "labels")
        steps.append((from_folders, inputs, f"intelecai_{split}", (*intelecai, *cut)))
        inputs = (data / "car_parts" / long / "annotations.json", data / "car_parts" / long / "JPEGImages")
        steps.append((from_coco, inputs, f"car_parts_{split}", (*car_parts, *cut)))
    for split, long in (("train", "train2017"), ("validation", "val2017")):
        inputs = (data / "coco_tiny" / "annotations" / f"instances_{long}.json", data / "coco_tiny" / long)
        steps.append((from_coco, inputs, f"coco_tiny_{split}", (*coco, "--split", split)))
    no_cars = ("--source", "no_cars", "--shares", "70,10,20")
    steps.append((from_folders, (data / "no_cars", "none"), "no_cars", no_cars))
    return [run(program, inputs, parts / name, options) for program, inputs, name, options in steps]


def import_things(data: Path, parts: Path) -> Path:
    """Imports what is no car, but may be before one or be taken for one, from the pictures to train on."""
    people = "thing=9,10"  # and those on bicycles
    street = ("--object", people, "--group-pattern", "^([^_]+)_", "--split", "train")
    everyday = ("--object", f"thing={EVERYDAY_THINGS}", "--split", "train")
    annotations = data / "coco_tiny" / "annotations" / "instances_train2017.json"
    imported = (
        (from_folders, (data / "camvid/train", data / "camvid/trainannot"), "street_things", street),
        (from_coco, (annotations, data / "coco_tiny/train2017"), "everyday_things", everyday),
    )
    folders = [run(program, inputs, parts / name, options) for program, inputs, name, options in imported]
    merge.merge_into(parts / "things", folders, "things")
    return parts / "things"


def draw(out: Path, count: int, seed: int) -> Path:
    """Draws pictures, for the train split only: scores shall tell how well real cars are found."""
    from data_scripts import draw_cars

    run(draw_cars, (), out, ("--count", count, "--seed", seed))
    for split in ("validation", "test"):
        shutil.rmtree(out / split, ignore_errors=True)
    return out


def plain(folder: Path, out: Path) -> Path:
    """Draws pictures of one grey each, for the train split only: where there is nothing there is no car."""
    folder.mkdir()
    for grey in range(0, 256, PLAIN_STEP):
        Image.new("L", PLAIN_SIZE, grey).save(folder / f"{grey:03}.png")
    return run(from_folders, (folder, "none"), out, ("--source", "plain", "--shares", "100,0,0"))


def flat(folder: Path, out: Path, count: int) -> Path:
    """Draws flat cars and houses, for the train split only: people try a network on such drawings, too."""
    for name in ("pictures", "masks"):
        (folder / name).mkdir(parents=True)
    for index in range(count):
        for name, layer in zip(("pictures", "masks"), draw_flat(0, index), strict=True):
            layer.save(folder / name / f"{index:04}.png")
    inputs = (folder / "pictures", folder / "masks")
    return run(from_folders, inputs, out, ("--source", "flat", "--shares", "100,0,0"))


def run(program: ModuleType, inputs: tuple, out: Path, options: tuple) -> Path:
    """Runs another program of this folder and returns its OUT.

    Raises:
        DataError: It failed, and has said why.
    """
    if program.main([str(argument) for argument in (*inputs, out, *options)]) != 0:
        raise DataError("Nothing is built, for the reason above.")
    return out


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "shared_data", type=Path, help="folder with camvid, intelecai, car_parts, coco_tiny and no_cars"
    )
    parser.add_argument("out", type=Path, help="data set folder to write")
    parser.add_argument(
        "--drawn", type=natural_number, default=300, help="draw this many pictures and add their train split"
    )
    parser.add_argument(
        "--composed", type=natural_number, default=800, help="compose this many pictures and add them to train"
    )
    parser.add_argument(
        "--covered", type=natural_number, default=1200, help="cover this many pictures with what is no car, for train"
    )
    parser.add_argument("--seed", type=natural_number, default=0, help="of the drawn, composed and covered pictures")
    parser.add_argument("--overwrite", action="store_true", help="replace an older data set at OUT")
    return exit_code(build, parser.parse_args(argv))


def build(arguments: argparse.Namespace) -> int:
    """Writes the mixture; returns the exit code."""
    with staged_folder(arguments.out, arguments.overwrite) as staged:
        parts = staged / "parts"
        data = arguments.shared_data
        data_sets = import_real(data, parts)
        merge.merge_into(parts / "real", data_sets, "real")
        if arguments.composed:
            options = ("--count", arguments.composed, "--seed", arguments.seed)
            data_sets.append(run(compose, (parts / "real",), parts / "composed", options))
        if arguments.covered:
            options = ("--count", arguments.covered, "--seed", arguments.seed)
            inputs = (parts / "real", import_things(data, parts))
            data_sets.append(run(cover, inputs, parts / "covered", options))
        if arguments.drawn:
            data_sets.append(draw(parts / "drawn", arguments.drawn, arguments.seed))
        data_sets.append(plain(parts / "greys", parts / "plain"))
        data_sets.append(flat(parts / "drawings", parts / "flat", FLAT))
        rows = merge.merge_into(staged, data_sets, arguments.out.resolve().name)
        shutil.rmtree(parts)
    sys.stderr.write(f"{arguments.out}: {count_line(rows)}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
