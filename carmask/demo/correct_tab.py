"""The demo's tab to correct a mask with a brush and to collect pictures and masks as a data set to train on."""

import base64
import io
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder
from PIL import Image

from carmask.demo.collection import COLLECTED, add_example, open_collection, read_rows, zip_collection
from carmask.demo.mask_answer import Kept, describe_share, open_mask
from carmask.demo.strokes import StrokeError, paint, read_strokes
from carmask.demo.uploads import (
    GONE,
    IMAGE,
    KEPT_SECONDS,
    PRIVATE,
    keep_longer,
    open_upload,
    own_stem,
    save_for_page,
    uploaded_file,
)
from carmask.errors import DataError

ASSETS = Path(__file__).resolve().parent / "assets"

LONGEST_SIDE = 1280  # pixels of the picture to paint on

RED = (255, 64, 64)

MAX_PICTURES = 50

MAX_BYTES = 200 * 2**20

TRAINABLE = 2  # pictures that training needs at least: one to learn from, one to validate on

ZIP_NAME = "car-masks.zip"

NO_MASK = "Give a picture in the tab *Mask* first; then correct its mask here."

OWN = (
    f"Your data set is yours alone: up to {MAX_PICTURES} pictures. It is deleted from the server "
    f"{KEPT_SECONDS // 60} minutes after your last stroke or addition, so download it before. "
    "Adding a picture again replaces its mask."
)

SHARED = (
    "**What you add is kept:** the picture and its mask go into the data set of whoever runs this demo, for training. "
    "Without *Add*, nothing is kept."
)

Painted = dict[str, Any] | str | None


def canvas_value(kept: Kept | None) -> dict[str, Any] | None:
    """What the brush needs to begin: a picture's key and size, and the picture and its mask, small, as data URLs."""
    if kept is None:
        return None
    picture, mask = open_upload(kept.picture), open_mask(kept)
    height, width = kept.size
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    red = Image.new("RGBA", picture.size, RED)
    red.putalpha(mask.resize(picture.size, Image.Resampling.NEAREST))
    pictures = {"picture": data_url(picture, "JPEG"), "mask": data_url(red, "PNG")}
    return {"key": kept.picture["path"], "width": width, "height": height} | pictures


def show_canvas(kept: Kept | None) -> list:
    """Fills the canvas, which then asks for the corrected mask; without a mask it empties the tab."""
    return [canvas_value(kept), *([gr.skip()] * 4 if kept else no_mask())]


