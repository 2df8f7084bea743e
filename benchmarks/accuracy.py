"""Prints how good models are on each source of a data set's split, at full resolution.

    python benchmarks/accuracy.py --data data/mixture --split test --enlarge 12 --robustness

Without names it takes every model for masks in models/. Pooled and mean IoU have an interval that holds 95 % of what
other pictures of the same kind would give; pictures of a group are drawn together, and of fewer than six groups, such
as CamVid's two drives, the lowest and the highest score of one stand there. Pictures go in as they are, and those in
colour are checked to reach the network as their grey copies do.
"""

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass, field, replace

import datasets
import numpy as np
from PIL import Image

from benchmarks.disturbances import DISTURBANCES, enlarged
from carmask import ModelError, Predictor
from carmask.command_line import times
from carmask.data.dots_column import open_dots
from carmask.data.object_choice import ObjectChoice, object_choice
from carmask.data.rows import read_row, row_names
from carmask.data.sources import choose_split, open_data
from carmask.errors import DataError
from carmask.evaluation.bootstrap import bootstrap_intervals, brackets, few_groups
from carmask.evaluation.mask_metrics import BAND, NARROW_BAND, calibration, calibration_counts, picture_counts, summary
from carmask.evaluation.validation import validate
from carmask.files.pictures import upright_rgb
from carmask.files.progress import progress
from carmask.hub.model_card import markdown_table, score_table
from carmask.inference.loading import mask_folders
from carmask.tasks.maps import resized, sigmoid

SIZES = {"under 1 %": (0, 0.01), "1 to 5 %": (0.01, 0.05), "over 5 %": (0.05, 1)}  # what objects fill of a picture
SHOWN = (5, 7, 9)  # tenths: the probabilities at which the table says how many of the pixels are object
EDGES = [f"boundary IoU {band:.1%}" for band in (BAND, NARROW_BAND)]
HEAD = ["pictures", "number", "IoU", "mean IoU", *EDGES, "false positives", "calibration error"]
HEAD += [f"object at {tenth}0 %" for tenth in SHOWN]


@dataclass
class Pictures:
    """What was counted on some pictures: for each, its `picture_counts`, group and name; for all, for calibration.

    `narrow` are the `picture_counts` with the narrow band.
    """

    counts: list[np.ndarray] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    calibration: np.ndarray | int = 0
    narrow: list[np.ndarray] = field(default_factory=list)


Measured = dict[str, Pictures]  # by source, and of "all"


def measure(predictor: Predictor, split: datasets.Dataset, disturbance: str = "", megapixels: float = 0.0) -> Measured:
    """Runs the network once for each picture of a split, after a disturbance if one is named, and counts pixels.

    Pictures of fewer than `megapixels` are enlarged first.
    """
    task, measured = predictor.task, defaultdict(Pictures)
    rows = zip(split, row_names(split), strict=True)
    for row, name in progress(rows, disturbance or "Pictures", len(split), leave=False):
        grey, truth = read_row(row)
        picture = DISTURBANCES[disturbance](Image.fromarray(grey)) if disturbance else upright_rgb(row["image"])
        picture, truth = enlarged(picture, truth, megapixels)
        margin = predictor.margin(picture)
        mask = task.decode_margin(margin, truth.shape)
        counts, narrow = (picture_counts(mask, truth, band) for band in (BAND, NARROW_BAND))
        trusted = calibration_counts(sigmoid(resized(margin, truth.shape)), truth)
        for pictures in (measured[row.get("source") or "pictures"], measured["all"]):
            pictures.counts.append(counts)
            pictures.narrow.append(narrow)
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
            line += edges(pictures)
        else:
            line += ["–"] * 4
        line.append(f"{scores['false_positive_share']:.2%}" if "false_positive_share" in scores else "–")
        line += [f"{error:.4f}"] + [f"{share:.0%}" if share == share else "–" for share in true_share[list(SHOWN)]]
        lines.append(line)
    return markdown_table(lines)


def edges(pictures: Pictures) -> list[str]:
    """The boundary IoU in both bands."""
    return [f"{summary(counts)['boundary_iou']:.3f}" for counts in (pictures.counts, pictures.narrow)]


def by_size(pictures: Pictures) -> Measured:
    """The pictures with an object, by how much of what is judged it fills; several objects count together."""
    shares = [count[2] / max(1, count[5]) for count in pictures.counts]
    groups = {}
    for name, (least, most) in SIZES.items():
        chosen = [number for number, share in enumerate(shares) if least < share <= most]
        counts, narrow = ([kept[number] for number in chosen] for kept in (pictures.counts, pictures.narrow))
        groups[name] = Pictures(counts, narrow=narrow)
    return groups


def short_table(head: str, measured: Measured) -> str:
    """A Markdown table of IoU and boundary IoU, with a row for each entry that has an object."""
    lines = [[head, "number", "IoU", "mean IoU", *EDGES]]
    for name, pictures in measured.items():
        if has_object(pictures):
            scores = summary(pictures.counts)
            values = [f"{scores[key]:.3f}" for key in ("iou", "mean_iou")]
            lines.append([name, str(len(pictures.counts)), *values, *edges(pictures)])
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
    also = "also with pictures enlarged to so many megapixels, such as 12; takes longer"
    parser.add_argument("--enlarge", type=float, default=0.0, metavar="MEGAPIXELS", help=also)
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
            print("\n" + short_table(f"a {predictor.task.name} fills", by_size(plain["all"])), flush=True)
            if arguments.enlarge:
                large = measure(predictor, split, megapixels=arguments.enlarge)
                print("\n" + short_table(f"enlarged to {arguments.enlarge:g} megapixels", large), flush=True)
            if arguments.worst:
                print(f"\n{worst_table(plain, arguments.worst)}", flush=True)
            if arguments.robustness:
                print("\n" + robustness_table(plain, {kind: measure(predictor, split, kind) for kind in DISTURBANCES}))
    except (DataError, ModelError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
