"""The demo's tab for masks: a picture in, its mask and views of it, and a slider for how sure it must be."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
import torch
from PIL import Image

from carmask.demo.overlay_slider import slider_view
from carmask.demo.uploads import (
    EMPTY_LINE,
    GONE,
    IMAGE,
    answer_pictures,
    keep_maps,
    kept_maps,
    open_upload,
    save_for_page,
    uploaded_file,
)
from carmask.files.drawing import cut_out, overlay_mask
from carmask.inference.predictor import ModelError, Predictor
from carmask.tasks.auto import MaskTask

LONGEST_SIDE = 1600  # pixels of the overlay and of the doubtful pixels

DOUBTFUL = 0.1, 0.9  # between these probabilities of car nobody should rely on a pixel

AMBER = (255, 176, 0)

CLOSER = 4.0  # times as large as usual

UNSURE = {"minimum": 0.01, "maximum": 0.99, "step": 0.01, "buttons": []}  # a reset would not ask again

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


Answer = tuple[str, str, Kept]


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


def make_answer(
    models: Sequence[str],
    open_model: Callable[[str], Predictor],
    find_margin: Callable[[str, Image.Image, bool], np.ndarray],
) -> Callable[..., Answer]:
    """Returns the function behind the page and the API; the first of the models is the default."""

    def answer(picture: Upload, model: str | None = None, closer: bool = False) -> Answer:
        """Finds the car in a picture, with the model of that name; closer is for small cars in a large picture.

        Returns the mask, a PNG of the upright picture's size with 255 where the car is and 0 elsewhere, and one line
        of text: the car's share of the picture or "No car found.", the doubtful share, size, time and model.
        """
        name, task = named_model(models, open_model, model)
        start = time.perf_counter()
        opened = open_upload(picture)
        margin, size = find_margin(name, opened, closer), (opened.height, opened.width)
        doubtful = doubtful_share(margin, size)
        return draw(Kept(picture, keep_maps(margin, picture), size, name, doubtful, task.threshold), start)

    return answer


def draw(kept: Kept, start: float) -> Answer:
    """Draws the mask of what is kept; `start` is when the work on it began."""
    mask = mask_at(kept_maps(kept.margin), kept.threshold, kept.size)
    path = save_for_page(Image.fromarray(mask), kept.picture, "_mask")
    line = describe(mask, kept.doubtful, time.perf_counter() - start, kept.model)
    return path, line, kept._replace(mask=path)


def answer_again(kept: Kept | None, threshold: float) -> tuple:
    """Draws the mask anew at the threshold that a person chose; the downloads wait for `show_views`."""
    if kept is None:
        raise gr.Error(GONE, print_exception=False)
    waiting = [gr.DownloadButton(interactive=False)] * 2
    return *draw(kept._replace(threshold=threshold, chosen=True), time.perf_counter()), *waiting


def overlay_to_look_at(picture: Image.Image, mask: Image.Image, side: int) -> Image.Image:
    """Makes `picture` no longer than `side` pixels and returns it under its full-size mask."""
    picture.thumbnail((side, side))
    return overlay_mask(picture, mask.resize(picture.size, Image.Resampling.NEAREST))


def save_once(picture: Image.Image, kept: Kept) -> str:
    """Saves what lies under every overlay of an answer beside its margin, if it is not there yet; returns the path."""
    path = Path(kept.margin).with_name("picture.png")
    if not path.is_file():
        picture.save(path, compress_level=1)
    return str(path)


def draw_doubt(picture: Image.Image, margin: np.ndarray) -> Image.Image:
    """Draws the doubtful pixels of a margin (h, w) in amber on the grey picture."""
    doubtful = doubtful_pixels(margin, (picture.height, picture.width))
    return overlay_mask(picture.convert("L"), doubtful, AMBER, opacity=0.85)


def open_mask(kept: Kept) -> Image.Image:
    """Opens the mask that the network drew.

    Raises:
        gr.Error: It was deleted, as every upload is after a while.
    """
    with Image.open(uploaded_file({"path": kept.mask})) as file:
        return file.copy()


def save_views(kept: Kept) -> list:
    """Saves picture, overlay and doubtful pixels, of a size to look at, and the car alone, if any, at full size."""
    picture, mask = open_upload(kept.picture), open_mask(kept)
    cut = save_for_page(cut_out(picture, mask), kept.picture, "_cutout") if mask.getbbox() else None
    # The threshold leaves what is doubtful as it is.
    doubt = (
        gr.skip()
        if kept.chosen
        else save_for_page(draw_doubt(picture, kept_maps(kept.margin)), kept.picture, "_doubtful")
    )
    overlay = save_for_page(overlay_to_look_at(picture, mask, LONGEST_SIDE), kept.picture, "_overlay")
    return [{"under": save_once(picture, kept), "over": overlay}, cut, doubt]


def show_views(kept: Kept | None) -> list:
    """Fills the slider, the two downloads and the row of views; without an answer it empties them."""
    if kept is None:
        slider, mask, views = gr.Slider(interactive=False), None, [None] * 3
    else:
        # A slider that is just being moved must not jump back.
        slider = gr.skip() if kept.chosen else gr.Slider(value=kept.threshold, interactive=True)
        mask, views = kept.mask, save_views(kept)
    downloads = [gr.DownloadButton(value=path, interactive=path is not None) for path in (mask, views[1])]
    return [slider, *downloads, gr.Row(visible=kept is not None), *views]


def mask_tab(answer: Callable[..., Answer], models: Sequence[str], examples: Sequence[str]) -> gr.State:
    """Lays out the mask's tab of the page that is being built; the API offers `answer` as `/mask`.

    `models` are the names to choose from, the default one first. Returns what is kept of an answer.
    """
    with gr.Row(equal_height=True):
        picture = gr.Image(label="Picture", elem_id="picture", alt_text="The picture", **IMAGE)
        mask = gr.Image(
            label="Mask", elem_id="mask", alt_text="Mask: white where the car is", interactive=False, **IMAGE
        )
    with gr.Row(elem_id="actions"):
        line = gr.Markdown(EMPTY_LINE, label="Result", elem_id="line")
        button = {"interactive": False, "scale": 0, "min_width": 200}
        downloads = [
            gr.DownloadButton("Download mask", variant="primary", elem_id="download", **button),
            gr.DownloadButton("Download cut-out", elem_id="download-cutout", **button),
        ]
    with gr.Row(elem_id="settings"):
        label = "How sure a pixel must be to count as car"
        slider = gr.Slider(value=0.5, label=label, interactive=False, min_width=300, elem_id="threshold", **UNSURE)
        model = gr.Dropdown(list(models), label="Model", filterable=False, visible=len(models) > 1, elem_id="model")
        words = "For small cars in a large picture; takes longer."
        closer = gr.Checkbox(label="Look closer", info=words, elem_id="closer", min_width=200)
    given = list(examples)
    chosen = gr.Examples(given, picture, cache_examples=False, api_visibility="private") if given else None
    with gr.Row(visible=False, equal_height=True) as views:
        overlay = slider_view("Overlay", "overlay")
        cut = gr.Image(label="Cut-out", elem_id="cutout", alt_text="The car alone", interactive=False, **IMAGE)
        label = "Doubtful: {:.0%} to {:.0%} sure".format(*DOUBTFUL)
        words = "The picture with what is doubtful in amber"
        doubt = gr.Image(label=label, elem_id="doubtful", alt_text=words, interactive=False, **IMAGE)

    kept = gr.State()
    outputs = [mask, line, kept]
    answer_pictures([picture, model, closer], chosen, answer, outputs, "mask", lambda words: [None, words, None])
    quiet = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}
    slider.input(answer_again, [kept, slider], [*outputs, *downloads], **quiet)
    kept.change(show_views, kept, [slider, *downloads, views, overlay, cut, doubt], **quiet)
    return kept
