"""A picture and its mask as files, read together and checked against each other."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from carmask.data.layout import standard_split
from carmask.errors import PictureError
from carmask.files.picture_limits import JPEG_FORMATS
from carmask.files.pictures import open_picture, opened, orientation

Dots = list[list[float] | None]  # for each name [x, y] as fractions of width and height, None where it is not there


class BadPair(ValueError):
    """One picture and its truth cannot be used; the text is the reason."""


@dataclass(frozen=True)
class Pair:
    """One picture, and the functions that make its mask and, from the picture's (height, width), its dots."""

    name: str
    picture: Path
    read_mask: Callable[[], np.ndarray] | None  # uint8 (height, width) of 0, 128 and 255; None: no car in the picture
    read_dots: Callable[[tuple[int, int]], Dots] | None = None
    has_mask: bool = True
    split: str | None = None  # that of its folder or file, where that says one
    resize: bool = False  # whether a mask of another size is to be brought to the picture's


def official_split(path: Path) -> str | None:
    """The split that the first folder of such a name in a relative path says; None where none does."""
    return next(filter(None, map(standard_split, path.parts[:-1])), None)


def read_pair(pair: Pair) -> tuple[Image.Image, np.ndarray | None]:
    """Reads a pair and checks that picture and mask lie on each other.

    Returns:
        Upright RGB picture, and its mask, uint8 (height, width) of 0, 128 and 255, if it is to have one.

    Raises:
        BadPair: with the reason.
    """
    try:
        picture = open_picture(pair.picture)
    except PictureError as error:
        raise BadPair(f"undecodable: {error}") from None
    upright = (picture.height, picture.width)
    stored, turn, _ = stored_form(pair.picture)
    if not pair.has_mask:
        if turn > 1:
            raise turned(turn, "the points may be turned or not")
        return picture, None
    if pair.read_mask is None:
        return picture, np.zeros(upright, np.uint8)
    mask = pair.read_mask()
    if turn > 1 and mask.shape == stored:
        fits_unturned = "the mask fits only the unturned picture"
        raise turned(turn, fits_unturned if stored != upright else "the mask may be turned or not")
    if pair.resize and same_shape(mask.shape, upright):
        mask = np.asarray(Image.fromarray(mask).resize(picture.size, Image.Resampling.NEAREST))
    if mask.shape != upright:
        remedy = "; --resize-masks brings it to the picture's" if same_shape(mask.shape, upright) else ""
        raise BadPair("size mismatch: picture {1}×{0}, mask {3}×{2}".format(*upright, *mask.shape) + remedy)
    return picture, mask


def same_shape(one: tuple[int, ...], other: tuple[int, int]) -> bool:
    """Whether two sizes (height, width) are the same but for the scale and what rounding makes of it."""
    scale = max(one) / max(other)
    return all(abs(side - scale * wanted) <= max(1, scale) for side, wanted in zip(one, other, strict=True))


def turned(orientation: int, doubt: str) -> BadPair:
    """The refusal of a picture that its EXIF orientation turns, with the doubt that this leaves."""
    return BadPair(f"EXIF-turned: its orientation {orientation} turns the picture, {doubt}; save it upright first")


def stored_form(path: Path) -> tuple[tuple[int, int], int, bool]:
    """Returns the (height, width) in the file, its EXIF orientation, and whether it is a JPEG."""
    with opened(path) as stored:
        return (stored.height, stored.width), orientation(stored), stored.format in JPEG_FORMATS
