"""Scores of dots: how near they are, which are there, and whether left and right are swapped."""

import math
from collections.abc import Sequence

import datasets
import evaluate
import numpy as np

from carmask.evaluation.mask_metrics import ratio

REACHES = {"pck_2": 0.02, "pck_5": 0.05, "pck_10": 0.1}  # as shares of the picture's longer side
NEAR = 0.05


def nearest_pairs(found: np.ndarray, true: np.ndarray) -> list[float]:
    """Distances of points `found` (k, 2) to points `true` (m, 2), the nearest two first, each point used once."""
    distances = np.hypot(*(found[:, None] - true[None]).transpose(2, 0, 1))  # (k, m)
    pairs = []
    for _ in range(min(distances.shape)):
        row, column = np.unravel_index(distances.argmin(), distances.shape)
        pairs.append(float(distances[row, column]))
        distances[row], distances[:, column] = np.inf, np.inf
    return pairs


def swapped_counts(found: np.ndarray, true: np.ndarray, partner: np.ndarray) -> tuple[int, int]:
    """How many of the points `found` (k, 2) lie on the other side's dot, and how many there are.

    A point is swapped that lies within 5 % of a `partner` (m, 2) and nearer to it than to any point of its own `true`.
    """

    def distance(point: np.ndarray, others: np.ndarray) -> float:
        return min(np.hypot(*(others - point).T), default=math.inf)

    swapped = [distance(point, partner) < min(NEAR, distance(point, true)) for point in found]
    return sum(map(bool, swapped)), len(swapped)


def sum_up_dots(
    errors: list[float], found: int, true: int, swaps: Sequence[tuple[int, int]] = (), absent: int = 1
) -> dict[str, float]:
    """Sums up the dots of one name, or of all.

    Args:
        errors: distances between found and true dots, as shares of the picture's longer side.
        found: how many dots were found.
        true: how many there are.
        swaps: what `swapped_counts` gave.
        absent: how many are not there.

    Returns:
        `pck_2`, `pck_5` and `pck_10`: the share of true dots that were found within 2, 5 and 10 % of the longer side;
        `presence_f1`: whether dots are found where there are any, wherever in the picture, left out if none is ever
        `absent`; `f1_5`: found and within 5 %; `mean_error` and `median_error` of the dots that were found, and
        `swapped`, the share of found dots that lie on their left or right partner (each left out where there is none
        to judge). All in 0 to 1.
    """
    hits = {name: sum(error <= reach for error in errors) for name, reach in REACHES.items()}
    scores = {name: ratio(count, true) for name, count in hits.items()}
    if absent:
        scores["presence_f1"] = ratio(2 * len(errors), found + true)
    scores["f1_5"] = ratio(2 * hits["pck_5"], found + true)
    if errors:
        scores |= {"mean_error": float(np.mean(errors)), "median_error": float(np.median(errors))}
    judged = sum(count for _, count in swaps)
    if judged:
        scores["swapped"] = float(sum(count for count, _ in swaps) / judged)
    return scores


def dot_scores(
    predictions: Sequence[np.ndarray],
    references: Sequence[np.ndarray],
    names: Sequence[str],
    pairs: Sequence[tuple[str, str]] = (),
    threshold: float = 0.0,
) -> dict[str, dict[str, float]]:
    """Scores dots against truth, for each name and for "all"; see `sum_up_dots` for the scores.

    Args:
        predictions: per picture (entries, 3): x, y and score, x and y as shares of the picture's longer side.
        references: per picture (entries, 2): x and y, NaN where the dot is not in the picture.
        names: of the entries; a name that stands there several times may have several dots, in any order.
        pairs: names that are left and right of each other.
        threshold: a predicted dot counts as found where its score is at least this and its place is no NaN.
    """
    partners = {name: other for pair in pairs for name, other in (pair, pair[::-1])}
    entries = {name: [k for k, one in enumerate(names) if one == name] for name in dict.fromkeys(names)}
    counts: dict[str, list] = {name: [[], 0, 0, [], 0] for name in entries}
    for prediction, reference in zip(np.asarray(predictions, float), np.asarray(references, float), strict=True):
        there = np.isfinite(prediction[:, 0]) & (prediction[:, 2] >= threshold)
        found = {
            name: np.array([prediction[k, :2] for k in at if there[k]]).reshape(-1, 2) for name, at in entries.items()
        }
        true = {name: reference[at][np.isfinite(reference[at, 0])] for name, at in entries.items()}
        for name, count in counts.items():
            count[0] += nearest_pairs(found[name], true[name])
            count[1] += len(found[name])
            count[2] += len(true[name])
            count[4] += len(entries[name]) - len(true[name])
            if name in partners:
                count[3].append(swapped_counts(found[name], true[name], true[partners[name]]))
    zero: list = [[], 0, 0, [], 0]
    sums = [sum((count[place] for count in counts.values()), start) for place, start in enumerate(zero)]
    return {"all": sum_up_dots(*sums)} | {name: sum_up_dots(*count) for name, count in counts.items()}


def best_threshold(predictions: Sequence[np.ndarray], references: Sequence[np.ndarray], names: Sequence[str]) -> float:
    """The score above which dots should count as found: the one with the highest `presence_f1`, for all names at once.

    Takes what `dot_scores` takes; 0.5 where nothing was found, or there was nothing to find.
    """
    scores, right, true = [], [], 0
    for prediction, reference in zip(np.asarray(predictions, float), np.asarray(references, float), strict=True):
        for name in dict.fromkeys(names):
            at = [k for k, one in enumerate(names) if one == name]
            ordered = sorted((prediction[k, 2] for k in at if np.isfinite(prediction[k, 0])), reverse=True)
            present = int(np.isfinite(reference[at, 0]).sum())
            scores += ordered
            right += [rank < present for rank in range(len(ordered))]
            true += present
    if not any(right):
        return 0.5
    order = np.argsort(scores)[::-1]
    falling = np.append(np.array(scores)[order], 0)
    quality = np.cumsum(np.array(right)[order]) / (np.arange(len(order)) + 1 + true)
    best = int(quality.argmax())
    return float(np.clip((falling[best] + falling[best + 1]) / 2, 1e-4, 1 - 1e-4))


class DotScores(evaluate.Metric):
    """`dot_scores` with the `add_batch` and `compute` of Hugging Face's evaluate."""

    def _info(self) -> evaluate.MetricInfo:
        points = datasets.List(datasets.List(datasets.Value("float64")))
        return evaluate.MetricInfo(
            description=DotScores.__doc__,
            citation="",
            inputs_description=dot_scores.__doc__,
            features=datasets.Features({"predictions": points, "references": points}),
        )

    def _compute(
        self,
        predictions: list,
        references: list,
        names: Sequence[str],
        pairs: Sequence[tuple[str, str]] = (),
        threshold: float = 0.0,
    ) -> dict[str, dict[str, float]]:
        return dot_scores(predictions, references, names, pairs, threshold)
