"""The demo's tab for masks: a picture in, its mask and views of it, and a slider for the threshold."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image

from carmask.demo.events import answer_pictures
from carmask.demo.html_component import html_component
from carmask.demo.mask_answer import (
    BEHIND,
    COLOUR,
    DOUBTFUL,
    PICTURE,
    TRANSPARENT,
    StoredAnswer,
    check_work,
    describe_mask,
    doubtful_share,
    draw_doubtful,
    find_model,
    ground_of,
    ground_or_none,
    mask_at,
    open_stored_mask,
    small_overlay,
    soft_edge,
)
from carmask.demo.uploads import (
    EMPTY_LINE,
    GONE,
    IMAGE,
    PRIVATE,
    VIEW_SIDE,
    Upload,
    load_maps,
    open_upload,
    save_for_page,
    store_maps,
)
from carmask.files.drawing import cut_out
from carmask.files.picture_limits import MAX_SIDE
from carmask.inference.predictor import Predictor

# Without buttons, since gradio's reset button triggers no `input`.
THRESHOLD_RANGE: dict = {"minimum": 0.01, "maximum": 0.99, "step": 0.01, "buttons": []}

WHITE = "#ffffff"

MaskAnswer = tuple[str, str, StoredAnswer]
Behind = tuple[str, str, Upload | None]  # of a cut-out: one of BEHIND, a colour, and an uploaded picture


def make_answer(
    models: Sequence[str],
    open_model: Callable[[str], Predictor],
    find_margin: Callable[[str, Image.Image, bool], np.ndarray],
) -> Callable[..., MaskAnswer]:
    """Returns the function behind the page and the API; the first of the models is the default."""

    def answer(picture: Upload, model: str | None = None, sliding_window: bool = False) -> MaskAnswer:
        """Finds the object in a picture with the model of that name.

        `sliding_window` runs sliding-window inference, for small objects in large pictures. Returns the mask, a PNG of
        the upright picture's size with 255 where the object is and 0 elsewhere, and one line of text: the object's
        share of the picture or that none was found, the doubtful share, size, time and model.
        """
        name, task = find_model(models, open_model, model)
        start = time.perf_counter()
        grey = open_upload(picture).convert("L")  # all that a network sees, in a quarter of the memory
        size = (grey.height, grey.width)
        if sliding_window:
            check_work(open_model(name), size)
        margin = find_margin(name, grey, sliding_window)
        doubtful = doubtful_share(margin, size)
        stored = StoredAnswer(picture, store_maps(margin, picture), size, name, doubtful, task.threshold)
        return draw_answer(stored._replace(object_name=task.name), start)

    return answer


def draw_answer(stored: StoredAnswer, start: float) -> MaskAnswer:
    """Draws the mask of a stored answer; `start` is the `perf_counter` when the work on it began."""
    mask = mask_at(load_maps(stored.margin), stored.threshold, stored.size)
    path = save_for_page(Image.fromarray(mask), stored.picture, "_mask")
    line = describe_mask(mask, stored.doubtful, time.perf_counter() - start, stored.model, stored.object_name)
    return path, line, stored._replace(mask=path)


def apply_threshold(stored: StoredAnswer | None, threshold: float) -> tuple:
    """Redraws the mask at the visitor's threshold; the downloads stay disabled until `show_views`."""
    if stored is None:
        raise gr.Error(GONE, print_exception=False)
    waiting = [gr.DownloadButton(interactive=False)] * 2
    return *draw_answer(stored._replace(threshold=threshold, chosen=True), time.perf_counter()), *waiting


def save_picture(picture: Image.Image, stored: StoredAnswer) -> str:
    """Saves the picture below an answer's overlays, once, beside the margin; returns the path."""
    path = Path(stored.margin).with_name("picture.png")
    if not path.is_file():
        picture.save(path, compress_level=1)
    return str(path)


