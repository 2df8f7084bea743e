"""Pictures that look alike inside a split, and across splits."""

from collections.abc import Sequence

import numpy as np

from carmask.data.splits.look_alikes import FARTHEST, differing_bits


def near_duplicates(
    hashes: Sequence[np.ndarray], splits: Sequence[str], groups: Sequence[str]
) -> list[tuple[int, int, int]]:
    """Finds for each picture the earlier one that it looks most like: in another split, or else in its own one.

    Pictures of one split and group may look alike, since they belong together.

    Args:
        hashes: `perceptual_hash` of each picture.
        splits: its split.
        groups: its group.

    Returns:
        The later picture, the earlier one, and the bits in which they differ.
    """
    stacked = np.stack(hashes)
    split, group = (np.unique(names, return_inverse=True)[1] for names in (splits, groups))
    found = []
    for start, bits in differing_bits(stacked):
        rows = slice(start, start + len(bits))
        earlier = np.arange(len(stacked)) < np.arange(start, start + len(bits))[:, None]
        same_split = split[rows, None] == split
        alike = earlier & (bits <= FARTHEST) & ~(same_split & (group[rows, None] == group))
        # Other splits come first.
        rank = np.where(alike, bits + same_split * np.float32(stacked.shape[1]), np.float32(np.inf))
        for row in np.flatnonzero(alike.any(axis=1)):
            nearest = int(rank[row].argmin())
            found.append((start + int(row), nearest, int(bits[row, nearest])))
    return found