def data_url(picture: Image.Image, kind: str) -> str:
    """A picture as a URL that holds it."""
    content = io.BytesIO()
    picture.save(content, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"


def corrected_mask(painted: Painted, kept: Kept | None) -> tuple[np.ndarray, int]:
    """The mask of what is kept with the strokes of the page painted on it; all its files live on for a while.

    Returns:
        The mask, uint8 (height, width) of 0 and 255, and in how many pixels it differs from the network's.

    Raises:
        gr.Error: There is no mask any more, or these are no strokes for it.
    """
    if kept is None:
        raise gr.Error("Give a picture in the tab Mask first.", print_exception=False)
    if not isinstance(painted, dict) or painted.get("key") != kept.picture["path"]:
        raise gr.Error(GONE, print_exception=False)
    mask = np.array(open_mask(kept))
    keep_longer(str(uploaded_file(kept.picture)), kept.mask, kept.margin)
    try:
        corrected = paint(mask, read_strokes(painted.get("strokes"), kept.size))
    except StrokeError as refusal:
        raise gr.Error(str(refusal), print_exception=False) from None
    return corrected, np.count_nonzero(corrected != mask)


def correct(painted: Painted, kept: Kept | None, collection: str | None) -> list:
    """Shows the corrected mask at full size, the line about it, and what may be done with it."""
    if kept is None:
        return no_mask()
    mask, changed = corrected_mask(painted, kept)
    if collection:
        keep_longer(collection)
    words = f"{changed} pixels corrected" if changed else "nothing corrected yet"
    path = save_for_page(Image.fromarray(mask), kept.picture, "_mask")
    line = f"{describe_share(mask)} · {words}"
    return [path, line, gr.DownloadButton(value=path, interactive=True), gr.Button(interactive=True)]


def no_mask() -> list:
    """The tab's outputs without a mask to correct."""
    return [None, NO_MASK, gr.DownloadButton(value=None, interactive=False), gr.Button(interactive=False)]


def collect(painted: Painted, kept: Kept | None, collection: str | None) -> list:
    """Adds the picture and its corrected mask to the person's own data set, which lives among the uploads."""
    mask, _ = corrected_mask(painted, kept)
    folder = Path(collection) / "data" if collection else None
    if folder and not folder.is_dir():
        gr.Warning("The pictures you had collected were deleted; this one begins a new data set.")
        folder = None
    if folder is None:
        folder = open_collection(Path(tempfile.mkdtemp(dir=get_upload_folder())) / "data")
    keep_longer(str(folder))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if len(read_rows(folder)) >= MAX_PICTURES or size > MAX_BYTES:
        words = "Your data set is full; download it, then reload the page to begin another one."
        raise gr.Error(words, duration=None, print_exception=False)
    number = add(folder, own_stem(kept.picture), kept, mask, keep_all=False)
    return [str(folder.parent), describe(number), gr.Button(interactive=True)]


def add(folder: Path, name: str, kept: Kept, mask: np.ndarray, keep_all: bool) -> int:
    """Adds a kept picture and a mask to a data set; returns how many pictures that has.

    Raises:
        gr.Error: They are of no use there.
    """
    lossless = uploaded_file(kept.picture).suffix.lower() == ".png"
    try:
        return add_example(folder, name, open_upload(kept.picture), mask, lossless, keep_all)
    except DataError as refusal:
        raise gr.Error(str(refusal), duration=None, print_exception=False) from None
    except OSError as error:
        logging.error(error)  # it may name a path, which is no visitor's business
        words = "The picture cannot be added: the server's disk refuses it. Try again later."
        raise gr.Error(words, duration=None, print_exception=False) from None


def describe(number: int) -> str:
    """Says how many pictures were collected."""
    few = "; training needs at least two with a car" if number < TRAINABLE else ""
    return f"{number} {'picture' if number == 1 else 'pictures'} in your data set{few}"


def make_giver(folder: Path) -> Callable[[Painted, Kept | None], str]:
    """Returns the function that adds to the data set of whoever runs the demo."""

    def give(painted: Painted, kept: Kept | None) -> str:
        """Adds the picture and its corrected mask; no file name of a person's goes with them."""
        mask, _ = corrected_mask(painted, kept)
        add(folder, COLLECTED, kept, mask, keep_all=True)
        return "Added; thank you."

    return give


def pack(collection: str | None) -> str:
    """Packs the person's data set as a zip, in place of an earlier one.

    Raises:
        gr.Error: There is none, or none any more.
    """
    folder = Path(collection or "")
    if not collection or not (folder / "data").is_dir():
        raise gr.Error(
            "There are no collected pictures on the server any more; add them again.", print_exception=False
        )
    keep_longer(str(folder / "data"))
    for earlier in folder.glob(f"*/{ZIP_NAME}"):
        earlier.unlink(missing_ok=True)
    path = Path(tempfile.mkdtemp(dir=folder)) / ZIP_NAME
    zip_collection(folder / "data", path)
    return str(path)


def painter() -> gr.HTML:
    """The canvas with its two brushes; its value is what the comment in painter.js says."""
    template, style, script = (
        (ASSETS / f"painter.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")
    )
    return gr.HTML(
        html_template=template,
        css_template=style,
        js_on_load=script,
        apply_default_css=False,
        label="Paint on the mask",
        show_label=True,
        container=True,
        elem_id="painter",
    )


def correct_tab(tab: gr.Tab, kept: gr.State, shared: Path | None) -> None:
    """Lays out the tab inside the page that is being built.

    Args:
        tab: around it.
        kept: what is kept of the mask's answer.
        shared: data set of whoever runs the demo; None gives each person one of their own, to download.
    """
    with gr.Row(equal_height=True):
        canvas = painter()
        mask = gr.Image(
            label="Corrected mask",
            elem_id="corrected",
            alt_text="The corrected mask",
            interactive=False,
            **IMAGE | {"height": 536},
        )
    button = {"interactive": False, "scale": 0, "min_width": 230}
    with gr.Row(elem_id="correct-actions"):
        line = gr.Markdown(NO_MASK, label="Result", elem_id="correct-line")
        download = gr.DownloadButton("Download mask", elem_id="download-corrected", **button)
        adding = gr.Button("Add to the data set", variant="primary", elem_id="add", **button)
    outputs = [mask, line, download, adding]
    quiet = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}
    collection = gr.State()
    begun = tab.select(show_canvas, kept, [canvas, *outputs], **quiet)
    begun.failure(lambda: [None, *no_mask()], None, [canvas, *outputs], **PRIVATE)
    canvas.input(correct, [canvas, kept, collection], outputs, **quiet)
    with gr.Row(elem_id="collect-actions"):
        if shared:
            count = gr.Markdown("Nothing added yet", label="Data set", elem_id="collect-line")
            adding.click(make_giver(shared), [canvas, kept], count, **PRIVATE)
        else:
            count = gr.Markdown("No picture in your data set yet", label="Data set", elem_id="collect-line")
            packing = gr.Button("Download data set", elem_id="download-set", **button)
            packed = gr.DownloadButton(visible="hidden", elem_id="packed")
            adding.click(collect, [canvas, kept, collection], [collection, count, packing], **PRIVATE)
            ready = packing.click(pack, collection, packed, **PRIVATE)
            ready.success(None, js="() => document.querySelector('#packed').click()", api_visibility="private")
    gr.Markdown(SHARED if shared else OWN, elem_id="collect-note")
