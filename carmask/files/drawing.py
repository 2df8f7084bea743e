"""Pictures for people: masks, named dots and heat laid over a picture, cut-outs, and sheets of many pictures."""

import base64
import colorsys
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from carmask.files.flat_rgb import bands

Mask = np.ndarray | Image.Image

Colour = tuple[int, int, int]

Box = tuple[float, float, float, float]  # left, top, right, bottom

NamedDot = tuple[str, float | None, float | None, float]  # name, x and y in pixels or None, score

SHEET_GROUND = (245, 245, 245)
SHEET_INK = (40, 40, 40)
LABEL_GROUND, LABEL_INK = (20, 20, 20), (255, 255, 255)

HEAT = ((0, 0, 0), (90, 20, 150), (230, 60, 60), (255, 180, 30), (255, 255, 190))  # from 0 to 1


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
    _check_size(picture, Image.fromarray(mask) if isinstance(mask, np.ndarray) else mask)
    mask = np.asarray(mask) > 127
    weights = np.where(mask, np.uint8(round(255 * opacity)), np.uint8(0))
    weights[_contour(mask, thickness=max(1, round(max(picture.size) / 400)))] = 255
    return Image.composite(Image.new("RGB", picture.size, colour), picture.convert("RGB"), Image.fromarray(weights))


def cut_out(picture: Image.Image, alpha: Mask, ground: Image.Image | None = None) -> Image.Image:
    """Cuts an object out of its picture, and lays it on `ground` if there is one.

    Args:
        picture: any mode; left untouched.
        alpha: uint8 (H, W) array or PIL L of the picture's size: how opaque each pixel is; a mask gives a hard edge.
        ground: RGB picture of the same size; it is drawn on.

    Returns:
        The `ground`; without one an RGBA picture of the same size, black where it is fully transparent, so nothing
        hidden is kept.

    Raises:
        ValueError: when alpha and picture differ in size.
    """
    opaque = Image.fromarray(alpha) if isinstance(alpha, np.ndarray) else alpha
    _check_size(picture, opaque)
    below = ground or Image.new("RGBA", picture.size, (0, 0, 0, 0))
    for top, band in bands(picture):  # a large picture is in memory twice, not five times
        box = (0, top, band.width, top + band.height)
        cut, weights = band.convert("RGB"), opaque.crop(box)
        if not ground:
            cut.putalpha(weights)
            weights = weights.point([0] + [255] * 255)
        below.paste(cut, box, weights)
    return below


def draw_dots(
    picture: Image.Image, dots: Sequence[NamedDot], scores: bool = False, sides: tuple[int, int] = (640, 1600)
) -> Image.Image:
    """Draws each dot and its name beside it, on a picture of a size where the names can be read.

    Args:
        picture: any mode; left untouched.
        dots: name, x, y and score of each, in pixels of the picture; those without a place are left out.
        scores: whether the score follows the name.
        sides: least and greatest length, in pixels, of the long side; a picture beyond them is resized first.

    Returns:
        RGB picture of the same shape.
    """
    scale = min(max(max(picture.size), sides[0]), sides[1]) / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    drawn = (picture if picture.mode == "RGB" else picture.convert("RGB")).resize(size, Image.Resampling.BICUBIC)
    placed = [(name, x * scale, y * scale, score) for name, x, y, score in dots if x is not None and y is not None]
    draw, font = ImageDraw.Draw(drawn), ImageFont.load_default(size=max(10, max(size) / 36))
    assert isinstance(font, ImageFont.FreeTypeFont)
    radius = font.size / 3
    colours = name_colours([name for name, *_ in dots])
    taken = [(x - radius, y - radius, x + radius, y + radius) for _, x, y, _ in placed]
    for name, x, y, score in placed:
        text = _shortened(name.replace("_", " "), font, size[0] // 3) + (f" {score:.2f}" if scores else "")
        box = _free_box((x, y), (font.getlength(text) + font.size / 2, font.size * 1.3), taken, size)
        taken.append(box)
        draw.line((x, y, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2), colours[name], max(1, round(radius / 3)))
        draw.rectangle(box, LABEL_GROUND, colours[name])
        draw.text(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), text, LABEL_INK, font, anchor="mm")
    for name, x, y, _ in placed:
        draw.circle((x, y), radius, colours[name], LABEL_INK, max(1, round(radius / 3)))
    return drawn


def name_colours(names: Sequence[str]) -> dict[str, Colour]:
    """Gives each name a colour of its own; neighbours in the list differ most."""
    different = dict.fromkeys(names)
    bright = (colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.85, 1.0) for index in range(len(different)))
    return {
        name: (round(255 * r), round(255 * g), round(255 * b))
        for name, (r, g, b) in zip(different, bright, strict=True)
    }


def _free_box(point: tuple[float, float], label: tuple[float, float], taken: list[Box], size: tuple) -> Box:
    """Places a label (width, height) close to its point where it hides least of what is taken, inside the picture."""
    width, height = label
    boxes = []
    for distance in (1.1, 2.2, 3.5, 5.0):
        for right, down in ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1)):
            left = point[0] + right * (width / 2 + distance * height / 2) - width / 2
            top = point[1] + down * distance * height - height / 2
            left, top = min(max(0, left), size[0] - width - 1), min(max(0, top), size[1] - height - 1)
            boxes.append((left, top, left + width, top + height))
    return min(boxes, key=lambda box: sum(_overlap(box, other) for other in taken))


def _overlap(one: Box, other: Box) -> float:
    """Returns the area that two boxes share."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(0, across) * max(0, down)


def heat_picture(picture: Image.Image, activation: np.ndarray) -> Image.Image:
    """Lays an activation map over the grey picture: the surer, the hotter; 0 leaves the picture as it is.

    Args:
        picture: any mode; left untouched.
        activation: float (h, w) in 0–1 of any size; it covers the whole picture.

    Returns:
        RGB picture of the picture's size.
    """
    resized = Image.fromarray(activation.astype(np.float32)).resize(picture.size, Image.Resampling.BILINEAR)
    value = np.asarray(resized).clip(0, 1)
    grey = np.asarray(picture.convert("L"), np.float32)[:, :, None]
    steps = np.linspace(0, 1, len(HEAT))
    heat = np.stack([np.interp(value, steps, channel) for channel in zip(*HEAT, strict=True)], axis=-1)
    weight = 0.75 * np.sqrt(value)[:, :, None]  # so that the picture shines through
    return Image.fromarray((grey * (1 - weight) + heat * weight).round().astype(np.uint8))


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
    assert isinstance(font, ImageFont.FreeTypeFont)
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


def data_url(picture: Image.Image, kind: str) -> str:
    """Encodes a picture, as "JPEG" or "PNG", as a data URL."""
    content = io.BytesIO()
    picture.save(content, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"


def _check_size(picture: Image.Image, mask: Image.Image) -> None:
    """Raises ValueError when the mask is not of the picture's size."""
    if mask.size != picture.size:
        raise ValueError(f"The mask has shape {mask.size[::-1]}, the picture {picture.size[::-1]}.")


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
