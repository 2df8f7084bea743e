"""How good masks are: pure functions, and a thin `evaluate.Metric` around them."""

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np

BAND, NARROW_BAND = 0.02, 0.005  # widths of the boundary band, as shares of the picture's diagonal


def boundary(mask: np.ndarray, band: float = BAND) -> np.ndarray:
    """The part of `mask`, bool (H, W), within `band` times the diagonal of its edge.

    The picture's border is an edge too.

    Source: Cheng et al. 2021, https://arxiv.org/abs/2103.16562 (here with a square neighbourhood).
    """
    reach = max(1, round(band * np.hypot(*mask.shape)))
    window = 2 * reach + 1
    inner = mask
    for _ in range(2):  # along the height, then the width
        total = np.pad(inner, ((reach + 1, reach), (0, 0))).cumsum(axis=0, dtype=np.int32)
        inner = (total[window:] - total[:-window] == window).T
    return mask & ~inner


def ratio(part: float, whole: float) -> float:
    """`part / whole`; an empty whole counts as 1, since nothing was to be found and nothing was."""
    return float(part / whole) if whole else 1.0


def picture_counts(prediction: np.ndarray, reference: np.ndarray, band: float = BAND) -> np.ndarray:
    """Counts one picture: hits, predicted, true, boundary hits, boundary union, judged pixels; int64 (6,).

    Args:
        prediction: (H, W), object where it is above 127.
        reference: (H, W) of 0 background, 255 object and 128 not judged; the last are left out of every count.
        band: width of the boundary, as a share of the picture's diagonal.

    Raises:
        ValueError: the two sizes differ.
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"The mask has size {prediction.shape}, but the truth has {reference.shape}.")
    judged = (reference == 0) | (reference == 255)
    found, true = (prediction > 127) & judged, reference == 255
    edge_found, edge_true = boundary(found, band), boundary(true, band)
    sets = (found & true, found, true, edge_found & edge_true, edge_found | edge_true, judged)
    return np.array([np.count_nonzero(pixels) for pixels in sets])


def summary(counts: Sequence[np.ndarray]) -> dict[str, float]:
    """Sums up `picture_counts` of several pictures.

    Returns:
        `iou`, `dice`, `precision`, `recall` and `boundary_iou` pooled over all pixels, `mean_iou` over pictures, and
        `false_positive_share`, the share of found pixels on pictures without the object (left out if there is none),
        all in [0, 1]. The empty rule: a score with nothing to find and nothing found is 1, so a picture without it has
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
    without = table[table[:, 2] == 0]
    if len(without):
        scores["false_positive_share"] = float(without[:, 1].sum() / max(1, without[:, 5].sum()))
    return scores


def calibration_counts(probability: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Counts the judged pixels of one picture around each probability of 0, 10, … 100 %: float64 (11, 3).

    Each line holds the number of pixels, the sum of their probabilities, and how many of them are object. Counts of
    several pictures may be added up.

    Args:
        probability: of the object, float (H, W) in 0 to 1.
        reference: (H, W) of 0 background, 255 object and 128 not judged.
    """
    judged = (reference == 0) | (reference == 255)
    probability, true = probability[judged].astype(np.float64), reference[judged] == 255
    tenth = np.rint(probability * 10).astype(np.int64)
    return np.stack([np.bincount(tenth, weights, 11) for weights in (None, probability, true)], axis=1)


def calibration(counts: np.ndarray) -> tuple[float, np.ndarray]:
    """What probabilities are worth, from `calibration_counts`.

    Returns:
        The expected calibration error: how far a pixel's probability is from the share of the object among the pixels
        around it, on average. And that share around 0, 10, … 100 %, float (11,), NaN where there was no pixel.

    Source: Naeini et al. 2015, https://doi.org/10.1609/aaai.v29i1.9602; Guo et al. 2017,
    https://arxiv.org/abs/1706.04599.
    """
    pixels, probability, true = counts.T
    error = np.abs(probability - true).sum() / max(1, pixels.sum())
    return float(error), np.divide(true, pixels, out=np.full(len(pixels), np.nan), where=pixels > 0)


def all_counts(predictions: Sequence, references: Sequence) -> list[np.ndarray]:
    """The `picture_counts` of each pair of masks, arrays or pictures."""
    return [picture_counts(np.asarray(p), np.asarray(r)) for p, r in zip(predictions, references, strict=True)]


def mask_scores(predictions: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> dict[str, float]:
    """Scores masks against truth; see `picture_counts` for the arrays and `summary` for the scores."""
    return summary(all_counts(predictions, references))


class MaskScores(evaluate.Metric):
    """`mask_scores` with the `add_batch` and `compute` of Hugging Face's evaluate.

    `compute(each=True)` also gives `counts`, the `picture_counts` of each picture in the order they were added.
    """

    def _info(self) -> evaluate.MetricInfo:
        mask = datasets.Image()  # stored as PNG, so pictures may differ in size and no pixel changes
        return evaluate.MetricInfo(
            description=MaskScores.__doc__,
            citation="",
            inputs_description=mask_scores.__doc__,
            features=datasets.Features({"predictions": mask, "references": mask}),
        )

    def _compute(self, predictions: list, references: list, each: bool = False) -> dict:
        counts = all_counts(predictions, references)
        return summary(counts) | ({"counts": counts} if each else {})
