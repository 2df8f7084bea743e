"""What the server sends to the painting canvas, and the corrected mask it makes of the strokes that come back."""

from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from carmask.demo.mask_answer import StoredAnswer, open_stored_mask
from carmask.demo.strokes import StrokeError, paint_strokes, read_strokes
from carmask.demo.uploads import GONE, extend_lifetime, open_upload, uploaded_file
from carmask.files.drawing import data_url

CANVAS_SIDE = 1280  # pixels of the longest side of the picture on the canvas
RED = (255, 64, 64)

CanvasValue = dict[str, Any] | str | None


def canvas_value(stored: StoredAnswer | None) -> dict[str, Any] | None:
    """Returns the picture's key and full size, and the picture and its mask, reduced, as data URLs."""
    if stored is None:
        return None
    picture, mask = open_upload(stored.picture, CANVAS_SIDE), open_stored_mask(stored)
    height, width = stored.size
    red = Image.new("RGBA", picture.size, RED)
    red.putalpha(mask.resize(picture.size, Image.Resampling.NEAREST))
    pictures = {"picture": data_url(picture, "JPEG"), "mask": data_url(red, "PNG")}
    return {"key": stored.picture["path"], "width": width, "height": height} | pictures


def corrected_mask(painted: CanvasValue, stored: StoredAnswer | None) -> tuple[np.ndarray, int]:
    """Paints the canvas's strokes on the stored mask, and extends the lifetime of the answer's files.

    Returns:
        The mask, uint8 (height, width) of 0 and 255, and the number of pixels in which it differs from the network's.

    Raises:
        gr.Error: The mask was deleted, or the strokes are invalid or for another picture.
    """
    if stored is None:
        raise gr.Error("Give a picture in the tab Mask first.", print_exception=False)
    if not isinstance(painted, dict) or painted.get("key") != stored.picture["path"]:
        raise gr.Error(GONE, print_exception=False)
    mask = np.array(open_stored_mask(stored))
    extend_lifetime(str(uploaded_file(stored.picture)), stored.mask, stored.margin)
    try:
        corrected = paint_strokes(mask, read_strokes(painted.get("strokes"), stored.size))
    except StrokeError as refusal:
        raise gr.Error(str(refusal), print_exception=False) from None
    return corrected, int(np.count_nonzero(corrected != mask))
