"""Pictures of the worst cases of a validation."""

import numpy as np
from PIL import Image, ImageDraw

from carmask.data.rows import read_row
from carmask.files.drawing import overlay_mask
from carmask.files.pictures import grey_rgb, upright_rgb

MISSED, FALSE = (230, 60, 60), (60, 120, 250)


def draw_case(row: dict, mask: np.ndarray) -> Image.Image:
    """One picture with the object's pixels that `mask` missed in red and the false ones in blue."""
    picture = grey_rgb(upright_rgb(row["image"]))
    _, truth = read_row(row)
    for wrong, colour in (((truth == 255) & (mask == 0), MISSED), ((truth == 0) & (mask == 255), FALSE)):
        picture = overlay_mask(picture, wrong.astype(np.uint8) * 255, colour)
    return picture


def draw_dots_case(row: dict, found: np.ndarray) -> Image.Image:
    """One picture with a red ring at each true dot, a blue disc at each found one, and lines between the two.

    `found` (entries, 2) are shares of the picture's longer side, NaN where a dot was not found.
    """
    picture = grey_rgb(upright_rgb(row["image"]))
    true = np.array(row["dots"]) * picture.size
    longest = max(picture.size)
    draw, radius = ImageDraw.Draw(picture), max(2, longest / 60)
    for (x, y), (found_x, found_y) in zip(true, found * longest, strict=True):
        if not np.isnan([x, found_x]).any():
            draw.line([x, y, found_x, found_y], MISSED, max(1, round(radius / 3)))
        if not np.isnan(x):
            draw.ellipse(
                [x - radius, y - radius, x + radius, y + radius], outline=MISSED, width=max(1, int(radius / 3))
            )
        if not np.isnan(found_x):
            small = radius / 2
            draw.ellipse([found_x - small, found_y - small, found_x + small, found_y + small], fill=FALSE)
    return picture
