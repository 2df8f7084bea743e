"""Pictures for people: a mask laid over its picture, the object cut out of it, and sheets of many pictures."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

Mask = np.ndarray | Image.Image
Colour = tuple[int, int, int]

SHEET_GROUND = (245, 245, 245)
SHEET_INK = (40, 40, 40)


def overlay_mask(
    picture: Image.Image, mask: Mask, colour: Colour = (255, 64, 64), opacity: float = 0.5
) -> Image.Image:
    """Lays a wash of `colour` and a thin contour line over the masked part of a picture.

    Args:
        picture: any mode; left untouched.
        mask: uint8 (H, W) array or PIL L of the picture's size; object above 127.
        colour: red, green, blue in 0–255.
        opacity: of the wash, in 0–1; the contour is always opaque.

    Returns:
        RGB picture of the same size.

    Raises:
        ValueError: when mask and picture differ in size.
    """
    mask = _mask_array(picture, mask)
    weights = np.where(mask, np.uint8(round(255 * opacity)), np.uint8(0))
    weights[_contour(mask, thickness=max(1, round(max(picture.size) / 400)))] = 255
    return Image.composite(Image.new("RGB", picture.size, colour), picture.convert("RGB"), Image.fromarray(weights))


def cut_out(picture: Image.Image, mask: Mask) -> Image.Image:
    """Cuts the masked object out of its picture.

    Args:
        picture: any mode; left untouched.
        mask: uint8 (H, W) array or PIL L of the picture's size; object above 127.

    Returns:
        RGBA picture of the same size; outside the object it is fully transparent and black, so nothing hidden is kept.

    Raises:
        ValueError: when mask and picture differ in size.
    """
    opaque = Image.fromarray(np.where(_mask_array(picture, mask), np.uint8(255), np.uint8(0)))
    ground = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    ground.paste(picture.convert("RGB"), mask=opaque)
    return ground


def contact_sheet(
    pictures: Sequence[Image.Image], captions: Sequence[str] | None = None, columns: int = 6, tile: int = 160
) -> Image.Image:
    """Puts many pictures on one sheet, row by row, each fitted into a square tile without distortion.

    Args:
        pictures: at least one, of any size and mode.
        captions: one line of text under each picture, or None for no captions.
        columns: pictures in a row.
        tile: side of a tile in pixels.

    Returns:
        RGB picture.

    Raises:
        ValueError: when there is no picture, or the captions are not as many as the pictures.
    """
    if not pictures:
        raise ValueError("A contact sheet needs at least one picture.")
    if captions is not None and len(captions) != len(pictures):
        raise ValueError(f"There are {len(pictures)} pictures but {len(captions)} captions: give one for each.")
    columns = min(columns, len(pictures))
    gap = max(4, tile // 20)
    font = ImageFont.load_default(size=max(10, tile // 12))
    line = int(font.size * 1.5) if captions is not None else 0
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (gap + columns * (tile + gap), gap + rows * (tile + line + gap)), SHEET_GROUND)
    draw = ImageDraw.Draw(sheet)
    for index, picture in enumerate(pictures):
        left = gap + index % columns * (tile + gap)
        top = gap + index // columns * (tile + line + gap)
        small = ImageOps.contain(picture.convert("RGB"), (tile, tile))
        sheet.paste(small, (left + (tile - small.width) // 2, top + (tile - small.height) // 2))
        if captions is not None:
            text = _shortened(captions[index], font, tile)
            draw.text((left + tile // 2, top + tile + line // 2), text, SHEET_INK, font, anchor="mm")
    return sheet


def _mask_array(picture: Image.Image, mask: Mask) -> np.ndarray:
    """Returns the mask as bool (H, W); raises ValueError when it is not of the picture's size."""
    array = np.asarray(mask)
    if array.shape != (picture.height, picture.width):
        raise ValueError(f"The mask has shape {array.shape}, the picture {(picture.height, picture.width)}.")
    return array > 127


def _contour(mask: np.ndarray, thickness: int) -> np.ndarray:
    """Returns the inner border of a bool (H, W) mask; the picture's own edge is no border."""
    height, width = mask.shape
    padded = np.pad(mask, thickness, mode="edge")
    across = padded[thickness : thickness + height]
    along = padded[:, thickness : thickness + width]
    inside = across[:, :width] & across[:, -width:] & along[:height] & along[-height:]
    return mask & ~inside


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Returns `text`, cut with an ellipsis when it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
