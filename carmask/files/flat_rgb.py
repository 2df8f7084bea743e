"""Any picture's pixels → RGB, in little more memory than the result takes."""

from collections.abc import Iterator

import numpy as np
from PIL import ExifTags, Image

from carmask.errors import PictureError

ROWS = 256  # rows that are worked on at a time
DEPTHS = (8, 10, 12, 14, 16)  # bits of grey values, as cameras and scanners have them


def flat_rgb(picture: Image.Image) -> Image.Image:
    """Makes a loaded picture RGB, transparent parts over white, and scales grey values that are no bytes.

    White is 1 in a float picture of nothing higher, else the highest value of as many bits as the picture needs; to
    floats that fill not half of that it is their own highest value.

    Returns:
        A new picture without metadata.

    Raises:
        PictureError: A float picture holds values that are not numbers, or the colours of a TIFF are not of 16 bits.
    """
    tags = getattr(picture, "tag_v2", {})
    if picture.mode == "P" and 0 < max(tags.get(ExifTags.Base.ColorMap, (0,))) < 256:
        raise PictureError("This TIFF stores its palette in an unusual way; save it again as a PNG.")
    deep = picture.mode == "F" or picture.mode.startswith("I")
    if not deep and not picture.has_transparency_data:
        flat = picture.convert("RGB")
        flat.info.clear()
        return flat
    flat = Image.new("RGB", picture.size, "white")
    ends = _grey_range(picture) if deep else (0, 0)
    turned = deep and tags.get(ExifTags.Base.PhotometricInterpretation) == 0  # white is 0
    for top, band in bands(picture):
        if deep:
            grey = _eight_bit_grey(np.asarray(band), ends)
            flat.paste(Image.fromarray(255 - grey if turned else grey), (0, top))
        else:
            band = (band.convert("LA") if band.mode == "La" else band).convert("RGBA")
            flat.paste(band, (0, top), band.getchannel("A"))
    return flat


def bands(picture: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Cuts a picture into bands of some rows each; gives the first row and the band."""
    for top in range(0, picture.height, ROWS):
        yield top, picture.crop((0, top, picture.width, min(top + ROWS, picture.height)))


def _grey_range(picture: Image.Image) -> tuple[float, float]:
    """The lowest and the highest grey value of a picture."""
    ends = []
    for _, band in bands(picture):
        values = np.asarray(band)
        if not np.isfinite(values).all():
            raise PictureError(
                "This float picture holds values that are not numbers; save it as 8-bit PNG and try again."
            )
        ends += [float(values.min()), float(values.max())]
    return min(ends), max(ends)


def _eight_bit_grey(values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """Scales grey values (H, W) of a picture with such a lowest and highest value to uint8 (H, W)."""
    low, high = ends
    bits = next((bits for bits in DEPTHS if high < 2**bits), None)
    if low < 0 or bits is None:
        white = high
    elif values.dtype.kind != "f":
        return (values >> bits - DEPTHS[0]).astype(np.uint8)
    else:
        low, white = 0, 1 if high <= 1 else max(high, 2**bits - 1) if high > 2 ** (bits - 1) else high
    return np.interp(values, (low, white), (0, 255)).round().astype(np.uint8)