def save_cut(stored: StoredAnswer, picture: Image.Image, mask: Image.Image, ground: Image.Image | None) -> str:
    """Saves the object cut out of `picture`, at full size and with a soft edge; returns the path."""
    alpha = soft_edge(load_maps(stored.margin), np.asarray(mask), stored.threshold)
    return save_for_page(cut_out(picture, alpha, ground), stored.picture, "_cutout")


def redraw_cut(stored: StoredAnswer | None, behind: str, colour: str, background: Upload | None) -> list:
    """Lays something else behind the cut-out of an answer, if there is one; returns the cut-out and its download."""
    if stored is None or not (mask := open_stored_mask(stored)).getbbox():
        return [gr.skip()] * 2
    picture = open_upload(stored.picture)
    cut = save_cut(stored, picture, mask, ground_of(picture.size, behind, colour, background))
    return [cut, gr.DownloadButton(value=cut, interactive=True)]


def make_cutout(answer: Callable[..., MaskAnswer]) -> Callable[..., tuple[str, str]]:
    """Returns the function behind the API's `/cutout`."""

    def cutout(
        picture: Upload,
        model: str | None = None,
        sliding_window: bool = False,
        behind: str = TRANSPARENT,
        colour: str = WHITE,
        background: Upload | None = None,
    ) -> tuple[str, str]:
        """Cuts the object out of a picture, with a soft edge.

        `behind` is "transparent", "colour", which `colour` says as #rrggbb, or "picture", which is `background`.
        The rest is as for /mask. Returns a PNG of the upright picture's size, and one line of text.
        """
        _, line, stored = answer(picture, model, sliding_window)
        opened = open_upload(picture)
        ground = ground_of(opened.size, behind, colour, background)
        return save_cut(stored, opened, open_stored_mask(stored), ground), line

    return cutout


def save_views(stored: StoredAnswer, behind: Behind) -> list:
    """Saves picture, overlay and doubtful pixels at the views' size, and the cut-out object, if any, at full size."""
    mask = open_stored_mask(stored)
    found = mask.getbbox() is not None
    picture = open_upload(stored.picture, MAX_SIDE if found else VIEW_SIDE)  # the cut-out alone needs every pixel
    cut = save_cut(stored, picture, mask, ground_or_none(picture.size, *behind)) if found else None
    overlay = save_for_page(small_overlay(picture, mask, VIEW_SIDE), stored.picture, "_overlay")
    doubt = gr.skip()
    if not stored.chosen:  # the doubtful pixels do not depend on the threshold
        doubt = save_for_page(draw_doubtful(picture, load_maps(stored.margin)), stored.picture, "_doubtful")
    return [{"under": save_picture(picture, stored), "over": overlay}, cut, doubt]


def show_views(
    stored: StoredAnswer | None, behind: str = TRANSPARENT, colour: str = WHITE, background: Upload | None = None
) -> list:
    """Fills the slider, the two downloads and the views; without an answer it empties and hides them."""
    if stored is None:
        slider, mask, views = gr.Slider(interactive=False), None, [None] * 3
    else:
        # A slider that the visitor is moving must not jump back.
        slider = gr.skip() if stored.chosen else gr.Slider(value=stored.threshold, interactive=True)
        mask, views = stored.mask, save_views(stored, (behind, colour, background))
    downloads = [gr.DownloadButton(value=path, interactive=path is not None) for path in (mask, views[1])]
    return [slider, *downloads, gr.Column(visible=stored is not None), *views]


