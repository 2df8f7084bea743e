"""Scores a split of a data set through the predictor, and says which validation of a run is the best."""

import math
from collections import defaultdict

import datasets
import numpy as np
from PIL import Image

from carmask.data.rows import read_numbered
from carmask.evaluation.bootstrap import bootstrap_intervals, few_groups
from carmask.evaluation.dot_metrics import DotScores, best_threshold, dot_scores
from carmask.evaluation.figures import draw_case, draw_dots_case
from carmask.evaluation.mask_metrics import MaskScores, picture_counts, summary
from carmask.files.progress import progress
from carmask.inference.predictor import Predictor
from carmask.tasks.dots_task import Dot, DotsTask

BEST = {"mask": "balanced_iou", "dots": "f1_5"}  # the score by which the best model is chosen

FEWEST_TO_CHOOSE = 8  # validation pictures; what fewer of them like best is chance

Scores = dict[str, dict[str, float]]


def kept_line(history: list[dict], pictures: int) -> dict:
    """The validation in a run's `history` whose weights are kept: the best one, or the last of too few `pictures`."""
    if pictures < FEWEST_TO_CHOOSE:
        return history[-1]
    key = next(key for key in BEST.values() if key in history[0])
    return max(history, key=lambda line: line[key])


def validate(
    predictor: Predictor, split: datasets.Dataset, worst: int = 0, calibrate: bool = False
) -> tuple[Scores, list[Image.Image]]:
    """Scores a split through the predictor, at full resolution, as a visitor would see it.

    For dots see `validate_dots`; for masks nothing is calibrated.

    Returns:
        The scores of `carmask.evaluation.mask_metrics` for "all" and for each source; "all" also has `balanced_iou`,
        and a source with objects `iou_low` and `iou_high` of `bootstrap_intervals`, and `few_groups` if it has them.
        And pictures of the `worst` cases: missed pixels in red, false ones in blue.

    Raises:
        DataError: a row cannot be used.
    """
    if predictor.task.kind == "dots":
        return validate_dots(predictor, split, worst, calibrate)
    metric, groups, cases = MaskScores(), defaultdict(list), []
    sources = [source or "pictures" for source in column(split, "source")]
    for index, (source, group) in enumerate(zip(sources, column(split, "group"), strict=True)):
        groups[source].append(group or str(index))
    for index in progress(range(len(split)), "Validating", leave=False):
        grey, truth = read_numbered(split, index)
        mask = predictor(Image.fromarray(grey).convert("RGB"))
        metric.add(prediction=Image.fromarray(mask), reference=Image.fromarray(truth))
        if worst:
            cases.append((summary([picture_counts(mask, truth)])["iou"], index, mask))
            cases = sorted(cases, key=lambda case: case[:2])[:worst]
    everything = metric.compute(each=True)
    counts = defaultdict(list)
    for source, count in zip(sources, everything["counts"], strict=True):
        counts[source].append(count)
    del everything["counts"]
    scores = {source: summary(counts[source]) for source in sorted(counts)}
    for source, values in scores.items():
        if any(count[2] for count in counts[source]):
            values["iou_low"], values["iou_high"] = bootstrap_intervals(counts[source], groups[source])["iou"]
            values |= {"few_groups": float(few)} if (few := few_groups(groups[source])) else {}
    scores["all"] = everything | {"balanced_iou": balanced_iou(counts)}
    return scores, [draw_case(split[index], mask) for _, index, mask in cases]


def column(split: datasets.Dataset, name: str) -> list[str | None]:
    """What a column holds, of each row; None where there is no such column."""
    return split[name][:] if name in split.column_names else [None] * len(split)


def balanced_iou(counts: dict[str, list[np.ndarray]]) -> float:
    """One score for masks from several sources, to choose the best model by; `counts` are `picture_counts` by source.

    The mean of the sources' pooled IoU, less the share of false pixels on pictures without the object. Pooling
    all pixels would leave the choice to the source with the largest objects. A plain mean leaves it to the smallest
    source, whose IoU is mostly chance: with 8 small cars among 80 pictures it was 0.13, and anything from 0.01 to 0.35
    by the bootstrap. So a source weighs the square root of its number of pictures with one, since chance shrinks with
    that root. And a picture without one has no IoU to speak of, so without the second part a model could find anything
    there.
    """
    weights = [math.sqrt(sum(count[2] > 0 for count in group)) for group in counts.values()]
    ious = [summary(group)["iou"] for group in counts.values()]
    false = summary([count for group in counts.values() for count in group]).get("false_positive_share", 0.0)
    return float(np.average(ious, weights=weights) if any(weights) else 1.0) - false


def validate_dots(
    predictor: Predictor, split: datasets.Dataset, worst: int = 0, calibrate: bool = False
) -> tuple[Scores, list[Image.Image]]:
    """Scores the dots of a split through the predictor, by the task's threshold or, to calibrate, by the best one.

    Returns:
        The scores of `DotScores` for "all", with the threshold, and for each name. And pictures of the
        `worst` cases, which have the most dots missed, false, or more than 5 % off: a red ring where a dot is, a blue
        disc where it was found, and a line between the two.

    Raises:
        DataError: a row cannot be used.
    """
    task, everything = predictor.task, predictor.with_threshold(0.0)
    assert isinstance(task, DotsTask)
    predictions, references = [], []
    for index in progress(range(len(split)), "Validating", leave=False):
        grey, truth = read_numbered(split, index)
        shares = np.array(grey.shape[::-1]) / max(grey.shape)
        dots = everything(Image.fromarray(grey).convert("RGB"))
        predictions.append(dot_table(dots, task, max(grey.shape)))
        references.append(truth * shares)
    threshold = best_threshold(predictions, references, task.entries) if calibrate else task.threshold
    settings: dict = {"names": task.entries, "pairs": task.pairs, "threshold": threshold}
    scores = DotScores().compute(predictions=predictions, references=references, **settings)
    scores["all"]["threshold"] = threshold
    quality = [
        dot_scores([one], [other], **settings)["all"]["f1_5"]
        for one, other in zip(predictions, references, strict=True)
        if worst
    ]
    worst_cases = sorted(range(len(quality)), key=lambda index: (quality[index], index))[:worst]
    found = [np.where(one[:, 2:] >= threshold, one[:, :2], np.nan) for one in predictions]
    return scores, [draw_dots_case(split[index], found[index]) for index in worst_cases]


def dot_table(dots: list[Dot], task: DotsTask, longest: int) -> np.ndarray:
    """Dots as float64 (entries, 3): x and y as shares of a picture's side `longest`, NaN where nowhere, and score."""
    waiting = {name: [dot for dot in dots if dot.name == name] for name in task.names}
    found = [waiting[name].pop(0) if waiting[name] else Dot(name, None, None, 0.0) for name in task.entries]
    places = np.array([[dot.x, dot.y] for dot in found], dtype=np.float64) / longest
    return np.column_stack([places, [dot.score for dot in found]])


def headline(kind: str, scores: Scores) -> str:
    """The scores of one validation in a line."""
    if kind == "mask":
        return "validation IoU " + ", ".join(f"{source} {values['iou']:.3f}" for source, values in scores.items())
    keys = [key for key in ("pck_5", "presence_f1", "f1_5") if key in scores["all"]]
    return "validation " + ", ".join(f"{key} {scores['all'][key]:.3f}" for key in keys)
