"""The answer of the tab Mask: a picture's margin, the mask at a threshold, and the line of text about it."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import gradio as gr
import numpy as np
from PIL import Image, ImageColor, ImageFilter, ImageOps

from carmask.demo.server.gpu import FindMaps, maps_of, view_of
from carmask.demo.uploads import VIEW_SIDE, Upload, open_upload, uploaded_file
from carmask.errors import ModelError
from carmask.files.drawing import overlay_mask
from carmask.files.words import DEFAULT_OBJECT, capital
from carmask.inference.predictor import Predictor
from carmask.inference.sliding_window import number_of_windows
from carmask.tasks.mask_task import MaskTask

TRANSPARENT, COLOUR, PICTURE = BEHIND = "transparent", "colour", "picture"  # what may lie behind a cut-out
DOUBTFUL = 0.1, 0.9  # a pixel whose probability of being the object is between these is doubtful
EDGE = math.log(2)  # log-odds between the outline of a cut-out and where it is opaque, or gone
AMBER = (255, 176, 0)
STRIP = 256  # rows of a cut-out whose edge is computed at a time
SLIDING_WINDOW_ZOOM = 4.0  # how much larger the network sees the picture, compared with a single window
MOST_WORK = 1_600  # megapixels of a picture times windows of the network: some five seconds on two cores


class StoredAnswer(NamedTuple):
    """What the server stores of an answer, so that another threshold or view needs no second run of the network.

    `margin` and `mask` are files that are deleted together with the upload; `size` is (height, width); `doubtful` is
    the share of doubtful pixels, 0 to 1.
    """

    picture: Upload
    margin: str
    size: tuple[int, int]
    model: str
    doubtful: float
    threshold: float
    chosen: bool = False  # whether the threshold is the visitor's, not the model's
    mask: str = ""
    object_name: str = DEFAULT_OBJECT


def check_work(predictor: Predictor, size: tuple[int, int]) -> None:
    """Refuses sliding-window inference on a picture of `size` (height, width) for which it would take too long.

    Raises:
        gr.Error: It would.
    """
    predictor = replace(predictor, magnification=SLIDING_WINDOW_ZOOM)
    windows = number_of_windows(predictor.seen_size(size), predictor.window_size(size))
    if windows * size[0] * size[1] > MOST_WORK * 10**6:
        most = MOST_WORK // windows
        words = (
            f"A sliding window is for pictures of up to {most} megapixels here; make it smaller, or switch that off."
        )
        logging.warning("Refused: %s", words)
        raise gr.Error(words, duration=None, print_exception=False)


def object_margin(
    predictor: Predictor, picture: Image.Image, sliding_window: bool = False, find_maps: FindMaps = maps_of
) -> np.ndarray:
    """The log-odds of the object in an upright picture at the network's own size, float32 (h, w).

    `sliding_window` runs sliding-window inference on an enlarged picture. The margin stays float32, so that `mask_at`
    gives exactly the predictor's mask at any threshold.
    """
    if sliding_window:
        predictor = replace(predictor, magnification=SLIDING_WINDOW_ZOOM)
    return find_maps(predictor, [view_of(predictor, picture)])[0]


def mask_at(margin: np.ndarray, threshold: float, size: tuple[int, int]) -> np.ndarray:
    """Thresholds a margin (h, w): uint8 of `size` (height, width), 255 where its probability is above `threshold`."""
    return MaskTask(threshold=threshold).decode_margin(margin, size)


def doubtful_pixels(margin: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The doubtful pixels of a margin (h, w): uint8 of `size` (height, width), 255 there and 0 elsewhere."""
    least, most = DOUBTFUL
    return mask_at(margin, least, size) - mask_at(margin, most, size)


def draw_doubtful(picture: Image.Image, margin: np.ndarray) -> Image.Image:
    """Draws the doubtful pixels of a margin (h, w) in amber on the grey picture."""
    doubtful = doubtful_pixels(margin, (picture.height, picture.width))
    return overlay_mask(picture.convert("L"), doubtful, AMBER, opacity=0.85)


def doubtful_share(margin: np.ndarray, size: tuple[int, int]) -> float:
    """The share, 0 to 1, of doubtful pixels in a picture of `size` (height, width), at the resolution of the view."""
    scale = min(1, VIEW_SIDE / max(size))
    height, width = (max(1, round(side * scale)) for side in size)
    return doubtful_pixels(margin, (height, width)).mean() / 255


