"""The demo's tab to correct a mask with a brush and to collect pictures and masks as a data set to train on."""

from pathlib import Path

import gradio as gr
from PIL import Image

from carmask.demo.canvas import CanvasValue, canvas_value, corrected_mask
from carmask.demo.collect_buttons import (
    MAX_COLLECTED,
    MAX_SHARED,
    MAX_SHARED_BYTES,
    add_to_own,
    make_add_to_shared,
    zip_own,
)
from carmask.demo.html_component import html_component
from carmask.demo.mask_answer import StoredAnswer, describe_share
from carmask.demo.uploads import IMAGE, LIFETIME_SECONDS, PRIVATE, extend_lifetime, save_for_page

NO_MASK = "Give a picture in the tab *Mask* first; then correct its mask here."
OWN = (
    f"Your data set is yours alone: up to {MAX_COLLECTED} pictures. It is deleted from the server "
    f"{LIFETIME_SECONDS // 60} minutes after your last stroke or addition, so download it before. "
    "Adding a picture again replaces its mask."
)

SHARED = (
    "**What you add is kept:** the picture and its mask go into the data set of whoever runs this demo, for training. "
    f"Without *Add*, nothing is kept. It takes {MAX_SHARED} pictures or {MAX_SHARED_BYTES // 2**30} GB."
)


def show_canvas(stored: StoredAnswer | None) -> list:
    """Fills the canvas, which then asks for the corrected mask; without a mask it empties the tab."""
    return [canvas_value(stored), *([gr.skip()] * 4 if stored else no_mask())]


def correct(painted: CanvasValue, stored: StoredAnswer | None, collection: str | None) -> list:
    """Shows the corrected mask at full size, describes it, and enables the buttons."""
    if stored is None:
        return no_mask()
    mask, changed = corrected_mask(painted, stored)
    if collection:
        extend_lifetime(collection)
    words = f"{changed} pixels corrected" if changed else "nothing corrected yet"
    path = save_for_page(Image.fromarray(mask), stored.picture, "_mask")
    line = f"{describe_share(mask, stored.object_name)} · {words}"
    return [path, line, gr.DownloadButton(value=path, interactive=True), gr.Button(interactive=True)]


def no_mask() -> list:
    """The tab's outputs without a mask to correct."""
    return [None, NO_MASK, gr.DownloadButton(value=None, interactive=False), gr.Button(interactive=False)]


# An answer that comes while a visitor waits in the tab fills its canvas; in any other tab that costs nothing.
REFRESH = (
    "() => document.querySelector('#correct-button[aria-selected=true]')"
    " && document.querySelector('#refresh-canvas').click()"
)


def correct_tab(tab: gr.Tab, stored: gr.State, shared: Path | None, object_name: str) -> None:
    """Lays out the tab inside the page that is being built.

    Args:
        tab: the tab itself, whose `select` event fills the canvas.
        stored: the mask tab's stored answer.
        shared: data set of whoever runs the demo; None gives each visitor one of their own, to download.
        object_name: what the default model finds.
    """
    with gr.Row(equal_height=True):
        canvas = html_component("painter", "Paint on the mask", "painter", object_name)
        alt = "The corrected mask"
        settings = IMAGE | {"height": 536}
        mask = gr.Image(label="Corrected mask", elem_id="corrected", alt_text=alt, interactive=False, **settings)
    button: dict = {"interactive": False, "scale": 0, "min_width": 230}
    with gr.Row(elem_id="correct-actions"):
        line = gr.Markdown(NO_MASK, label="Result", elem_id="correct-line")
        download = gr.DownloadButton("Download mask", elem_id="download-corrected", **button)
        adding = gr.Button("Add to the data set", variant="primary", elem_id="add", **button)
    outputs = [mask, line, download, adding]
    quiet: dict = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}
    collection = gr.State()
    refresh = gr.Button(visible="hidden", elem_id="refresh-canvas")
    shown = gr.on([tab.select, refresh.click], show_canvas, stored, [canvas, *outputs], **quiet)
    stored.change(None, js=REFRESH, api_visibility="private")
    shown.failure(lambda: [None, *no_mask()], None, [canvas, *outputs], **PRIVATE)
    canvas.input(correct, [canvas, stored, collection], outputs, **quiet)
    with gr.Row(elem_id="collect-actions"):
        if shared:
            count = gr.Markdown("Nothing added yet", label="Data set", elem_id="collect-line")
            adding.click(make_add_to_shared(shared), [canvas, stored], count, **PRIVATE)
        else:
            count = gr.Markdown("No picture in your data set yet", label="Data set", elem_id="collect-line")
            zipping = gr.Button("Download data set", elem_id="download-set", **button)
            zipped = gr.DownloadButton(visible="hidden", elem_id="packed")
            adding.click(add_to_own, [canvas, stored, collection], [collection, count, zipping], **PRIVATE)
            ready = zipping.click(zip_own, collection, zipped, **PRIVATE)
            ready.success(None, js="() => document.querySelector('#packed').click()", api_visibility="private")
    gr.Markdown(SHARED if shared else OWN, elem_id="collect-note")
