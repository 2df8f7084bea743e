"""What the data set buttons of the tab Correct do: add a corrected mask, download the data set."""

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder

from carmask.demo.canvas import CanvasValue, corrected_mask
from carmask.demo.collection import (
    COLLECTED,
    add_example,
    collected_object,
    collected_rows,
    open_collection,
    zip_collection,
)
from carmask.demo.mask_answer import StoredAnswer
from carmask.demo.uploads import extend_lifetime, open_upload, safe_stem, uploaded_file
from carmask.errors import DataError
from carmask.files.words import in_file_name, one

MAX_COLLECTED = 50  # pictures
MAX_COLLECTED_BYTES = 200 * 2**20
MAX_SHARED = 2000  # pictures
MAX_SHARED_BYTES = 4 * 2**30
TRAINABLE = 2  # groups that training needs at least: one to learn from, one to validate on
ZIP_ENDING = "-masks.zip"


def add_to_own(painted: CanvasValue, stored: StoredAnswer | None, collection: str | None) -> list:
    """Adds the picture and its corrected mask to the visitor's own data set, which is stored among the uploads."""
    mask, _ = corrected_mask(painted, stored)
    assert stored
    folder = Path(collection) / "data" if collection else None
    if folder and not folder.is_dir():
        gr.Warning("The pictures you had collected were deleted; this one begins a new data set.")
        folder = None
    if folder is None:
        folder = open_collection(Path(tempfile.mkdtemp(dir=get_upload_folder())) / "data", stored.object_name)
    extend_lifetime(str(folder))
    if is_full(folder, MAX_COLLECTED, MAX_COLLECTED_BYTES):
        words = "Your data set is full; download it, then reload the page to begin another one."
        raise gr.Error(words, duration=None, print_exception=False)
    number = add_answer(folder, safe_stem(stored.picture), stored, mask, keep_all=False)
    groups = len({row["group"] for row in collected_rows(folder)})
    return [str(folder.parent), describe_collection(number, groups, stored.object_name), gr.Button(interactive=True)]


def make_add_to_shared(folder: Path) -> Callable[[CanvasValue, StoredAnswer | None], str]:
    """Returns the function that adds to the data set of whoever runs the demo."""

    def add_to_shared(painted: CanvasValue, stored: StoredAnswer | None) -> str:
        """Adds the picture and its corrected mask, without the visitor's file name."""
        mask, _ = corrected_mask(painted, stored)
        assert stored
        if is_full(folder, MAX_SHARED, MAX_SHARED_BYTES):
            words = "The data set of this demo is full, so nothing is added; you can still download your mask."
            raise gr.Error(words, duration=None, print_exception=False)
        add_answer(folder, COLLECTED, stored, mask, keep_all=True)
        return "Added; thank you."

    return add_to_shared


def is_full(folder: Path, pictures: int, size: int) -> bool:
    """Whether a data set holds as many pictures, or more bytes, than it may."""
    files = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return len(collected_rows(folder)) >= pictures or sum(files) > size


def add_answer(folder: Path, name: str, stored: StoredAnswer, mask: np.ndarray, keep_all: bool) -> int:
    """Adds the picture of a stored answer and its mask to a data set; returns the data set's number of pictures.

    Raises:
        gr.Error: The data set is of another object or refuses them, or the disk does.
    """
    own = collected_object(folder)
    if own != stored.object_name:
        words = f"The data set is of another object, {own}; choose a model that finds it, then add its mask."
        raise gr.Error(words, duration=None, print_exception=False)
    try:
        picture = open_upload(stored.picture)
        return add_example(folder, name, picture, mask, uploaded_file(stored.picture), keep_all)
    except DataError as refusal:
        raise gr.Error(str(refusal), duration=None, print_exception=False) from None
    except OSError as error:
        logging.error(error)  # it may name a path, which visitors must not see
        words = "The picture cannot be added: the server's disk refuses it. Try again later."
        raise gr.Error(words, duration=None, print_exception=False) from None


def describe_collection(number: int, groups: int, object_name: str) -> str:
    """Says how many pictures were collected; each with the object is a group."""
    few = f"; training needs at least two with {one(object_name)}" if groups < TRAINABLE else ""
    return f"{number} {'picture' if number == 1 else 'pictures'} in your data set{few}"


def zip_own(collection: str | None) -> str:
    """Zips the visitor's own data set, replacing an earlier zip, and returns the zip's path.

    Raises:
        gr.Error: There is no data set, or it was deleted.
    """
    folder = Path(collection or "")
    if not collection or not (folder / "data").is_dir():
        words = "There are no collected pictures on the server any more; add them again."
        raise gr.Error(words, print_exception=False)
    extend_lifetime(str(folder / "data"))
    for earlier in folder.glob(f"*/*{ZIP_ENDING}"):
        earlier.unlink(missing_ok=True)
    name = in_file_name(collected_object(folder / "data"))
    path = Path(tempfile.mkdtemp(dir=folder)) / f"{name}{ZIP_ENDING}"
    zip_collection(folder / "data", path)
    return str(path)