def soft_edge(margin: np.ndarray, mask: np.ndarray, threshold: float) -> np.ndarray:
    """How opaque each pixel of a cut-out is: uint8 of the size of `mask`, above 127 exactly where it is 255.

    It rises with the `margin` (h, w) while the odds go from half to twice those of the threshold: over the whole
    doubtful band it would look like a halo. Cells away from the outline are opaque or gone: a network may be in doubt
    inside the object, but it is not half transparent there.
    """
    distance = margin - math.log(threshold / (1 - threshold))
    inside = Image.fromarray(np.uint8(255) * (distance > 0))
    outline = np.not_equal(
        *(np.asarray(inside.filter(kind(3))) for kind in (ImageFilter.MinFilter, ImageFilter.MaxFilter))
    )
    sure = np.where(distance > 0, distance.clip(min=EDGE), distance.clip(max=-EDGE))
    cells = Image.fromarray(np.where(outline, distance, sure).astype(np.float32))
    alpha, scale = np.empty_like(mask), margin.shape[0] / mask.shape[0]
    for top in range(0, len(mask), STRIP):
        rows = mask[top : top + STRIP]
        box = (0, top * scale, cells.width, min((top + len(rows)) * scale, cells.height))
        strip = cells.resize((mask.shape[1], len(rows)), Image.Resampling.BILINEAR, box)
        soft = np.rint(127.5 + 127.5 * (np.asarray(strip) / EDGE).clip(-1, 1)).astype(np.uint8)
        alpha[top : top + STRIP] = np.where(rows > 127, np.maximum(soft, 128), np.minimum(soft, 127))
    return alpha


def ground_of(size: tuple[int, int], behind: str, colour: str, background: Upload | None) -> Image.Image | None:
    """What lies behind a cut-out of `size` (width, height), RGB: a colour, or as much of a picture as fits.

    Raises:
        gr.Error: There is no such choice or colour, or the picture is refused or deleted.
    """
    if behind not in BEHIND:
        raise gr.Error(f"There is no such choice; choose one of {', '.join(BEHIND)}.", print_exception=False)
    if behind == COLOUR:
        try:
            return Image.new("RGB", size, tuple(min(255, part) for part in ImageColor.getrgb(colour)[:3]))
        except (ValueError, TypeError, AttributeError):
            raise gr.Error("This is no colour; write it like #336699.", print_exception=False) from None
    if behind == PICTURE and background:
        return ImageOps.fit(open_upload(background, max(size)), size)
    return None


def ground_or_none(size: tuple[int, int], behind: str, colour: str, background: Upload | None) -> Image.Image | None:
    """As `ground_of`; what cannot be used is said, and nothing lies behind the cut-out."""
    try:
        return ground_of(size, behind, colour, background)
    except gr.Error as error:
        gr.Warning(f"What is to lie behind the cut-out cannot be used; choose another. {error.message}")
        return None


def describe_share(mask: np.ndarray, object_name: str) -> str:
    """Says in words how much of a mask, uint8 (height, width), is the object."""
    share = np.count_nonzero(mask) / mask.size
    found = f"{share:.1%}" if share >= 0.0005 else "less than 0.1%"
    return f"{capital(object_name)}: {found} of the picture" if share else f"No {object_name} found."


def describe_mask(mask: np.ndarray, doubtful: float, seconds: float, model_name: str, object_name: str) -> str:
    """Describes an answer in one line: the object's share, `doubtful` share (0 to 1), size, time and model."""
    height, width = mask.shape
    parts = (
        describe_share(mask, object_name),
        f"doubtful: {doubtful:.1%}",
        f"{width} × {height} pixels",
        f"{seconds:.1f} s",
        model_name,
    )
    return " · ".join(parts)


def find_model(
    models: Sequence[str], open_model: Callable[[str], Predictor], model: str | None
) -> tuple[str, MaskTask]:
    """Returns name and task of the chosen model, by default the first one.

    Raises:
        gr.Error: There is no such model, or it cannot be opened.
    """
    name = models[0] if model is None else model
    if name not in models:
        raise gr.Error(f"There is no such model; choose one of {', '.join(models)}.", print_exception=False)
    try:
        task = open_model(name).task
    except ModelError as error:
        logging.error(error)  # it may name a path, which visitors must not see
        words = f"The model {name} cannot be opened; choose another one."
        raise gr.Error(words, duration=None, print_exception=False) from None
    assert isinstance(task, MaskTask)
    return name, task


def small_overlay(picture: Image.Image, mask: Image.Image, side: int) -> Image.Image:
    """Returns `picture` with its mask laid over it, reduced in place to at most `side` pixels a side."""
    picture.thumbnail((side, side))
    return overlay_mask(picture, mask.resize(picture.size, Image.Resampling.NEAREST))


def open_stored_mask(stored: StoredAnswer) -> Image.Image:
    """Opens the mask of a stored answer.

    Raises:
        gr.Error: It was deleted, as all uploads are some minutes after their last use.
    """
    with Image.open(uploaded_file({"path": stored.mask})) as file:
        return file.copy()
