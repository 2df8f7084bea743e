"""A picture and its mask as files, read together and checked against each other."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from carmask.data.layout import standard_split
from carmask.errors import PictureError
from carmask.files.pictures import DECODE_ERRORS, open_picture

JPEG_FORMATS = ("JPEG", "MPO")
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


def official_split(path: Path) -> str | None:
    """The split that the first folder of such a name in a relative path says; None where none does."""
    return next(filter(None, map(standard_split, path.parts[:-1])), None)


def open_mask(path: Path) -> Image.Image:
    """Opens a mask or label map, upright, in the mode of its file.

    Raises:
        BadPair: It cannot be decoded, or it is a JPEG.
    """
    try:
        with Image.open(path) as stored:
            is_jpeg = stored.format in JPEG_FORMATS
            mask = ImageOps.exif_transpose(stored)
    except DECODE_ERRORS:
        raise BadPair(f"undecodable: the mask {path.name} cannot be read") from None
    if is_jpeg:
        raise BadPair(f"JPEG mask: {path.name} is lossy and has in-between values; export it as PNG")
    return mask


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
    stored, orientation, _ = stored_form(pair.picture)
    if not pair.has_mask:
        if orientation in range(2, 9):
            raise turned(orientation, "the points may be turned or not")
        return picture, None
    if pair.read_mask is None:
        return picture, np.zeros(upright, np.uint8)
    mask = pair.read_mask()
    if orientation in range(2, 9) and mask.shape == stored:
        fits_unturned = "the mask fits only the unturned picture"
        raise turned(orientation, fits_unturned if stored != upright else "the mask may be turned or not")
    if mask.shape != upright:
        raise BadPair("size mismatch: picture {1}×{0}, mask {3}×{2}".format(*upright, *mask.shape))
    return picture, mask


def turned(orientation: int, doubt: str) -> BadPair:
    """The refusal of a picture that its EXIF orientation turns, with the doubt that this leaves."""
    return BadPair(f"EXIF-turned: its orientation {orientation} turns the picture, {doubt}; save it upright first")


def stored_form(path: Path) -> tuple[tuple[int, int], int, bool]:
    """Returns the (height, width) in the file, its EXIF orientation, and whether it is a JPEG."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # open_picture has said what there is to say
        with Image.open(path) as stored:
            try:
                orientation = stored.getexif().get(ExifTags.Base.Orientation, 1)
            except DECODE_ERRORS:  # broken EXIF turns nothing
                orientation = 1
            return (stored.height, stored.width), orientation, stored.format in JPEG_FORMATS
