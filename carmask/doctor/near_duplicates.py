"""Pictures that look alike, found by a perceptual hash: inside a split, and across splits."""

import hashlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

SIDE = 16  # of the hash, which has SIDE² bits, as a SHA-256 has
FARTHEST = 20  # bits of 256 in which two pictures may differ and still be one
CHUNK = 1024  # pictures compared with all others at a time


def perceptual_hash(picture: Image.Image) -> np.ndarray:
    """Says of each cell of a 16 × 16 grid whether it is darker than the next one to its right: bool (256,).

    Size, compression and light hardly change it. Where nearly all cells say the same, as on an even ground, it would
    say nothing; it is the SHA-256 of the pixels then, which only the same picture has.

    Source: Krawetz 2013 (dHash), https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html.
    """
    small = np.asarray(picture.convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX), np.int16)
    darker = (small[:, 1:] > small[:, :-1]).ravel()
    if min(darker.sum(), (~darker).sum()) > FARTHEST:
        return darker
    digest = hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).digest()
    return np.unpackbits(np.frombuffer(digest, np.uint8)).astype(bool)


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
    signs = np.where(np.stack(hashes), np.float32(1), np.float32(-1))
    split, group = (np.unique(names, return_inverse=True)[1] for names in (splits, groups))
    found = []
    for start in range(0, len(signs), CHUNK):
        rows = slice(start, start + CHUNK)
        bits = (signs.shape[1] - signs[rows] @ signs.T) / 2
        earlier = np.arange(len(signs)) < np.arange(start, start + len(bits))[:, None]
        same_split = split[rows, None] == split
        alike = earlier & (bits <= FARTHEST) & ~(same_split & (group[rows, None] == group))
        # Other splits come first.
        rank = np.where(alike, bits + same_split * np.float32(signs.shape[1]), np.float32(np.inf))
        for row in np.flatnonzero(alike.any(axis=1)):
            nearest = int(rank[row].argmin())
            found.append((start + int(row), nearest, int(bits[row, nearest])))
    return found
