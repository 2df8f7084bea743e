"""Where a map is highest, to a fraction of a cell."""

import math

import numpy as np

Peak = tuple[float, float, float]


def find_peaks(logits: np.ndarray, count: int, apart: float) -> list[Peak]:
    """Finds up to `count` peaks of one map, the highest first.

    Args:
        logits: (h, w), the log-odds of a dot in each cell.
        count: how many peaks at most; at least one is always found.
        apart: cells by which peaks lie apart at least: nearer ones are the slope of a higher one.

    Returns:
        For each peak x and y in cells (the centre of the top left cell is (0.5, 0.5)), and its probability in 0 to 1.
    """
    log_scores = -np.logaddexp(0, -logits)
    open_cells = log_scores
    if count > 1:
        around = np.lib.stride_tricks.sliding_window_view(np.pad(log_scores, 1, constant_values=-np.inf), (3, 3))
        open_cells = np.where(log_scores < around.max((-2, -1)), -np.inf, log_scores)
    rows, columns = (np.arange(length) for length in logits.shape)
    peaks: list[Peak] = []
    while len(peaks) < count:
        y, x = map(int, np.unravel_index(open_cells.argmax(), logits.shape))
        score = open_cells[y, x]
        if peaks and score == -np.inf:
            break
        peaks.append((x + 0.5 + offset(log_scores[y], x), y + 0.5 + offset(log_scores[:, x], y), math.exp(score)))
        near = (rows[:, None] - y) ** 2 + (columns - x) ** 2 < apart**2
        open_cells = np.where(near, -np.inf, open_cells)
    return peaks


def offset(line: np.ndarray, peak: int) -> float:
    """How far, in -0.5 to 0.5, the top of a parabola through three cells lies from the cell `peak` of `line` (n).

    The logarithm of a Gaussian bump is a parabola, so this is exact for a bump as painted; at an edge the three cells
    are the outermost. A line of fewer cells has no offset.

    Source: Zhang et al. 2020, https://arxiv.org/abs/1910.06278 (there with second derivatives of a smoothed map).
    """
    if len(line) < 3:
        return 0.0
    middle = min(max(peak, 1), len(line) - 2)
    before, centre, after = line[middle - 1 : middle + 2].tolist()
    bend = before - 2 * centre + after
    top = middle + (before - after) / (2 * bend) if bend < 0 else peak
    return min(max(top - peak, -0.5), 0.5)
