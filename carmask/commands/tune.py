"""Finds the inference settings (size, flip TTA, threshold) that are best on validation, and can store them.

    carmask tune my-model --data my-set --write

Tried are the sizes at which the network may see a picture, whether it sees the mirror image as well, as large as the
picture or 0.7 times, and which probability puts a pixel into the mask or makes a dot found. Milliseconds are of one
decoded picture until the network has answered, for dots with scoring. Of what takes at most `--most-ms` the best score
wins: `balanced_iou` of `carmask.evaluation.validation` for masks, for dots `f1_5`.

transformers' own pipeline shows a SegFormer no mirror image and knows no threshold. So that it gives the same mask,
`--mirrors 0` tries none, and what is stored of a SegFormer's threshold is a shift of its last bias.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
import numpy as np
from safetensors.torch import load_file, save
from transformers import AutoConfig

from carmask.data.dots_column import open_dots
from carmask.data.label_options import add_table_options, label_options
from carmask.data.rows import read_row
from carmask.data.sources import open_data
from carmask.errors import DataError, ModelError
from carmask.evaluation.mask_metrics import summary
from carmask.evaluation.validation import BEST, balanced_iou, validate
from carmask.files.disk import write_whole
from carmask.files.pictures import upright_rgb
from carmask.files.progress import progress
from carmask.hub.model_card import describe_inference_settings, rescore
from carmask.inference.exporting import refresh_exported
from carmask.inference.predictor import Predictor
from carmask.tasks.dots_task import DotsTask
from carmask.tasks.maps import resized
from carmask.tasks.mask_task import MaskTask

SIDES = (384, 448, 512, 640)
MIRRORS = (0.0, 0.7, 1.0)  # the mirror image's size by the picture's; 0.0: none is seen
TIE = 0.002  # in score: a tenth of its standard error over the validation pictures of the embedded models
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Trial:
    """One trial of inference settings, and what came of it on validation."""

    side: int
    mirror: float
    threshold: float
    score: float
    scores: dict[str, float]  # of each source of masks (IoU), or of all dots
    milliseconds: float
    predictor: Predictor


def variants(predictor: Predictor, sides: list[int], mirrors: list[float]) -> Iterator[tuple[int, Predictor]]:
    """The predictor at each size, with the mirror image of each size."""
    kept = "max_height" in predictor.preprocessing.size
    for side in sides:
        size = {"max_height": side, "max_width": side} if kept else {"height": side, "width": side}
        preprocessing = replace(predictor.preprocessing, size=size)
        for mirror in mirrors:
            yield side, replace(predictor, preprocessing=preprocessing, task=replace(predictor.task, mirror=mirror))


def try_for_masks(side: int, predictor: Predictor, split: datasets.Dataset) -> Trial:
    """Scores masks at every threshold from one pass over the pictures; of those as good as the best gives the surest.

    For where there is nothing to choose, an object that is not there is worse than a rim that is missed.
    """
    counts: dict[float, dict[str, list]] = {threshold: defaultdict(list) for threshold in THRESHOLDS}
    seconds = []
    for row in progress(split, "Trying", leave=False):
        _, truth = read_row(row)
        start = time.perf_counter()
        margin = predictor.margin(upright_rgb(row["image"]))
        seconds.append(time.perf_counter() - start)
        full = resized(margin, truth.shape)
        for threshold, by_source in counts.items():
            by_source[row.get("source") or "pictures"].append(areas(full, truth, threshold))
    best = max(map(balanced_iou, counts.values()))
    threshold = max(number for number, by_source in counts.items() if balanced_iou(by_source) >= best - TIE)
    by_source = counts[threshold]
    scores = {source: summary(group)["iou"] for source, group in sorted(by_source.items())}
    everything = summary([count for group in by_source.values() for count in group])
    scores |= {"false positives": everything["false_positive_share"]} if "false_positive_share" in everything else {}
    milliseconds = statistics.median(seconds) * 1000
    chosen = predictor.with_threshold(threshold)
    return Trial(side, predictor.task.mirror, threshold, balanced_iou(by_source), scores, milliseconds, chosen)


def areas(margin: np.ndarray, truth: np.ndarray, threshold: float) -> np.ndarray:
    """`picture_counts` of a full-size margin, but for the boundaries, which take long: int64 (6,)."""
    judged = (truth == 0) | (truth == 255)
    found, true = (margin > math.log(threshold / (1 - threshold))) & judged, truth == 255
    sets = (found & true, found, true)
    return np.array([*(np.count_nonzero(pixels) for pixels in sets), 0, 0, np.count_nonzero(judged)])


def try_for_dots(side: int, predictor: Predictor, split: datasets.Dataset) -> Trial:
    """Scores dots at their best threshold."""
    start = time.perf_counter()
    everything = validate(predictor, split, calibrate=True)[0]["all"]
    milliseconds = (time.perf_counter() - start) * 1000 / len(split)
    scores = {name: everything[name] for name in ("pck_5", "presence_f1")}
    threshold = everything["threshold"]
    chosen = predictor.with_threshold(threshold)
    return Trial(side, predictor.task.mirror, threshold, everything[BEST["dots"]], scores, milliseconds, chosen)


def trial_table(trials: list[Trial]) -> str:
    """What came of each trial, as a Markdown table."""
    names = list(trials[0].scores)
    lines = [f"| long side | mirror image | threshold | score | {' | '.join(names)} | ms |"]
    lines.append("|---" * (5 + len(names)) + "|")
    for trial in trials:
        cells = [str(trial.side), f"{trial.mirror:g}", f"{trial.threshold:.2f}", f"{trial.score:.4f}"]
        cells += [f"{trial.scores[name]:.4f}" for name in names] + [f"{trial.milliseconds:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def store(folder: Path, trial: Trial, splits: datasets.DatasetDict) -> None:
    """Stores a trial's settings in a model folder, and in its card what it scores on `validation` and `test`.

    All is scored before anything is written, so who stops it has the old model, not half of each.
    """
    judged = {name: splits[name] for name in ("validation", "test") if name in splits}
    scores = {name: validate(trial.predictor, split)[0] for name, split in judged.items()}
    task, threshold, maps = trial.predictor.task, trial.threshold, tuple[int, ...]()
    if AutoConfig.from_pretrained(folder).model_type == "segformer" and isinstance(task, MaskTask):
        threshold, maps = 0.5, task.object
    changes = {
        "config.json": lambda settings: settings | {"threshold": threshold, "mirror": trial.mirror},
        "preprocessor_config.json": lambda settings: settings | {"size": dict.fromkeys(settings["size"], trial.side)},
    }
    for name, change in changes.items():
        settings = json.loads((folder / name).read_text(encoding="utf-8"))
        write_whole(folder / name, f"{json.dumps(change(settings), indent=2)}\n".encode())
    if maps:
        shift_bias(folder / "model.safetensors", maps, trial.threshold)
        refresh_exported(folder)
    rescore(folder, scores, describe_inference_settings(trial.predictor))


def shift_bias(weights: Path, maps: tuple[int, ...], threshold: float) -> None:
    """Lowers the bias of a SegFormer's `maps` of the object so that masks at 0.5 are what they were at `threshold`."""
    tensors = load_file(weights)
    tensors["decode_head.classifier.bias"][list(maps)] -= math.log(threshold / (1 - threshold))
    write_whole(weights, save(tensors, metadata={"format": "pt"}))


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="carmask tune", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("--data", required=True, help="data set folder with a validation split")
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES, help="sizes to try (default: %(default)s)")
    mirrors = "the mirror image's sizes to try, by the picture's; 0 is none (default: %(default)s)"
    parser.add_argument("--mirrors", type=float, nargs="+", default=MIRRORS, help=mirrors)
    parser.add_argument("--most-ms", type=float, default=math.inf, help="longest that a picture may take")
    parser.add_argument("--write", action="store_true", help="store the best in the model folder and score it anew")
    add_table_options(parser)
    arguments = parser.parse_args(argv)
    missing = [name for name in ("README.md", "scores.json") if not (arguments.model / name).is_file()]
    if arguments.write and missing:
        print(f"carmask tune: {arguments.model} has no {missing[0]} to write scores into.", file=sys.stderr)
        return 1
    try:
        predictor = Predictor.from_pretrained(arguments.model)
        task = predictor.task
        splits = (
            open_dots(arguments.data, task.entries)[0]
            if isinstance(task, DotsTask)
            else open_data(arguments.data, options=label_options(arguments, task.name))
        )
    except (DataError, ModelError) as error:
        print(f"carmask tune: {error}", file=sys.stderr)
        return 1
    try_settings = try_for_dots if isinstance(task, DotsTask) else try_for_masks
    tried = variants(predictor, arguments.sides, arguments.mirrors)
    trials = [try_settings(side, one, splits["validation"]) for side, one in tried]
    print(trial_table(trials))
    fitting = [trial for trial in trials if trial.milliseconds <= arguments.most_ms]
    if not fitting:
        print(f"carmask tune: nothing answers within {arguments.most_ms:g} ms; allow more.", file=sys.stderr)
        return 1
    best = max(fitting, key=lambda trial: trial.score)
    print(f"\nThe best: threshold {best.threshold:.2f}. {describe_inference_settings(best.predictor)}")
    if arguments.write:
        try:
            store(arguments.model, best, splits)
        except OSError as error:
            reason = f"{error.filename or arguments.model}: {error.strerror or error}"
            print(f"carmask tune: {reason}; {arguments.model} is not stored whole, so run it again.", file=sys.stderr)
            return 1
        print(f"It is stored in {arguments.model}.")
    return 0
