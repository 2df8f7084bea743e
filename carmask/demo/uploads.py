"""Files of the browser demo: what a person uploaded, opened with care, and what the page gives back."""

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from filelock import FileLock, Timeout
from gradio.utils import get_upload_folder
from PIL import Image

from carmask.errors import PictureError
from carmask.files.pictures import open_noted

FOLDER, LOCK = "carmask-", "lock"

KEPT_SECONDS = 600

SWEEP_SECONDS = 60

GONE = "This picture is no longer on the server; upload it again."

EMPTY_LINE = "Upload, paste or take a picture, or try one of the examples."

REFUSED_LINE = "There is no answer; the message says why."

IMAGE = {"height": 420, "buttons": ["fullscreen"], "format": "png"}

PRIVATE = {"preprocess": False, "api_visibility": "private"}


@contextlib.contextmanager
def upload_folder() -> Iterator[str]:
    """Gives a new folder for uploads and answers, which is deleted in the end.

    Those of programs that were killed before they could do so are deleted first: their locks are free.
    """
    for lock in Path(tempfile.gettempdir()).glob(f"{FOLDER}*/{LOCK}"):
        with contextlib.suppress(Timeout, OSError), FileLock(lock, timeout=0):
            shutil.rmtree(lock.parent)
    with tempfile.TemporaryDirectory(prefix=FOLDER) as folder, FileLock(Path(folder) / LOCK):
        yield folder


def uploaded_file(upload: dict[str, Any] | None) -> Path:
    """Returns the path of an uploaded file; only files that lie in the upload folder are ever opened.

    Raises:
        gr.Error: There is no upload, or it names anything else.
    """
    if not upload:
        raise gr.Error("Choose a picture first.", print_exception=False)
    path = Path(upload["path"] or "").resolve()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()) or not path.is_file():
        raise gr.Error(GONE, print_exception=False)
    return path


def open_upload(upload: dict[str, Any] | None) -> Image.Image:
    """Opens an uploaded picture, upright and RGB, and sweeps away what is old.

    Raises:
        gr.Error: There is none, or it is refused; the text says why.
    """
    path = uploaded_file(upload)
    sweep()
    try:
        return open_noted(path)
    except PictureError as refusal:
        raise gr.Error(str(refusal), duration=None, print_exception=False) from None


def given_name(upload: dict[str, Any]) -> str:
    """The person's own name of an uploaded file, without folders and without halves of characters."""
    name = re.split(r"[/\\]", upload.get("orig_name") or upload["path"])[-1]
    return name.encode(errors="replace").decode()


def own_stem(upload: dict[str, Any]) -> str:
    """Returns the person's own file name, without its ending and made harmless."""
    return re.sub(r"[^\w-]+", "_", Path(given_name(upload)).stem)[:50].strip("_") or "picture"


def path_for_page(upload: dict[str, Any], ending: str) -> Path:
    """Returns a path for a new file under the person's own file name, with `ending` such as _mask.png."""
    return Path(tempfile.mkdtemp(dir=get_upload_folder())) / f"{own_stem(upload)}{ending}"


def save_for_page(picture: Image.Image, upload: dict[str, Any], ending: str) -> str:
    """Saves a picture as PNG under the person's own file name plus `ending`, and returns its path."""
    path = path_for_page(upload, f"{ending}.png")
    picture.save(path, compress_level=1)
    return str(path)


def keep_maps(maps: np.ndarray, upload: dict[str, Any]) -> str:
    """Keeps what the network said of an upload for as long as the upload itself, and returns the file."""
    path = path_for_page(upload, "_maps.npy")
    np.save(path, maps)
    return str(path)


def kept_maps(path: str) -> np.ndarray:
    """Returns what `keep_maps` kept.

    Raises:
        gr.Error: It was deleted, as every upload is after a while.
    """
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise gr.Error(GONE, print_exception=False) from None


def keep_longer(*paths: str) -> None:
    """Begins anew the time after which these files and the folders they lie in are deleted."""
    for path in paths:
        for one in (Path(path), Path(path).parent):
            with contextlib.suppress(FileNotFoundError):
                os.utime(one)


def sweep() -> None:
    """Deletes what gradio leaves behind: aborted uploads, answers that nobody can reach any more, and kept maps."""
    for path in Path(get_upload_folder()).glob("tmp*"):
        with contextlib.suppress(FileNotFoundError):  # gradio deletes by the clock as well
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def sweep_by_the_clock() -> None:
    """Sweeps every minute, also when nobody comes, for as long as the program runs."""
    while True:
        time.sleep(SWEEP_SECONDS)
        sweep()
