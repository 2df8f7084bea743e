"""Prints how good models are on each source of a data set's split, at full resolution.

    python benchmarks/accuracy.py --data data/mixture --split test --robustness

Without names it takes every model for masks in models/. Pooled and mean IoU have an interval that holds 95 % of what
other pictures of the same kind would give; pictures of a group are drawn together, and of fewer than six groups, such
as CamVid's two drives, the lowest and the highest score of one stand there. Pictures go in as they are, and those in
colour are checked to reach the network as their grey copies do.
"""

import argparse
import io
import sys
from collections import defaultdict
from dataclasses import dataclass, field, replace

import datasets
import numpy as np
from PIL import Image, ImageFilter

from carmask import ModelError, Predictor
from carmask.command_line import times
from carmask.data.dots_column import open_dots
from carmask.data.object_choice import ObjectChoice, object_choice
from carmask.data.rows import read_row, row_names
from carmask.data.sources import choose_split, open_data
from carmask.errors import DataError
from carmask.evaluation.bootstrap import bootstrap_intervals, brackets, few_groups
from carmask.evaluation.mask_metrics import calibration, calibration_counts, picture_counts, summary
from carmask.evaluation.validation import validate
from carmask.files.pictures import upright_rgb
from carmask.files.progress import progress
from carmask.hub.model_card import markdown_table, score_table
from carmask.inference.loading import mask_folders
from carmask.tasks.maps import resized, sigmoid
from carmask.training.augmentation import blur_box

SHOWN = (5, 7, 9)  # tenths: the probabilities at which the table says how many of the pixels are object
HEAD = ["pictures", "number", "IoU", "mean IoU", "boundary IoU", "false positives", "calibration error"]
HEAD += [f"object at {tenth}0 %" for tenth in SHOWN]


@dataclass
class Pictures:
    """What was counted on some pictures: for each, its `picture_counts`, group and name; for all, for calibration."""

    counts: list[np.ndarray] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    calibration: np.ndarray | int = 0


Measured = dict[str, Pictures]  # by source, and of "all"


def blurred(grey: Image.Image) -> Image.Image:
    """The picture out of focus, by 0.5 % of its longer side."""
    return grey.filter(ImageFilter.GaussianBlur(0.005 * max(grey.size)))


def part_blurred(grey: Image.Image) -> Image.Image:
    """The picture with a fifth of it, in the middle of the upper half, out of focus by 1.5 % of its longer side."""
    box = tuple(round(share * side) for share, side in zip((0.25, 0.05, 0.75, 0.45), grey.size * 2, strict=True))
    whole = grey.copy()
    blur_box(whole, box, 0.015 * max(grey.size))
    return whole


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


DISTURBANCES = {
    "blur": blurred,
    "blurred part": part_blurred,
    "noise": noisy,
    "dark": darkened,
    "JPEG 30": jpeg_30,
    "half size": half_size,
}


def measure(predictor: Predictor, split: datasets.Dataset, disturbance: str = "") -> Measured:
    """Runs the network once for each picture of a split, after a disturbance if one is named, and counts pixels."""
    task, measured = predictor.task, defaultdict(Pictures)
    rows = zip(split, row_names(split), strict=True)
    for row, name in progress(rows, disturbance or "Pictures", len(split), leave=False):
        grey, truth = read_row(row)
        picture = DISTURBANCES[disturbance](Image.fromarray(grey)) if disturbance else upright_rgb(row["image"])
        margin = predictor.margin(picture)
        counts = picture_counts(task.decode_margin(margin, truth.shape), truth)
        trusted = calibration_counts(sigmoid(resized(margin, truth.shape)), truth)
        for pictures in (measured[row.get("source") or "pictures"], measured["all"]):
            pictures.counts.append(counts)
            pictures.groups.append(row.get("group") or name)
            pictures.names.append(name)
            pictures.calibration = pictures.calibration + trusted
    return {source: measured[source] for source in sorted(measured, key=lambda name: (name == "all", name))}


def colour_line(predictor: Predictor, split: datasets.Dataset) -> str:
    """A sentence on whether pictures in colour reach the network as their grey copies do."""
    number, same = 0, 0
    for row in split:
        picture = upright_rgb(row["image"])
        grey = picture.convert("L")
        if picture.tobytes() == grey.convert("RGB").tobytes():
            continue
        number += 1
        same += np.array_equal(predictor.pixel_values(picture), predictor.pixel_values(upright_rgb(grey)))
    return (
        f"In colour: {number} of the pictures; {same} of them reach the network as their grey copies do, bit for bit."
    )


