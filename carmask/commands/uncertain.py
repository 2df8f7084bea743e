"""Ranks pictures without masks by how much a model doubts its own, so that labelling starts where it helps most.

    carmask uncertain photos --model my-model --top 50

writes the pictures and the model's masks for them, as drafts to correct, into two folders of to-label (or of --out),
which from_folders.py reads:

    python data_scripts/from_folders.py to-label/images to-label/masks corrected

to-label.csv lists them, most doubtful first, and contact_sheet.png shows the drafts.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from carmask.command_line import exit_code, positive_number
from carmask.data.folder import save_example, staged_folder
from carmask.data.object_choice import add_object_labels
from carmask.errors import DataError, ModelError, PictureError
from carmask.files.drawing import contact_sheet, overlay_mask
from carmask.files.pictures import open_picture, open_reduced
from carmask.files.progress import progress
from carmask.inference.folders import plan_answers
from carmask.inference.loading import EMBEDDED
from carmask.inference.predictor import Predictor, check_task
from carmask.tasks.maps import sigmoid

SHEET_TILES, TILE = 120, 200  # of 4.5 thousand pixels in height, which every program shows

JPEG_ENDINGS = (".jpg", ".jpeg", ".jfif", ".mpo")


def doubt(probability: np.ndarray, threshold: float) -> float:
    """How unsure a model is of its mask: the mean binary entropy of the mask's pixels, in bits, 0 to 1.

    The mean over the whole picture would rank by the length of outlines, and so by the objects' size. Where nothing is
    found it is all there is to go by: the fainter, the less doubt. docs/your-own-model.md compares the two.

    Args:
        probability: of the object, float (height, width) in 0 to 1.
        threshold: above which a pixel is in the mask.

    Source: Mehrtash et al. 2020, https://arxiv.org/abs/1911.13273.
    """
    chance = probability.astype(np.float64).clip(1e-9, 1 - 1e-9)
    entropy = -chance * np.log2(chance) - (1 - chance) * np.log2(1 - chance)
    inside = probability > threshold
    return float(entropy[inside].mean() if inside.any() else entropy.mean())


def rank(predictor: Predictor, planned: list[tuple[Path, str]]) -> tuple[list[tuple[float, Path, str]], list[str]]:
    """The doubt, file and name of each picture, most doubtful first; and in sentences the pictures that failed."""
    ranked, failed, first = [], [], dict[str, Path]()
    for path, name in progress(planned, "Pictures"):
        if first.setdefault(name, path) != path:
            failed.append(f"{path}: it would be called {name}, as {first[name]} is; rename one of the two.")
            continue
        try:
            picture, size = open_reduced(path, predictor.seen_size)
        except PictureError as error:
            failed.append(f"{path}: {error}")
            continue
        probability = sigmoid(predictor.margin(picture, size))
        ranked.append((doubt(probability, predictor.threshold), path, name))
    return sorted(ranked, key=lambda one: (-one[0], one[2])), failed


def write_drafts(predictor: Predictor, chosen: list[tuple[float, Path, str]], folder: Path) -> None:
    """Writes upright copies of some pictures, drafts of their masks, the list, and the sheet."""
    tiles, lines = list[Image.Image](), []
    for value, path, name in progress(chosen, "Drafts"):
        picture = open_picture(path)
        mask = predictor(picture)
        row = save_example(folder, name, picture, mask, lossless=path.suffix.lower() not in JPEG_ENDINGS)
        lines.append([row["file_name"], row["mask_file_name"], f"{value:.4f}", path])
        if len(tiles) < SHEET_TILES:
            tiles.append(overlay_mask(picture, mask))
            tiles[-1].thumbnail((TILE, TILE))
    with (folder / "to-label.csv").open("w", encoding="utf-8", errors="replace", newline="") as file:
        csv.writer(file).writerows([["image", "draft", "doubt", "picture"], *lines])
    captions = [f"{value:.2f} {name}" for value, _, name in chosen]
    contact_sheet(tiles, captions[: len(tiles)], tile=TILE).save(folder / "contact_sheet.png")


def work(arguments: argparse.Namespace) -> int:
    """Ranks the pictures and writes the most doubtful; returns the exit code.

    Raises:
        DataError: OUT exists, or there is no picture.
        ModelError: the model cannot be used.
    """
    with staged_folder(arguments.out, overwrite=False) as staged:
        predictor = Predictor.from_pretrained(arguments.model, object_labels=arguments.object.classes)
        check_task(predictor, "mask")
        planned, failed = plan_answers(arguments.pictures, arguments.out)
        named = [(path, target.relative_to(arguments.out).as_posix().replace("/", "_")) for path, target in planned]
        ranked, more = rank(predictor, named)
        for line in failed + more:
            print(line, file=sys.stderr)
        if not ranked:
            raise DataError("There are no pictures that can be read in what was given.")
        chosen = ranked[: arguments.top]
        write_drafts(predictor, chosen, staged)
    middle = float(np.median([value for value, *_ in ranked]))
    print(
        f"{arguments.out}: the {len(chosen)} most doubtful of {len(ranked)} pictures, with a doubt of "
        f"{chosen[0][0]:.2f} to {chosen[-1][0]:.2f}; half of all have at most {middle:.2f}."
    )
    if len(chosen) > SHEET_TILES:
        print(f"contact_sheet.png shows the first {SHEET_TILES}; it leaves out {len(chosen) - SHEET_TILES}.")
    return int(bool(failed + more))


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns 0, or 1 if anything failed."""
    parser = argparse.ArgumentParser(
        prog="carmask uncertain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE_OR_FOLDER", help="with sub-folders")
    parser.add_argument(
        "--out", default=Path("to-label"), type=Path, metavar="FOLDER",
        help="folder to write, which must not exist (default: to-label)",
    )  # fmt: skip
    parser.add_argument("--model", default=EMBEDDED["mask"], help="model folder or model of the Hub")
    add_object_labels(parser)
    parser.add_argument("--top", type=positive_number, default=50, metavar="N", help="how many to write (default: 50)")
    arguments = parser.parse_args(argv)
    try:
        return exit_code(work, arguments)
    except ModelError as error:
        print(f"carmask uncertain: {error}", file=sys.stderr)
        return 1
