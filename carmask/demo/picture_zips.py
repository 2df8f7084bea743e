"""The pictures of a batch, from uploads or an untrusted zip: opened one at a time, and refused with one sentence."""

import re
import stat
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from unicodedata import normalize
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import gradio as gr
import numpy as np
from PIL import Image

from carmask.demo.uploads import Upload, original_name, uploaded_file
from carmask.errors import PictureError
from carmask.files.picture_limits import MAX_FILE_BYTES
from carmask.files.pictures import note_refusal, open_noted
from carmask.files.refusals import DAMAGED

MAX_PICTURES = 100
MAX_BYTES = 200 * 2**20  # of all pictures together, compressed and uncompressed
MAX_DIRECTORY_BYTES = 2**20  # of a zip's central directory, which is read as a whole
MAX_NAME = 250  # characters
ENCRYPTED = 1  # bit of a file's flags
ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")

ZIP64_LOCATOR, ZIP64_LOCATOR_BYTES = b"PK\x06\x07", 20  # ZIP64: the central directory is elsewhere

END_OF_DIRECTORY = struct.Struct("<4s4H2LH")
ZIP_ERRORS = (BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, ValueError, struct.error, zlib.error)
TOO_MANY = f"These are more than {MAX_PICTURES} pictures; give fewer at a time."
TOO_LARGE = f"These pictures are larger than {MAX_BYTES >> 20} MB together; give fewer at a time."
MIXED = "These are several zips, or a zip among pictures; give pictures alone or one zip alone."
DAMAGED_ZIP = "This zip is damaged or of an unusual kind; make it again with ordinary settings."
EMPTY_ZIP = "There is no picture in this zip; give one with pictures."
NO_NAME = "This file's name is too long or leads out of its folder; give it a plain name."
LINK = "This is a link to another file; put the picture itself into the zip."
LOCKED = "This file is encrypted; make the zip again without a password."
PACKED = "This file is packed in an unusual way; make the zip again with ordinary settings."
NESTED = "This is a zip inside a zip; unpack it first and put its pictures into one zip."


class BatchPicture(NamedTuple):
    """One picture of a batch: its name, with sub-folders, and a function that opens it or raises PictureError.

    Where the network has seen it already, `margin` is what it found.
    """

    name: str
    open: Callable[[], Image.Image]
    margin: np.ndarray | None = None


@contextmanager
def opened_batch(uploads: Sequence[Upload] | None) -> Iterator[list[BatchPicture]]:
    """Lists the uploaded pictures, or those in the one uploaded zip, which stays open inside the block.

    Raises:
        gr.Error: There are none, or the batch is refused as a whole.
    """
    paths = [uploaded_file(upload) for upload in uploads or []] or [uploaded_file(None)]
    try:
        if sum(path.stat().st_size for path in paths) > MAX_BYTES:
            raise PictureError(TOO_LARGE)
        if not any(map(is_zip, paths)):
            if len(paths) > MAX_PICTURES:
                raise PictureError(TOO_MANY)
            named = zip(map(original_name, uploads or []), paths, strict=True)
            yield [BatchPicture(name, partial(open_noted, path)) for name, path in named]
        elif len(paths) > 1:
            raise PictureError(MIXED)
        else:
            with open_zip(paths[0]) as archive:
                opened = partial(open_zipped, archive)
                yield [BatchPicture(info.filename, partial(opened, info)) for info in zipped_pictures(archive)]
    except PictureError as refusal:
        note_refusal(paths[0], refusal)
        raise gr.Error(str(refusal), duration=None, print_exception=False) from None


def is_zip(path: Path) -> bool:
    """Whether a file starts like a zip; a picture with a zip appended is a picture."""
    with open(path, "rb") as file:
        return file.read(4) in ZIP_SIGNATURES


def open_zip(path: Path) -> ZipFile:
    """Opens a zip after checking the size of its central directory.

    Raises:
        PictureError: It is refused as a whole.
    """
    try:
        _check_directory_size(path)
        return ZipFile(path)
    except PictureError:
        raise
    except ZIP_ERRORS:
        raise PictureError(DAMAGED_ZIP) from None


def _check_directory_size(path: Path) -> None:
    """Checks the size of the central directory first: reading millions of entries would take all memory."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 2**16 - END_OF_DIRECTORY.size - ZIP64_LOCATOR_BYTES))
        tail = file.read()
    at = tail.rfind(ZIP_SIGNATURES[1])
    if at < 0 or tail[max(0, at - ZIP64_LOCATOR_BYTES) :].startswith(ZIP64_LOCATOR):
        raise BadZipFile
    if END_OF_DIRECTORY.unpack_from(tail, at)[5] > MAX_DIRECTORY_BYTES:
        raise PictureError(TOO_MANY)


def zipped_pictures(archive: ZipFile) -> list[ZipInfo]:
    """Lists the files of a zip, without hidden ones.

    Raises:
        PictureError: There are none or too many, or they are too large when unpacked.
    """
    files = [info for info in archive.infolist() if not info.is_dir() and not _is_hidden(info.filename)]
    if not files:
        raise PictureError(EMPTY_ZIP)
    if len(files) > MAX_PICTURES:
        raise PictureError(TOO_MANY)
    if sum(info.file_size for info in files) > MAX_BYTES:  # zipfile reads no file beyond its declared size
        raise PictureError(TOO_LARGE)
    return files


def _is_hidden(name: str) -> bool:
    return any(part == "__MACOSX" or (part.startswith(".") and part != "..") for part in PurePosixPath(name).parts)


def open_zipped(archive: ZipFile, info: ZipInfo) -> Image.Image:
    """Opens one picture of a zip, as `open_picture` does.

    Raises:
        PictureError: It is refused as a picture, or for how it is stored in the zip.
    """
    if stat.S_ISLNK(info.external_attr >> 16):
        raise PictureError(LINK)
    if info.flag_bits & ENCRYPTED:
        raise PictureError(LOCKED)
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):  # other methods may need gigabytes of memory
        raise PictureError(PACKED)
    try:
        with archive.open(info) as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except ZIP_ERRORS:
        raise PictureError(DAMAGED) from None
    if content.startswith(ZIP_SIGNATURES):
        raise PictureError(NESTED)
    return open_noted(content)


def is_taken(name: str, others: Iterable[str]) -> bool:
    """Whether unpacking a file `name` beside `others` would replace one, or find a file where its folder must be.

    Some systems tell names apart neither by their letters' case nor by their Unicode normal form.
    """

    def parts(path: str) -> list[str]:
        return normalize("NFC", normalize("NFC", path).casefold()).split("/")

    own = parts(name)
    return any(own[: len(other)] == other[: len(own)] for other in map(parts, others))


def mask_name(name: str) -> str:
    """The name of a picture's mask in the zip of masks: NAME_mask.png in the picture's sub-folder.

    Raises:
        PictureError: The name leads out of the zip's folder, or is too long.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    leads_out = path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", name)
    if leads_out or not path.name or len(name) > MAX_NAME:
        raise PictureError(NO_NAME)
    return re.sub(r'[\x00-\x1f\x7f:*?"<>|]', "_", str(path.with_name(f"{path.stem}_mask.png")))
