"""Any picture's pixels → RGB, in little more memory than the result takes."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from carmask.errors import PictureError

ROWS = 256  # rows that are worked on at a time


def flat_rgb(picture: Image.Image) -> Image.Image:
    """Makes a loaded picture RGB, transparent parts over white, and scales grey values of more than 8 bits.

    Returns:
        A new picture without metadata.

    Raises:
        PictureError: A float picture holds values that are not numbers.
    """
    deep = picture.mode == "F" or picture.mode.startswith("I")
    if not deep and not picture.has_transparency_data:
        flat = picture.convert("RGB")
        flat.info.clear()
        return flat
    flat = Image.new("RGB", picture.size, "white")
    limits = _grey_limits(picture) if deep else (0, 0)
    for top, band in bands(picture):
        if deep:
            flat.paste(Image.fromarray(_eight_bit_grey(np.asarray(band), limits)), (0, top))
        else:
            band = (band.convert("LA") if band.mode == "La" else band).convert("RGBA")
            flat.paste(band, (0, top), band.getchannel("A"))
    return flat


def bands(picture: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Cuts a picture into bands of some rows each; gives the first row and the band."""
    for top in range(0, picture.height, ROWS):
        yield top, picture.crop((0, top, picture.width, min(top + ROWS, picture.height)))


def _grey_limits(picture: Image.Image) -> tuple[float, float]:
    """What is black and what is white in a picture of grey values that are no bytes, by its range."""
    if picture.mode.startswith("I;16"):
        return 0, 65535
    ends = []
    for _, band in bands(picture):
        values = np.asarray(band)
        if not np.isfinite(values).all():
            raise PictureError(
                "This float picture holds values that are not numbers; save it as 8-bit PNG and try again."
            )
        ends += [float(values.min()), float(values.max())]
    whites = (255, 65535) if picture.mode == "I" else (1, 255, 65535)
    if min(ends) < 0 or max(ends) > whites[-1]:
        return min(ends), max(ends)
    return 0, next(white for white in whites if max(ends) <= white)


def _eight_bit_grey(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Scales grey values (H, W) from their limits to uint8 (H, W)."""
    if values.dtype.itemsize == 2:
        return (values >> 8).astype(np.uint8)
    return np.interp(values, limits, (0, 255)).round().astype(np.uint8)
