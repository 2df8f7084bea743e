"""How far scores of masks would move with other pictures of the same kind: the bootstrap."""

import math
from collections.abc import Callable, Hashable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from carmask.evaluation.mask_metrics import ratio

DRAWS = 2000
FEWEST = 6  # five groups that all agree still do so by chance in 2 of 32 cases, more than 5 %


class Difference(NamedTuple):
    """A score of A and of B, how much higher B's is, the interval that holds 95 % of the draws, and from how many."""

    first: float
    second: float
    gain: float
    low: float
    high: float
    pictures: int
    groups: int


def drawn_times(number: int) -> np.ndarray:
    """How often each of `number` things is drawn when as many are drawn with replacement: int64 (DRAWS, number)."""
    return np.random.default_rng(0).multinomial(number, np.full(number, 1 / number), DRAWS)


def interval(scores: np.ndarray, number: int) -> tuple[float, float]:
    """The bounds of the draws' scores that are to hold 95 % of what other pictures would give.

    The plain percentiles 2.5 and 97.5 hold too little if few things are drawn: 84 % for six of a normal distribution,
    measured, and 93 % with the percentiles taken here, which stand as far out as Student's t is beyond the normal
    distribution.

    Args:
        scores: of the draws.
        number: of the things that each draw takes.

    Source: Hesterberg 2015, https://doi.org/10.1080/00031305.2015.1089789 (expanded percentile interval); Student's t
    by Abramowitz and Stegun 1964, formula 26.7.5.
    """
    normal, number = NormalDist(), max(2, number)
    z, freedom = normal.inv_cdf(0.975), number - 1
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    tail = 100 * normal.cdf(-t * math.sqrt(number / freedom))
    return tuple(np.percentile(scores, [tail, 100 - tail]).tolist())


def bootstrap_intervals(
    counts: Sequence[np.ndarray], groups: Sequence[Hashable] = ()
) -> dict[str, tuple[float, float]]:
    """How far `iou` and `mean_iou` of `summary` would move with other pictures of the same kind.

    The pictures of `counts`, each as `picture_counts` gives it, are drawn anew with replacement; the interval (low,
    high) holds 95 % of the draws' scores. Pictures of one of the `groups`, such as the frames of a film, are drawn
    together. Of `few_groups` nothing can be told so: then these are the lowest and the highest score of a group.

    Source: Efron 1979, https://doi.org/10.1214/aos/1176344552; by group Field and Welsh 2007,
    https://doi.org/10.1111/j.1467-9868.2007.00593.x.
    """
    table = np.array(counts, dtype=np.int64).reshape(-1, 6)
    ious = [ratio(hits, found + true - hits) for hits, found, true, *_ in table]
    groups = groups or range(len(table))
    _, places = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((places.max() + 1, 8))
    np.add.at(sums, places, np.column_stack([table, ious, np.ones(len(table))]))
    few = few_groups(groups)
    totals = sums if few else drawn_times(len(sums)) @ sums
    drawn = {"iou": pooled_iou(totals[:, :6]), "mean_iou": totals[:, 6] / totals[:, 7]}
    if few:
        return {name: (float(scores.min()), float(scores.max())) for name, scores in drawn.items()}
    return {name: interval(scores, len(sums)) for name, scores in drawn.items()}


def few_groups(groups: Sequence[Hashable]) -> int:
    """How many groups, or single pictures, there are, if too few to tell how another one would score; else 0."""
    number = len(set(groups))
    return number if number < FEWEST else 0


def brackets(low: float, high: float, few: int) -> str:
    """An interval of `bootstrap_intervals` in brackets, for a table; what it is, if `few` groups, in a word."""
    if few == 1:
        return " (one group)"
    return f" ({low:.3f}–{high:.3f}{f' in {few} groups' * bool(few)})"


def pooled_iou(totals: np.ndarray) -> np.ndarray:
    """The IoU of sums of `picture_counts` (..., 6), as `summary` gives it."""
    hits, union = totals[..., 0], totals[..., 1] + totals[..., 2] - totals[..., 0]
    return np.divide(hits, union, out=np.ones(hits.shape), where=union > 0)


def false_positive_share(totals: np.ndarray) -> np.ndarray:
    """The share of judged pixels that are found, from sums of `picture_counts` (..., 6) without the object."""
    return totals[..., 1] / np.maximum(1, totals[..., 5])


def paired_difference(
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    groups: Sequence[Hashable],
    score: Callable[[np.ndarray], np.ndarray] = pooled_iou,
) -> Difference:
    """How much better a pooled score of B is than that of A on the same pictures, and how sure that is.

    What is easy or hard for both does not count: each draw takes the same pictures for both. Pictures of a group, such
    as the frames of a film, are drawn together, since they are no proofs independent of each other.

    Args:
        first: the `picture_counts` of A for each picture.
        second: those of B.
        groups: to which each picture belongs.
        score: of sums of counts (..., 6).

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, https://doi.org/10.1201/9780429246593; by
    group Field and Welsh 2007, https://doi.org/10.1111/j.1467-9868.2007.00593.x.
    """
    names = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    sums = np.zeros((2, len(names), 6), dtype=np.int64)
    for model, counts in enumerate((first, second)):
        np.add.at(sums[model], [names[group] for group in groups], np.array(counts))
    times = drawn_times(len(names))
    before, after = (float(score(total)) for total in sums.sum(axis=1))
    drawn = score(times @ sums[1]) - score(times @ sums[0])
    return Difference(before, after, after - before, *interval(drawn, len(names)), len(first), len(names))