def accuracy_table(measured: Measured) -> str:
    """A Markdown table with a row for each source; IoU only where there is an object."""
    lines = [HEAD]
    for source, pictures in measured.items():
        scores, ranges = summary(pictures.counts), bootstrap_intervals(pictures.counts, pictures.groups)
        error, true_share = calibration(pictures.calibration)
        line = [source, str(len(pictures.counts))]
        if has_object(pictures):
            few = few_groups(pictures.groups)
            line += [f"{scores[name]:.3f}{brackets(*ranges[name], few)}" for name in ("iou", "mean_iou")]
            line.append(f"{scores['boundary_iou']:.3f}")
        else:
            line += ["–"] * 3
        line.append(f"{scores['false_positive_share']:.2%}" if "false_positive_share" in scores else "–")
        line += [f"{error:.4f}"] + [f"{share:.0%}" if share == share else "–" for share in true_share[list(SHOWN)]]
        lines.append(line)
    return markdown_table(lines)


def has_object(pictures: Pictures) -> bool:
    """Whether one of the pictures shows the object."""
    return any(count[2] for count in pictures.counts)


def worst_table(measured: Measured, number: int) -> str:
    """A Markdown table of the `number` worst pictures of each source: by IoU, or without an object by false pixels."""
    lines = [["pictures", "worst", "IoU", "of the object missed", "of the rest in the mask"]]
    for source, pictures in measured.items():
        cases = []
        for name, (hits, found, true, _, _, judged) in zip(pictures.names, pictures.counts, strict=True):
            false = (found - hits) / max(1, judged - true)
            cases.append((hits / (found + true - hits) if true else 1 - false, name, hits, true, false))
        for score, name, hits, true, false in sorted(cases)[: number * (source != "all")]:
            cells = [f"{score:.3f}", f"{1 - hits / true:.0%}"] if true else ["–", "–"]
            lines.append([source, name, *cells, f"{false:.1%}"])
    return markdown_table(lines)


def robustness_table(plain: Measured, disturbed: dict[str, Measured]) -> str:
    """A Markdown table with a row for each disturbance: IoU of each source with an object, and false pixels."""
    with_object = [source for source, pictures in plain.items() if has_object(pictures)]
    lines = [["disturbance", *(f"IoU {source}" for source in with_object), "false positives"]]
    for name, measured in {"none": plain, **disturbed}.items():
        scores = {source: summary(pictures.counts) for source, pictures in measured.items()}
        false = scores["all"].get("false_positive_share")
        ious = [f"{scores[source]['iou']:.3f}" for source in with_object]
        lines.append([name, *ious, "–" if false is None else f"{false:.2%}"])
    return markdown_table(lines)


def main() -> None:
    """Reads the command line and prints the tables of each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="model folders (default: those for masks in models/)")
    parser.add_argument("--data", required=True, help="data set folder")
    parser.add_argument("--split", help="default: test if there is one, else validation")
    also = f"also with {', '.join(DISTURBANCES)}; takes {len(DISTURBANCES) + 1} times as long"
    parser.add_argument("--robustness", action="store_true", help=also)
    parser.add_argument("--worst", type=int, default=0, help="also the so many worst pictures of each source")
    labels = "which labels of a model of many are the object, such as car,truck (default: car)"
    parser.add_argument("--object", type=object_choice, default=ObjectChoice(classes=()), help=labels)
    parser.add_argument("--sliding-window", type=times, default=1.0, help="see pictures so many times as large")
    arguments = parser.parse_args()
    try:
        for model in arguments.models or mask_folders():
            opened = Predictor.from_pretrained(model, object_labels=arguments.object.classes)
            predictor = replace(opened, magnification=arguments.sliding_window)
            dots = predictor.task.kind == "dots"
            splits = open_dots(arguments.data, predictor.task.entries)[0] if dots else open_data(arguments.data)
            name, split = choose_split(splits, arguments.data, arguments.split)
            print(f"\n{model} on {name} ({len(split)} pictures)\n", flush=True)
            if dots:
                print(score_table(validate(predictor, split)[0]))
                continue
            plain = measure(predictor, split)
            print(f"{accuracy_table(plain)}\n\n{colour_line(predictor, split)}", flush=True)
            if arguments.worst:
                print(f"\n{worst_table(plain, arguments.worst)}", flush=True)
            if arguments.robustness:
                print("\n" + robustness_table(plain, {kind: measure(predictor, split, kind) for kind in DISTURBANCES}))
    except (DataError, ModelError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
