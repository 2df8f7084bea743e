"""The answer of the tab Mask: the margin of a picture, the mask at a threshold, and the words about it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
import torch
from PIL import Image

from carmask.demo.uploads import uploaded_file
from carmask.errors import ModelError
from carmask.files.drawing import overlay_mask
from carmask.inference.predictor import Predictor
from carmask.tasks.mask_task import MaskTask

LONGEST_SIDE = 1600  # pixels of the overlay and of the doubtful pixels

DOUBTFUL = 0.1, 0.9  # between these probabilities of car nobody should rely on a pixel

CLOSER = 4.0  # times as large as usual

Upload = dict[str, Any] | None


class Kept(NamedTuple):
    """What the server keeps of an answer, so that another threshold and other views need no second run.

    `margin` and `mask` are files that are deleted together with the upload; `size` is (height, width).
    """

    picture: dict[str, Any]
    margin: str
    size: tuple[int, int]
    model: str
    doubtful: float
    threshold: float
    chosen: bool = False  # whether a person chose the threshold, not the model
    mask: str = ""


@torch.inference_mode()
def car_margin(predictor: Predictor, picture: Image.Image, closer: bool = False) -> np.ndarray:
    """The log-odds of car in an upright picture at the network's own size, float32 (h, w).

    `closer` has the network see the picture larger, piece by piece. Not float16: from the margin `mask_at` draws the
    very mask that the predictor gives, at any threshold.
    """
    return replace(predictor, tiles=CLOSER if closer else predictor.tiles).margin(picture).numpy()


def mask_at(margin: np.ndarray, threshold: float, size: tuple[int, int]) -> np.ndarray:
    """The mask of a margin (h, w): uint8 of `size` (height, width), 255 where car is likelier than `threshold`."""
    return MaskTask(threshold=threshold).decode_margin(torch.from_numpy(margin), size)


def doubtful_pixels(margin: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Where a margin (h, w) leaves open whether there is car: uint8 of `size` (height, width), 255 there, else 0."""
    least, most = DOUBTFUL
    return mask_at(margin, least, size) - mask_at(margin, most, size)


def doubtful_share(margin: np.ndarray, size: tuple[int, int]) -> float:
    """The share, 0 to 1, of a picture of `size` (height, width) that is doubtful, as its view is seen."""
    scale = min(1, LONGEST_SIDE / max(size))
    return doubtful_pixels(margin, tuple(max(1, round(side * scale)) for side in size)).mean() / 255


def describe_share(mask: np.ndarray) -> str:
    """Says how much of a mask, uint8 (H, W), is car."""
    share = np.count_nonzero(mask) / mask.size
    found = f"Car: {share:.1%} of the picture" if share >= 0.0005 else "Car: less than 0.1% of the picture"
    return found if share else "No car found."


def describe(mask: np.ndarray, doubtful: float, seconds: float, model_name: str) -> str:
    """Says in one line how much of a mask, uint8 (H, W), is car, and how the answer came about.

    `doubtful` is the share of the picture that is, 0 to 1.
    """
    height, width = mask.shape
    parts = (
        describe_share(mask),
        f"doubtful: {doubtful:.1%}",
        f"{width} × {height} pixels",
        f"{seconds:.1f} s",
        model_name,
    )
    return " · ".join(parts)


def named_model(
    models: Sequence[str], open_model: Callable[[str], Predictor], model: str | None
) -> tuple[str, MaskTask]:
    """Finds the model that a person chose, or the first of the models, and returns its name and its task.

    Raises:
        gr.Error: There is no such model, or it cannot be opened.
    """
    name = models[0] if model is None else model
    if name not in models:
        raise gr.Error(f"There is no such model; choose one of {', '.join(models)}.", print_exception=False)
    try:
        return name, open_model(name).task
    except ModelError as error:
        logging.error(error)  # it may name a path, which is no visitor's business
        words = f"The model {name} cannot be opened; choose another one."
        raise gr.Error(words, duration=None, print_exception=False) from None


def overlay_to_look_at(picture: Image.Image, mask: Image.Image, side: int) -> Image.Image:
    """Makes `picture` no longer than `side` pixels and returns it under its full-size mask."""
    picture.thumbnail((side, side))
    return overlay_mask(picture, mask.resize(picture.size, Image.Resampling.NEAREST))


def open_mask(kept: Kept) -> Image.Image:
    """Opens the mask that the network drew.

    Raises:
        gr.Error: It was deleted, as every upload is after a while.
    """
    with Image.open(uploaded_file({"path": kept.mask})) as file:
        return file.copy()