def mask_tab(
    answer: Callable[..., MaskAnswer], models: Sequence[str], examples: Sequence[str], object_name: str
) -> gr.State:
    """Lays out the mask's tab of the page that is being built; the API offers `answer` as `/mask`.

    `models` are the names to choose from, the default one first, which finds what is called `object_name`. Returns the
    state that holds the `StoredAnswer`.
    """
    with gr.Row(equal_height=True):
        picture = gr.Image(label="Picture", elem_id="picture", alt_text="The picture", **IMAGE)
        words = f"Mask: white where the {object_name} is"
        mask = gr.Image(label="Mask", elem_id="mask", alt_text=words, interactive=False, **IMAGE)
    with gr.Row(elem_id="actions"):
        line = gr.Markdown(EMPTY_LINE, label="Result", elem_id="line")
        button: dict = {"interactive": False, "scale": 0, "min_width": 200}
        downloads = [
            gr.DownloadButton("Download mask", variant="primary", elem_id="download", **button),
            gr.DownloadButton("Download cut-out", elem_id="download-cutout", **button),
        ]
    with gr.Row(elem_id="settings"):
        label, shape = f"How sure a pixel must be to count as {object_name}", THRESHOLD_RANGE | {"min_width": 300}
        slider = gr.Slider(value=0.5, label=label, interactive=False, elem_id="threshold", **shape)
        model = gr.Dropdown(list(models), label="Model", filterable=False, visible=len(models) > 1, elem_id="model")
        words = f"For a small {object_name} in a large picture; takes longer."
        sliding_window = gr.Checkbox(label="Sliding window", info=words, elem_id="sliding-window", min_width=200)
    given = list(examples)
    chosen = gr.Examples(given, picture, cache_examples=False, api_visibility="private") if given else None
    stored = gr.State()
    with gr.Column(visible=False) as views:
        shown = row_of_views(object_name)
        behind = row_behind(stored, [shown[1], downloads[1]])
    outputs = [mask, line, stored]
    inputs = [picture, model, sliding_window]
    answer_pictures(inputs, chosen, answer, outputs, "mask", lambda words: [None, words, None])
    quiet: dict = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}
    cutout = make_cutout(answer)  # for programs alone: the page keeps the margin
    gr.Button(visible=False).click(cutout, [*inputs, *behind], [shown[1], line], api_name="cutout", preprocess=False)
    slider.input(apply_threshold, [stored, slider], [*outputs, *downloads], **quiet)
    stored.change(show_views, [stored, *behind], [slider, *downloads, views, *shown], **quiet, preprocess=False)
    return stored


def row_of_views(object_name: str) -> list[gr.blocks.Block]:
    """Lays out the row of views; returns the overlay, the cut-out and the doubt."""
    with gr.Row(equal_height=True):
        overlay = html_component("overlay_slider", "Overlay", "overlay", object_name)
        words = f"The {object_name} alone"
        cut = gr.Image(label="Cut-out", elem_id="cutout", alt_text=words, interactive=False, **IMAGE)
        label = "Doubtful: {:.0%} to {:.0%} sure".format(*DOUBTFUL)
        words = "The picture with what is doubtful in amber"
        doubt = gr.Image(label=label, elem_id="doubtful", alt_text=words, interactive=False, **IMAGE)
    return [overlay, cut, doubt]


def row_behind(stored: gr.State, outputs: list) -> list[gr.components.Component]:
    """Lays out the choice of what lies behind the cut-out, which redraws the `outputs`; returns its three fields."""
    with gr.Row(elem_id="behind"):
        behind = gr.Radio(list(BEHIND), value=TRANSPARENT, label="Behind the cut-out", elem_id="behind-choice")
        colour = gr.ColorPicker(WHITE, label="Colour", visible=False, elem_id="behind-colour")
        background = gr.UploadButton(
            "Choose the picture", file_types=["image"], visible=False, scale=0, min_width=200, elem_id="behind-picture"
        )
    behind.input(
        lambda choice: [gr.ColorPicker(visible=choice == COLOUR), gr.UploadButton(visible=choice == PICTURE)],
        behind,
        [colour, background],
        **PRIVATE,
    )
    fields: list = [behind, colour, background]
    for event in (behind.input, colour.change, background.upload):  # a typed colour is no `input`
        event(redraw_cut, [stored, *fields], outputs, show_progress="hidden", trigger_mode="always_last", **PRIVATE)
    return fields
