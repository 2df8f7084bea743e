"""Pictures that look alike, found by a perceptual hash."""

import hashlib
from collections.abc import Iterator, Sequence

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


def differing_bits(hashes: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Compares bool hashes (n, bits) with one another, some at a time.

    Yields:
        The first row, and in how many bits each row from it on differs from each hash: float32 (rows, n).
    """
    signs = np.where(hashes, np.float32(1), np.float32(-1))
    for start in range(0, len(signs), CHUNK):
        yield start, (signs.shape[1] - signs[start : start + CHUNK] @ signs.T) / 2


def look_alikes(hashes: np.ndarray, farthest: int = FARTHEST) -> np.ndarray:
    """Numbers pictures so that those that look alike, also through others between them, have the same number: (n,).

    Args:
        hashes: `perceptual_hash` of each picture, bool (n, 256).
        farthest: bits in which two of them may differ.
    """
    numbers = np.arange(len(hashes))
    for start, bits in differing_bits(hashes):
        for row, alike in enumerate(bits <= farthest, start):
            join(numbers, np.flatnonzero(alike[: row + 1]))
    return numbers


def join(numbers: np.ndarray, together: Sequence[int] | np.ndarray) -> bool:
    """Gives pictures and all that have their numbers one number; whether they had several."""
    several = np.unique(numbers[together])
    if len(several) > 1:
        numbers[np.isin(numbers, several)] = several[0]
    return len(several) > 1
