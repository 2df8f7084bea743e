"""How good masks are: pure functions, and a thin `evaluate.Metric` around them."""

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np

BAND = 0.02  # width of the boundary band, as a share of the picture's diagonal


def boundary(mask: np.ndarray) -> np.ndarray:
    """The part of `mask`, bool (H, W), within 2 % of the diagonal of its edge; the picture's border is an edge too.

    Source: Cheng et al. 2021, https://arxiv.org/abs/2103.16562 (here with a square neighbourhood).
    """
    reach = max(1, round(BAND * np.hypot(*mask.shape)))
    inner = mask
    for axis in (0, 1):
        before = [(reach + 1, reach) if axis == other else (0, 0) for other in (0, 1)]
        total = np.pad(inner.astype(np.int32), before).cumsum(axis=axis)
        window = 2 * reach + 1
        length = mask.shape[axis]
        full = np.take(total, range(window, window + length), axis) - np.take(total, range(length), axis)
        inner = full == window
    return mask & ~inner


def ratio(part: float, whole: float) -> float:
    """`part / whole`; an empty whole counts as 1, since nothing was to be found and nothing was."""
    return float(part / whole) if whole else 1.0


def picture_counts(prediction: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Counts one picture: hits, predicted, true, boundary hits, boundary union, judged pixels; int64 (6,).

    Args:
        prediction: (H, W), car where it is above 127.
        reference: (H, W) of 0 background, 255 car and 128 not judged; the last are left out of every count.

    Raises:
        ValueError: the two sizes differ.
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"The mask has size {prediction.shape}, but the truth has {reference.shape}.")
    judged = (reference == 0) | (reference == 255)
    found, true = (prediction > 127) & judged, reference == 255
    edge_found, edge_true = boundary(found), boundary(true)
    sets = (found & true, found, true, edge_found & edge_true, edge_found | edge_true, judged)
    return np.array([np.count_nonzero(pixels) for pixels in sets])


def summary(counts: Sequence[np.ndarray]) -> dict[str, float]:
    """Sums up `picture_counts` of several pictures.

    Returns:
        `iou`, `dice`, `precision`, `recall` and `boundary_iou` pooled over all pixels, `mean_iou` over pictures, and
        `false_car_share`, the share of car pixels on pictures without a car (left out if there is none), all in
        [0, 1]. The empty rule: a score with nothing to find and nothing found is 1, so a picture without a car has
        IoU 1 if its mask is empty, else 0.
    """
    table = np.array(counts, dtype=np.int64).reshape(-1, 6)
    hits, found, true, edge_hits, edge_union, _ = (int(total) for total in table.sum(axis=0))
    scores = {
        "iou": ratio(hits, found + true - hits),
        "mean_iou": float(np.mean([ratio(h, f + t - h) for h, f, t, *_ in table])) if len(table) else 1.0,
        "dice": ratio(2 * hits, found + true),
        "precision": ratio(hits, found) if found or not true else 0.0,
        "recall": ratio(hits, true) if true or not found else 0.0,
        "boundary_iou": ratio(edge_hits, edge_union),
    }
    without_car = table[table[:, 2] == 0]
    if len(without_car):
        scores["false_car_share"] = float(without_car[:, 1].sum() / max(1, without_car[:, 5].sum()))
    return scores


def mask_scores(predictions: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> dict[str, float]:
    """Scores masks against truth; see `picture_counts` for the arrays and `summary` for the scores."""
    return summary(
        [picture_counts(np.asarray(p), np.asarray(r)) for p, r in zip(predictions, references, strict=True)]
    )


class MaskScores(evaluate.Metric):
    """`mask_scores` with the `add_batch` and `compute` of Hugging Face's evaluate."""

    def _info(self) -> evaluate.MetricInfo:
        mask = datasets.Image()  # stored as PNG, so pictures may differ in size and no pixel changes
        return evaluate.MetricInfo(
            description=MaskScores.__doc__,
            citation="",
            inputs_description=mask_scores.__doc__,
            features=datasets.Features({"predictions": mask, "references": mask}),
        )

    def _compute(self, predictions: list, references: list) -> dict[str, float]:
        return mask_scores(predictions, references)
