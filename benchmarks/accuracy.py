"""Prints how good models are on each source of a data set's split, at full resolution.

    python benchmarks/accuracy.py --data data/mixture --split test --robustness

Without names it takes every model for masks in models/. Pooled and mean IoU have an interval that holds 95 % of what
other pictures of the same kind would give. Pictures go in as grey ones: the predictor reads nothing but luminance, so
those in colour give the same numbers bit for bit (tests/test_predictor.py).
"""

import argparse
import io
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import datasets
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from tqdm import tqdm

from carmask import ModelError, Predictor
from carmask.__main__ import times
from carmask.bootstrap import bootstrap_intervals
from carmask.dataset_folder import DataError
from carmask.dot_rows import open_dots
from carmask.metrics import calibration, calibration_counts, picture_counts, summary
from carmask.predictor import mask_folders
from carmask.reports import markdown_table, score_table, validate
from carmask.rows import choose_split, open_data, read_pair

SHOWN = (5, 7, 9)  # tenths: the probabilities at which the table says how many of the pixels are car
HEAD = ["pictures", "number", "IoU", "mean IoU", "boundary IoU", "false car", "calibration error"]
HEAD += [f"car at {tenth}0 %" for tenth in SHOWN]
Measured = dict[str, tuple[list[np.ndarray], np.ndarray]]  # source: counts of each picture, counts for calibration


def blurred(grey: Image.Image) -> Image.Image:
    """The picture out of focus, by 0.5 % of its longer side."""
    return grey.filter(ImageFilter.GaussianBlur(0.005 * max(grey.size)))


def noisy(grey: Image.Image) -> Image.Image:
    """The picture with noise of 20 grey levels; equal sizes get equal noise."""
    noise = np.random.default_rng(0).normal(0, 20, (grey.height, grey.width))
    return Image.fromarray((np.asarray(grey) + noise).clip(0, 255).astype(np.uint8))


def darkened(grey: Image.Image) -> Image.Image:
    """The picture with a quarter of its light."""
    return grey.point(lambda value: value // 4)


def jpeg_30(grey: Image.Image) -> Image.Image:
    """The picture after JPEG of quality 30."""
    store = io.BytesIO()
    grey.save(store, "JPEG", quality=30)
    return Image.open(store)


def half_size(grey: Image.Image) -> Image.Image:
    """The picture at half its size, and enlarged again so that its truth stays what it is."""
    small = grey.resize((max(1, grey.width // 2), max(1, grey.height // 2)), Image.Resampling.BOX)
    return small.resize(grey.size, Image.Resampling.BILINEAR)


DISTURBANCES = {"blur": blurred, "noise": noisy, "dark": darkened, "JPEG 30": jpeg_30, "half size": half_size}


@torch.inference_mode()
def measure(predictor: Predictor, split: datasets.Dataset, disturbance: str = "") -> Measured:
    """Runs the network once for each picture of a split, after a disturbance if one is named, and counts pixels."""
    task, counts, calibrations = predictor.task, defaultdict(list), defaultdict(int)
    for row in tqdm(split, desc=disturbance or "Pictures", leave=False, disable=None):
        grey, truth = read_pair(row)
        picture = Image.fromarray(grey)
        if disturbance:
            picture = DISTURBANCES[disturbance](picture)
        margin = predictor.margin(picture)
        source = row.get("source") or "pictures"
        counts[source].append(picture_counts(task.decode_margin(margin, truth.shape), truth))
        margin = F.interpolate(margin[None, None], size=truth.shape, mode="bilinear")[0, 0]
        calibrations[source] += calibration_counts(margin.sigmoid().numpy(), truth)
    measured = {source: (counts[source], calibrations[source]) for source in sorted(counts)}
    return measured | {"all": (sum(counts.values(), []), sum(calibrations.values()))}


def accuracy_table(measured: Measured) -> str:
    """A Markdown table with a row for each source; IoU only where there is a car."""
    lines = [HEAD]
    for source, (counts, calibrated) in measured.items():
        scores, ranges = summary(counts), bootstrap_intervals(counts)
        error, car_share = calibration(calibrated)
        line = [source, str(len(counts))]
        if sum(count[2] for count in counts):
            line += [f"{scores[k]:.3f} ({ranges[k][0]:.3f}–{ranges[k][1]:.3f})" for k in ("iou", "mean_iou")]
            line.append(f"{scores['boundary_iou']:.3f}")
        else:
            line += ["–"] * 3
        line.append(f"{scores['false_car_share']:.2%}" if "false_car_share" in scores else "–")
        line += [f"{error:.4f}"] + [f"{share:.0%}" if share == share else "–" for share in car_share[list(SHOWN)]]
        lines.append(line)
    return markdown_table(lines)


def robustness_table(plain: Measured, disturbed: dict[str, Measured]) -> str:
    """A Markdown table with a row for each disturbance: IoU of each source with a car, and false car pixels."""
    with_car = [source for source, (counts, _) in plain.items() if sum(count[2] for count in counts)]
    lines = [["disturbance", *(f"IoU {source}" for source in with_car), "false car"]]
    for name, measured in {"none": plain, **disturbed}.items():
        scores = {source: summary(counts) for source, (counts, _) in measured.items()}
        false = scores["all"].get("false_car_share")
        ious = [f"{scores[source]['iou']:.3f}" for source in with_car]
        lines.append([name, *ious, "–" if false is None else f"{false:.2%}"])
    return markdown_table(lines)


def main() -> None:
    """Reads the command line and prints the tables of each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="model folders (default: those for masks in models/)")
    parser.add_argument("--data", required=True, help="data set folder")
    parser.add_argument("--split", help="default: test if there is one, else validation")
    also = f"also with {', '.join(DISTURBANCES)}; takes six times as long"
    parser.add_argument("--robustness", action="store_true", help=also)
    parser.add_argument("--tiles", type=times, default=1.0, help="see pictures so many times as large, in pieces")
    arguments = parser.parse_args()
    try:
        for model in arguments.models or mask_folders():
            predictor = replace(Predictor.from_pretrained(model), tiles=arguments.tiles)
            dots = predictor.task.kind == "dots"
            splits = open_dots(arguments.data, predictor.task.entries)[0] if dots else open_data(arguments.data)
            name, split = choose_split(splits, arguments.data, arguments.split)
            print(f"\n{model} on {name} ({len(split)} pictures)\n", flush=True)
            if dots:
                print(score_table(validate(predictor, split)[0]))
                continue
            plain = measure(predictor, split)
            print(accuracy_table(plain), flush=True)
            if arguments.robustness:
                print("\n" + robustness_table(plain, {kind: measure(predictor, split, kind) for kind in DISTURBANCES}))
    except (DataError, ModelError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
