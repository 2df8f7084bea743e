"""The browser demo: upload a photo, see and download its object's black and white mask, or its named dots.

Run `python app.py` and open the address it prints. CARMASK_MODEL is another model folder or Hub id for the mask;
visitors choose between it and those in models/. CARMASK_DOTS_MODEL is one for the dots; without a model for dots there
is no such tab. CARMASK_COLLECT is a folder for the masks that visitors correct; without it they download their own.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image

from carmask.data.object_choice import chosen_object
from carmask.demo.batch_tab import make_batch, many_tab
from carmask.demo.collection import open_collection
from carmask.demo.correct_tab import correct_tab
from carmask.demo.dots_tab import DotsModel, dots_tab, make_dots_answer
from carmask.demo.html_component import ASSETS
from carmask.demo.mask_answer import object_margin
from carmask.demo.mask_tab import make_answer, mask_tab
from carmask.demo.server.gpu import FindMaps, is_lent, make_find_maps, maps_of
from carmask.demo.server.settings import end_on_signals, launch_settings, replace_private_names
from carmask.demo.theme import make_theme
from carmask.demo.turns import MOST_IN_HAND, take_turns
from carmask.demo.uploads import LIFETIME_SECONDS, SWEEP_SECONDS, sweep_periodically, upload_folder
from carmask.errors import DataError, ModelError
from carmask.files.words import DEFAULT_OBJECT, capital, one
from carmask.inference.loading import EMBEDDED, mask_folders
from carmask.inference.predictor import Predictor, check_task

HERE = Path(__file__).resolve().parent

INTRODUCTION = """
# {title}
Give it a photo of {one} and get back its mask: white where the {name} is, black everywhere else.
The tab *Many pictures* takes up to a hundred at once; *Correct* lets you paint on a mask.
"""
DOTS_INTRODUCTION = "*Dots* finds named points."
FOOT = "Pictures and answers are deleted from the server about ten minutes after their last use."
FOOT_OF_COLLECTION = " Only what you add in the tab *Correct* is kept."


def build_page(
    models: list[str],
    open_model: Callable[[str], Predictor],
    for_dots: DotsModel | None = None,
    collection: Path | None = None,
    object_name: str = DEFAULT_OBJECT,
    find_maps: FindMaps = maps_of,
) -> gr.Blocks:
    """Builds the page, a tab for each task, with these mask models to choose from; the first finds the object.

    `collection` is the data set that corrected masks go to; without it visitors download their own. `find_maps` runs
    the networks for masks.
    """
    title = f"{capital(object_name)} mask"
    head = INTRODUCTION.format(title=title, one=one(object_name), name=object_name)
    examples = sorted(map(str, (HERE / "examples").glob("*.[jp][pn]g")))

    def find_margin(name: str, picture: Image.Image, sliding_window: bool = False) -> np.ndarray:
        return object_margin(open_model(name), picture, sliding_window, find_maps)

    answer = make_answer(models, open_model, find_margin)
    batch = make_batch(models, open_model, find_margin, find_maps if is_lent() else None)
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(SWEEP_SECONDS, LIFETIME_SECONDS)) as page:
        gr.Markdown(head + DOTS_INTRODUCTION if for_dots else head, elem_id="head")
        with gr.Tab("Mask"):
            stored = mask_tab(answer, models, examples, object_name)
        with gr.Tab("Many pictures"):
            many_tab(batch, models, object_name)
        with gr.Tab("Correct", elem_id="correct") as tab:
            correct_tab(tab, stored, collection, object_name)
        if for_dots:
            with gr.Tab("Dots"):
                dots_tab(make_dots_answer(for_dots), for_dots.labels, examples)
        gr.Markdown(FOOT + FOOT_OF_COLLECTION if collection else FOOT, elem_id="foot")
    take_turns(page)
    return page.queue(max_size=MOST_IN_HAND, default_concurrency_limit=None, api_open=False)


def mask_models() -> dict[str, str | Path]:
    """The mask models to choose from, by name: CARMASK_MODEL or the embedded one first, then those in models/."""
    first = os.environ.get("CARMASK_MODEL") or EMBEDDED["mask"]
    name = Path(first).name
    return {name: first} | {folder.name: folder for folder in mask_folders() if folder.name != name}


def make_opener(models: dict[str, str | Path]) -> Callable[[str], Predictor]:
    """Returns the function that opens a mask model by its name, on first use.

    CARMASK_OBJECT says which labels of the first of them are the object, and what it is called.

    Raises:
        DataError: CARMASK_OBJECT cannot be read.
    """
    first, text = next(iter(models)), os.environ.get("CARMASK_OBJECT") or ""
    choice = chosen_object(text, "CARMASK_OBJECT")

    @cache
    def open_model(name: str) -> Predictor:
        predictor = Predictor.from_pretrained(models[name], object_labels=choice.classes if name == first else ())
        check_task(predictor, "mask")
        return predictor.with_object(choice.name) if name == first and "=" in text else predictor

    return open_model


def dots_model() -> DotsModel | None:
    """Checks the model for dots, if there is one, and frees it again: it is opened on its first picture.

    Raises:
        ModelError: It cannot be used, or is for masks.
    """
    chosen = os.environ.get("CARMASK_DOTS_MODEL")
    if not chosen and not EMBEDDED["dots"].is_dir():
        return None
    open_model = partial(Predictor.from_pretrained, chosen or EMBEDDED["dots"])
    predictor = open_model()
    check_task(predictor, "dots")
    opener = cache(open_model)
    find_maps = make_find_maps({predictor.name: chosen or EMBEDDED["dots"]}, lambda name: opener())
    return DotsModel(predictor.name, predictor.task.labels, opener, find_maps)


def shared_collection(object_name: str = DEFAULT_OBJECT) -> Path | None:
    """Opens the data set that CARMASK_COLLECT names, if it names one.

    Raises:
        DataError: It cannot be added to.
    """
    named = os.environ.get("CARMASK_COLLECT")
    return open_collection(Path(named), object_name) if named else None


def serve() -> None:
    """Loads the default models and serves the page until it is stopped.

    Raises:
        ModelError, DataError: A model, the data set or the installed gradio cannot be used.
    """
    models = mask_models()
    open_model = make_opener(models)
    object_name = open_model(next(iter(models))).task.labels[-1]
    for_dots, find_maps = dots_model(), make_find_maps(models, open_model)
    collection = shared_collection(object_name)
    end_on_signals()
    with upload_folder() as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads  # components read it when they are built
        threading.Thread(target=sweep_periodically, daemon=True).start()
        replace_private_names(uploads)
        page = build_page(list(models), open_model, for_dots, collection, object_name, find_maps)
        page.launch(
            theme=make_theme(),
            css_paths=ASSETS / "page.css",
            js=(ASSETS / "page.js").read_text(encoding="utf-8"),
            **launch_settings(),
        )


def main() -> None:
    """Serves the page; says in one sentence why it cannot."""
    logging.basicConfig(format="%(asctime)s %(message)s")
    try:
        serve()
    except (ModelError, DataError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
