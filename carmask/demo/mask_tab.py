"""The demo's tab for masks: a picture in, its mask and views of it, and a slider for how sure it must be."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image

from carmask.demo.events import answer_pictures
from carmask.demo.mask_answer import (
    DOUBTFUL,
    LONGEST_SIDE,
    Kept,
    Upload,
    describe,
    doubtful_pixels,
    doubtful_share,
    mask_at,
    named_model,
    open_mask,
    overlay_to_look_at,
)
from carmask.demo.overlay_slider import slider_view
from carmask.demo.uploads import EMPTY_LINE, GONE, IMAGE, keep_maps, kept_maps, open_upload, save_for_page
from carmask.files.drawing import cut_out, overlay_mask
from carmask.inference.predictor import Predictor

AMBER = (255, 176, 0)

UNSURE = {"minimum": 0.01, "maximum": 0.99, "step": 0.01, "buttons": []}  # a reset would not ask again

Answer = tuple[str, str, Kept]


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
