"""Finds the inference settings (size, flip TTA, threshold) that are best on validation, and stores them in a model.

A size is tried with the mirror image too, as large as the picture or 0.7 times, and of each the threshold is chosen:
which probability puts a pixel into the mask, or makes a dot found.
"""

import json
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
import numpy as np
from PIL import Image
from safetensors.torch import load_file, save

from carmask.data.rows import read_numbered
from carmask.evaluation.mask_metrics import summary
from carmask.evaluation.validation import BEST, balanced_iou, column, validate
from carmask.files.disk import write_whole
from carmask.files.progress import progress
from carmask.files.words import listed
from carmask.inference.exporting import refresh_exported
from carmask.inference.predictor import Predictor
from carmask.tasks.dots_task import DotsTask
from carmask.tasks.maps import resized
from carmask.tasks.mask_task import MaskTask

MIRRORS = (0.0, 0.7, 1.0)  # the mirror image's size by the picture's; 0.0: none is seen
TIE = 0.002  # in score: a tenth of its standard error over the validation pictures of the embedded models
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Trial:
    """What came on validation of a `predictor` with some inference settings, whose size is `side`."""

    side: int
    score: float
    scores: dict[str, float]  # of each source of masks (IoU), or of all dots
    milliseconds: float
    predictor: Predictor


def try_all(
    predictor: Predictor, split: datasets.Dataset, sides: Sequence[int], mirrors: Sequence[float] = MIRRORS
) -> list[Trial]:
    """Tries a predictor on a split at each size, with a mirror image of each size."""
    try_one = try_for_dots if isinstance(predictor.task, DotsTask) else try_for_masks
    return [try_one(side, variant, split) for side, variant in variants(predictor, sides, mirrors)]


def chosen_among(sides: Sequence[int], mirrors: Sequence[float]) -> str:
    """What is chosen where these sizes and mirror images are tried, in words: what varies, and the threshold."""
    return listed(["size"] * (len(set(sides)) > 1) + ["mirror image"] * (len(set(mirrors)) > 1) + ["threshold"])


def best_of(trials: Sequence[Trial]) -> Trial:
    """The trial that sees the fewest pixels of those that score as the best one does, but for a tie."""
    best = max(trial.score for trial in trials)
    return min(
        (trial for trial in trials if trial.score >= best - TIE),
        key=lambda trial: trial.side**2 * (1 + trial.predictor.task.mirror**2),
    )


def variants(predictor: Predictor, sides: Sequence[int], mirrors: Sequence[float]) -> Iterator[tuple[int, Predictor]]:
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

    Raises:
        DataError: a row cannot be used.
    """
    counts: dict[float, dict[str, list]] = {threshold: defaultdict(list) for threshold in THRESHOLDS}
    seconds = []
    for index, source in enumerate(progress(column(split, "source"), "Trying", leave=False)):
        grey, truth = read_numbered(split, index)
        start = time.perf_counter()
        margin = predictor.margin(Image.fromarray(grey).convert("RGB"))
        seconds.append(time.perf_counter() - start)
        full = resized(margin, truth.shape)
        for threshold, by_source in counts.items():
            by_source[source or "pictures"].append(areas(full, truth, threshold))
    best = max(map(balanced_iou, counts.values()))
    threshold = max(number for number, by_source in counts.items() if balanced_iou(by_source) >= best - TIE)
    by_source = counts[threshold]
    scores = {source: summary(group)["iou"] for source, group in sorted(by_source.items())}
    everything = summary([count for group in by_source.values() for count in group])
    scores |= {"false positives": everything["false_positive_share"]} if "false_positive_share" in everything else {}
    milliseconds = statistics.median(seconds) * 1000
    return Trial(side, balanced_iou(by_source), scores, milliseconds, predictor.with_threshold(threshold))


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
    names: list[str] = ["pck_5", "presence_f1"]
    scores = {name: everything[name] for name in names if name in everything}
    chosen = predictor.with_threshold(everything["threshold"])
    return Trial(side, everything[BEST["dots"]], scores, milliseconds, chosen)


def store_settings(folder: Path, trial: Trial, network: str) -> None:
    """Stores a trial's settings in the folder of a model whose network is of the type `network`.

    transformers' own pipeline knows no threshold. So that it gives the same mask, what is stored of a SegFormer's is a
    shift of its last bias.
    """
    task = trial.predictor.task
    threshold, maps = task.threshold, tuple[int, ...]()
    if network == "segformer" and isinstance(task, MaskTask):
        threshold, maps = 0.5, task.object
    if maps:
        shift_bias(folder / "model.safetensors", maps, task.threshold)
    changes = {
        "config.json": {"threshold": threshold, "mirror": task.mirror},
        "preprocessor_config.json": {"size": trial.predictor.preprocessing.size},
    }
    for name, change in changes.items():
        settings = json.loads((folder / name).read_text(encoding="utf-8"))
        write_whole(folder / name, f"{json.dumps(settings | change, indent=2)}\n".encode())
    if (folder / "model.safetensors").is_file():
        refresh_exported(folder)  # it states the settings as well


def shift_bias(weights: Path, maps: tuple[int, ...], threshold: float) -> None:
    """Lowers the bias of a SegFormer's `maps` of the object so that masks at 0.5 are what they were at `threshold`."""
    tensors = load_file(weights)
    tensors["decode_head.classifier.bias"][list(maps)] -= math.log(threshold / (1 - threshold))
    write_whole(weights, save(tensors, metadata={"format": "pt"}))
