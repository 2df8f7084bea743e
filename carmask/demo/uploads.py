"""Files of the browser demo: uploads, which are never trusted, and the answers to download."""

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
from carmask.files.picture_limits import MAX_SIDE
from carmask.files.pictures import open_noted

UPLOADS_PREFIX, UPLOADS_LOCK = "carmask-", "lock"

LIFETIME_SECONDS = 600
SWEEP_SECONDS = 60
MAX_STORED_BYTES = 2 * 2**30  # of uploads and answers together
GONE = "This picture is no longer on the server; upload it again."
EMPTY_LINE = "Upload, paste or take a picture, or try one of the examples."
REFUSED_LINE = "There is no answer; the message says why."
VIEW_SIDE = 1600  # pixels of the longest side of a view, such as an overlay
IMAGE: dict[str, Any] = {"height": 420, "buttons": ["fullscreen"], "format": "png"}
PRIVATE: dict[str, Any] = {"preprocess": False, "api_visibility": "private"}

Upload = dict[str, Any]


@contextlib.contextmanager
def upload_folder() -> Iterator[str]:
    """Creates a folder for uploads and answers, and deletes it at the end.

    Folders left behind by killed programs are deleted first: nobody holds their locks.
    """
    for lock in Path(tempfile.gettempdir()).glob(f"{UPLOADS_PREFIX}*/{UPLOADS_LOCK}"):
        with contextlib.suppress(Timeout, OSError), FileLock(lock, timeout=0):
            shutil.rmtree(lock.parent)
    with tempfile.TemporaryDirectory(prefix=UPLOADS_PREFIX) as folder, FileLock(Path(folder) / UPLOADS_LOCK):
        yield folder


def stored_bytes() -> int:
    """How much the upload folder holds: uploads, those that are on their way too, answers and visitors' data sets."""
    total = 0
    for folder, _, names in os.walk(get_upload_folder()):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                total += os.stat(os.path.join(folder, name)).st_size
    return total


def uploaded_file(upload: Upload | None) -> Path:
    """Returns the path of an uploaded file, whose use this is; only those in the upload folder are ever opened.

    Raises:
        gr.Error: There is no upload, or its path is not in the upload folder.
    """
    if not upload:
        raise gr.Error("Choose a picture first.", print_exception=False)
    path = Path(upload["path"] or "").resolve()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()) or not path.is_file():
        raise gr.Error(GONE, print_exception=False)
    extend_lifetime(str(path))
    return path


def open_upload(upload: Upload | None, side: int = MAX_SIDE) -> Image.Image:
    """Opens an uploaded picture, upright, RGB and of at most `side` pixels a side, and deletes expired files.

    Raises:
        gr.Error: There is no picture, or it is refused; the message says why.
    """
    path = uploaded_file(upload)
    sweep()
    try:
        return open_noted(path, side)
    except PictureError as refusal:
        raise gr.Error(str(refusal), duration=None, print_exception=False) from None


def original_name(upload: dict[str, Any]) -> str:
    """The name of an uploaded file on the visitor's disk, without folders and without lone surrogates."""
    name = re.split(r"[/\\]", upload.get("orig_name") or upload["path"])[-1]
    return name.encode(errors="replace").decode()


def safe_stem(upload: dict[str, Any]) -> str:
    """The original file name without its suffix, reduced to harmless characters."""
    return re.sub(r"[^\w-]+", "_", Path(original_name(upload)).stem)[:50].strip("_") or "picture"


def path_for_page(upload: dict[str, Any], ending: str) -> Path:
    """Returns the path of a new file, named after the upload plus `ending`, such as _mask.png."""
    return Path(tempfile.mkdtemp(dir=get_upload_folder())) / f"{safe_stem(upload)}{ending}"


def save_for_page(picture: Image.Image, upload: dict[str, Any], ending: str) -> str:
    """Saves a picture as PNG, named after the upload plus `ending`, and returns its path."""
    path = path_for_page(upload, f"{ending}.png")
    picture.save(path, compress_level=1)
    return str(path)


def store_maps(maps: np.ndarray, upload: dict[str, Any]) -> str:
    """Saves a network's maps for an upload, to live as long as the upload, and returns the file."""
    path = path_for_page(upload, "_maps.npy")
    np.save(path, maps)
    return str(path)


def load_maps(path: str) -> np.ndarray:
    """Loads what `store_maps` saved, a use of it.

    Raises:
        gr.Error: It was deleted, as all uploads are some minutes after their last use.
    """
    extend_lifetime(path)
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise gr.Error(GONE, print_exception=False) from None


def extend_lifetime(*paths: str) -> None:
    """Restarts the time after which these files and their folders are deleted."""
    for path in paths:
        for one in (Path(path), Path(path).parent):
            with contextlib.suppress(OSError):
                os.utime(one)


def sweep() -> None:
    """Deletes the expired files that gradio leaves behind: aborted uploads, old answers and stored maps."""
    for path in Path(get_upload_folder()).glob("tmp*"):
        with contextlib.suppress(OSError):  # gradio deletes by the clock as well, and some systems no file in use
            if time.time() - path.stat().st_mtime > LIFETIME_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def sweep_periodically() -> None:
    """Sweeps every minute until the program ends, whether or not anybody visits."""
    while True:
        time.sleep(SWEEP_SECONDS)
        sweep()
