"""The demo's tab for dots: a picture in, its named dots drawn and listed, and the maps they were read from."""

import re
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import gradio as gr
import numpy as np
from PIL import Image

from carmask.demo.events import answer_pictures
from carmask.demo.server.gpu import FindMaps, maps_of, view_of
from carmask.demo.uploads import (
    EMPTY_LINE,
    IMAGE,
    PRIVATE,
    VIEW_SIDE,
    Upload,
    load_maps,
    open_upload,
    path_for_page,
    save_for_page,
    store_maps,
)
from carmask.files.drawing import draw_dots, heat_picture
from carmask.inference.predictor import Predictor
from carmask.tasks.dot_files import COLUMNS, dots_as_csv, dots_as_json, rounded
from carmask.tasks.dots_task import Dot, DotsTask
from carmask.tasks.maps import sigmoid

MAP_LABEL = "Where the network sees it"

DotsAnswer = tuple[str, list[list], str, str, str, str]


class DotsModel(NamedTuple):
    """A model for dots: its name, its dots' names, the function that opens it on first use, and that which runs it."""

    name: str
    labels: list[str]
    open: Callable[[], Predictor]
    find_maps: FindMaps = maps_of

    def find_dots(self, picture: Image.Image) -> tuple[list[Dot], np.ndarray]:
        """Finds the dots of an upright picture, and their heat maps, in one run of the network.

        Returns:
            The predictor's answer, and its activations, float16 (n, h, w) in 0 to 1, to show.
        """
        predictor = self.open()
        logits = self.find_maps(predictor, [view_of(predictor, picture)])[0]
        assert isinstance(predictor.task, DotsTask)
        return predictor.task.decode(logits, (picture.height, picture.width)), sigmoid(logits).astype(np.float16)


def describe_dots(dots: Sequence[Dot], size: tuple[int, int], seconds: float, model_name: str) -> str:
    """Describes an answer in one line: number of dots found, `size` (height, width), time and model."""
    found = sum(dot.x is not None for dot in dots)
    height, width = size
    words = f"{found} of {len(dots)} dots found" if found else "No dot found."
    return f"{words} · {width} × {height} pixels · {seconds:.1f} s · {model_name}"


def make_dots_answer(model: DotsModel) -> Callable[[Upload], DotsAnswer]:
    """Returns the function behind the tab and the API."""

    def answer(picture: Upload) -> DotsAnswer:
        """Finds the named dots in a picture.

        Returns the picture with the dots drawn on it; a table of name, x, y and score, with x and y in pixels of the
        upright picture, empty for a dot that is not in it; one line of text; the table as CSV; and as JSON.
        """
        start = time.perf_counter()
        opened = open_upload(picture)
        dots, maps = model.find_dots(opened)
        size = (opened.height, opened.width)
        line = describe_dots(dots, size, time.perf_counter() - start, model.name)
        drawn = save_for_page(draw_dots(opened, dots, scores=True), picture, "_dots")
        table, record = (path_for_page(picture, f"_dots.{kind}") for kind in ("csv", "json"))
        name = record.name.replace("_dots.json", "")
        table.write_text(dots_as_csv([(name, dots)]), encoding="utf-8")
        record.write_text(dots_as_json(name, size, dots), encoding="utf-8")
        table_rows = [list(rounded(dot)) for dot in dots]
        return drawn, table_rows, line, str(table), str(record), store_maps(maps, picture)

    return answer


def make_map_answer(names: Sequence[str]) -> Callable[[Upload | None, str | None, str], str | None]:
    """Returns the function that shows one of the stored maps, by name."""

    def show_map(picture: Upload | None, stored: str | None, name: str) -> str | None:
        """Lays the map called `name` over the grey picture; returns None before there is an answer, or without one."""
        if not picture or stored is None or name not in names:
            return None
        heat = heat_picture(open_upload(picture, VIEW_SIDE), load_maps(stored)[names.index(name)])
        return save_for_page(heat, picture, "_" + re.sub(r"\W+", "_", name))

    return show_map


def dots_table() -> gr.Dataframe:
    """The table of a picture's dots: name, x, y and score."""
    return gr.Dataframe(
        headers=list(COLUMNS),
        datatype=["str", "number", "number", "number"],
        column_widths=["43%", "19%", "19%", "19%"],
        max_height=560,
        label="Dots",
        interactive=False,
        elem_id="dots-table",
    )


def dots_tab(answer: Callable[[Upload], DotsAnswer], names: Sequence[str], examples: Sequence[str]) -> None:
    """Lays out the tab inside the page that is being built; the API offers `answer` as `/dots`."""
    with gr.Row(equal_height=True):
        picture = gr.Image(label="Picture", elem_id="dots-picture", alt_text="The picture", **IMAGE)
        drawn = gr.Image(
            label="Dots", elem_id="dots", alt_text="The picture with its dots", interactive=False, **IMAGE
        )
    with gr.Row(elem_id="dots-actions"):
        line = gr.Markdown(EMPTY_LINE, label="Result", elem_id="dots-line")
        downloads = [
            gr.DownloadButton(f"Download {kind}", interactive=False, scale=0, min_width=190, elem_id=f"dots-{kind}")
            for kind in ("CSV", "JSON")
        ]
    given = list(examples)
    chosen = gr.Examples(given, picture, cache_examples=False, api_visibility="private") if given else None
    with gr.Row():
        table = dots_table()
        with gr.Column():
            name = gr.Dropdown(list(names), value=names[0], label="Map of", filterable=False, elem_id="dots-name")
            heat = gr.Image(label=MAP_LABEL, elem_id="dots-map", alt_text=MAP_LABEL, interactive=False, **IMAGE)

    stored = gr.State()  # the file of the maps: one run of the network serves the dots and every map
    show_map = make_map_answer(names)
    answered = answer_pictures([picture], chosen, answer, [drawn, table, line, *downloads, stored], "dots", no_dots)
    for event in answered:
        event.success(
            lambda *given: [gr.DownloadButton(interactive=None not in given)] * 2,
            [picture, stored],
            downloads,
            **PRIVATE,
        )
        event.success(show_map, [picture, stored, name], heat, **PRIVATE)
        event.failure(lambda: None, None, heat, **PRIVATE)
    name.input(show_map, [picture, stored, name], heat, **PRIVATE)
    picture.clear(lambda: None, None, heat, **PRIVATE)


def no_dots(line: str) -> list:
    """The tab's outputs without an answer."""
    button = gr.DownloadButton(value=None, interactive=False)
    return [None, None, line, button, button, None]
