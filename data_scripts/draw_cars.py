"""Draws a data set: made-up cars before made-up backgrounds, with exact masks and dots; no data is needed."""

import argparse
import re
import sys
from pathlib import Path

from carmask.command_line import exit_code, natural_number, positive_number
from carmask.data.card import count_line
from carmask.data.folder import finish_data_set, save_example, staged_folder
from carmask.files.progress import progress
from data_scripts.drawn_cars.car_painting import DOT_NAMES
from data_scripts.drawn_cars.scene import draw_picture

SPLIT_OF_TEN = ("train",) * 4 + ("validation",) + ("train",) * 4 + ("test",)
Size = tuple[int, int]
EXAMPLE_SEED, EXAMPLE_SIZE = 7, (512, 768)
EXAMPLES = {"street": 5, "hills": 18, "front": 25, "corner": 26, "avenue": 29, "no-car": 127}


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="data set folder to write")
    parser.add_argument("--examples", action="store_true", help="write the demo's example pictures to OUT instead")
    parser.add_argument("--count", type=positive_number, default=300, help="number of pictures (default: %(default)s)")
    parser.add_argument(
        "--seed", type=natural_number, default=0, help="the same seed gives the same pictures (default: 0)"
    )
    parser.add_argument("--size", type=_size, default=(256, 384), metavar="WIDTHxHEIGHT", help="default: 384x256")
    parser.add_argument(
        "--cars", type=int, choices=(1, 2), default=2, help="most cars in a picture; dots: the nearer one (default: 2)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing data set")
    arguments = parser.parse_args(argv)
    return exit_code(write_examples if arguments.examples else write_data_set, arguments)


def write_data_set(arguments: argparse.Namespace) -> int:
    """Writes the data set; returns the exit code."""
    with staged_folder(arguments.out, arguments.overwrite) as folder:
        rows = []
        for index in progress(range(arguments.count), "drawn"):
            split, name = SPLIT_OF_TEN[index % 10], f"drawn-{index:06d}"
            (folder / split).mkdir(exist_ok=True)
            drawn = draw_picture(arguments.seed, index, arguments.size, arguments.cars)
            row = save_example(folder / split, name, drawn.picture, drawn.mask, lossless=False)
            rows.append({**row, "source": "drawn", "group": name, "dots": drawn.dots, "split": split})
        _give_each_split_dots(folder, rows)
        title = f"Drawn cars, {arguments.count} pictures of seed {arguments.seed}"
        finish_data_set(folder, rows, title, list(DOT_NAMES))
    print(f"{arguments.out}: {count_line(rows)}")
    return 0


def _give_each_split_dots(folder: Path, rows: list[dict]) -> None:
    """Swaps pictures of a small set so that no split is without dots, which `load_dataset` could not read."""
    for split in ("validation", "test"):
        lacking = [row for row in rows if row["split"] == split]
        giving = [row for row in rows if row["split"] == "train" and any(row["dots"])]
        if not lacking or any(any(row["dots"]) for row in lacking) or not giving:
            continue
        for row, target in ((lacking[0], "train"), (giving[0], split)):
            for column in ("file_name", "mask_file_name"):
                (folder / row["split"] / row[column]).rename(folder / target / row[column])
            row["split"] = target


def write_examples(arguments: argparse.Namespace) -> int:
    """Writes the demo's example pictures into a folder; returns the exit code."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, index in EXAMPLES.items():
        draw_picture(EXAMPLE_SEED, index, EXAMPLE_SIZE).picture.save(arguments.out / f"{name}.jpg", quality=90)
    print(f"{arguments.out}: {len(EXAMPLES)} pictures")
    return 0


def _size(text: str) -> Size:
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text)
    if not match or min(int(match[1]), int(match[2])) < 64:
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT, sides from 64 to 9999, such as 384x256, not {text}")
    return int(match[2]), int(match[1])


if __name__ == "__main__":
    sys.exit(main())
