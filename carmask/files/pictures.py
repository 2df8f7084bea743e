"""Any picture file → one upright RGB picture, or a refusal in one sentence."""

import functools
import hashlib
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError

from carmask.errors import PictureError, refused_as
from carmask.files.flat_rgb import flat_rgb
from carmask.files.picture_limits import JPEG_FORMATS, MAX_FILE_BYTES, MAX_SIDE, MeteredFile, check_cost, check_parts
from carmask.files.refusals import DAMAGED, TOO_MANY_PIXELS, why_unidentified

FINER = 2  # how many times as large as the network sees it a JPEG is decoded at least

Size = tuple[int, int]
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")

UPRIGHT_TURNS: dict[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

SIDEWAYS = range(5, 9)  # the orientations that swap height and width


def open_picture(path: str | Path) -> Image.Image:
    """Opens a picture file by its content and returns its first frame as people see it.

    Returns:
        A new RGB picture, upright and without metadata.

    Raises:
        PictureError: The file is missing, too large, damaged, or not a picture in an accepted format.
    """
    return open_reduced(path, lambda size: size)[0]


def open_noted(file: Path | bytes, side: int = MAX_SIDE) -> Image.Image:
    """Opens a file or its content like `open_picture`; a refusal leaves one line in the log, without the file's name.

    What is to be shown at no more than `side` pixels a side is reduced to that, if it can be while it is decoded.

    Raises:
        PictureError: As for `open_picture`.
    """
    try:
        picture, _ = open_reduced(file, lambda size: _fitted(size, side))
        picture.thumbnail((side, side))
        return picture
    except PictureError as refusal:
        note_refusal(file, refusal)
        raise


def _fitted(size: Size, side: int) -> Size:
    scale = min(1, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def note_refusal(file: Path | bytes, reason: PictureError) -> None:
    """Logs a refused file: the hash of its first 20 MB, its format by its first bytes, its size, and the reason."""
    if isinstance(file, bytes):
        content, size = file[:MAX_FILE_BYTES], len(file)
    else:
        with file.open("rb") as opened_file:
            content, size = opened_file.read(MAX_FILE_BYTES), file.stat().st_size
    Image.init()
    kind = next(
        (name for name in FORMATS if (accepts := Image.OPEN[name][1]) and accepts(content[:16])), "unknown format"
    )
    digest = hashlib.sha256(content).hexdigest()
    logging.warning("Refused: %s, %s, %d bytes: %s", digest, kind, size, reason)


def open_reduced(file: str | Path | bytes, seen_size: Callable[[Size], Size]) -> tuple[Image.Image, Size]:
    """Opens a picture file like `open_picture`, but no finer than a network needs it: for JPEG, much faster.

    Args:
        file: its path or its content.
        seen_size: gives the size (height, width) at which the network sees an upright picture of a size.

    Returns:
        The picture, reduced by 2, 4, 8 or not at all, and its full size (height, width).

    Raises:
        PictureError: The file is missing, too large, damaged, or not a picture in an accepted format.
    """
    with opened(file) as picture:
        factor = _reduce(picture, seen_size) if picture.format in JPEG_FORMATS else 1
        picture.load()
        turn, flat = UPRIGHT_TURNS.get(orientation(picture)), flat_rgb(picture)
        picture.close()  # frees its pixels before another copy of them is made
        upright = flat if turn is None else flat.transpose(turn)
        return upright, (upright.height * factor, upright.width * factor)


@contextmanager
def opened(file: str | Path | bytes) -> Iterator[Image.Image]:
    """Gives the picture of a file or of its content, not decoded yet; whatever fails in the block is an error of it.

    Raises:
        PictureError: The file is missing, too large, damaged, or not a picture in an accepted format.
    """
    content = _content(file)
    with warnings.catch_warnings(), refused_as(PictureError, DAMAGED):
        warnings.simplefilter("ignore")  # a hostile file can put its own text into Pillow's warnings
        try:
            check_parts(content)
            metered = MeteredFile(content)
            with Image.open(metered, formats=_formats()) as picture:
                check_cost(picture, content)
                metered.widen()
                yield picture
        except Image.DecompressionBombError:
            raise PictureError(TOO_MANY_PIXELS) from None
        except UnidentifiedImageError:
            raise PictureError(why_unidentified(content)) from None


def _reduce(picture: Image.Image, seen_size: Callable[[Size], Size]) -> int:
    """Has a JPEG decoded smaller, by a factor that leaves no part of a pixel over; returns the factor."""
    sideways = orientation(picture) in SIDEWAYS
    height, width = picture.size if sideways else picture.size[::-1]
    seen_height, seen_width = seen_size((height, width))
    for factor in (8, 4, 2):
        fine = min(height / seen_height, width / seen_width) >= FINER * factor
        whole = height % factor == 0 and width % factor == 0
        if fine and whole and picture.draft(None, (picture.width // factor, picture.height // factor)):
            return factor
    return 1


def upright_rgb(picture: Image.Image) -> Image.Image:
    """Turns a picture upright by its EXIF orientation and makes it RGB, transparent parts over white.

    Grey values of more than 8 bits are scaled. The caller's picture stays as it is.

    Returns:
        A new RGB picture without metadata.

    Raises:
        PictureError: A float picture holds values that are not numbers.
    """
    picture.load()  # the orientation counts only now: Pillow itself turns compressed TIFF while loading
    turn, flat = UPRIGHT_TURNS.get(orientation(picture)), flat_rgb(picture)
    return flat if turn is None else flat.transpose(turn)


def grey_rgb(picture: Image.Image) -> Image.Image:
    """Repeats the luminance of an RGB picture over three channels: what every network sees, in training and in use."""
    return picture.convert("L").convert("RGB")


def _content(file: str | Path | bytes) -> bytes:
    try:
        if not isinstance(file, bytes) and not Path(file).is_file():
            raise OSError  # nothing, or a pipe or a device, which may never end
        if (len(file) if isinstance(file, bytes) else Path(file).stat().st_size) > MAX_FILE_BYTES:
            raise PictureError("This file is larger than 20 MB; make the picture smaller or save it as a JPEG.")
        content = file if isinstance(file, bytes) else Path(file).read_bytes()
    except OSError:
        raise PictureError("This file cannot be read; check that it exists and that you may open it.") from None
    if not content:
        raise PictureError("This file is empty; save the picture again and use that copy.")
    return content


@functools.cache
def _formats() -> tuple[str, ...]:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:  # an optional package: without it HEIC photos are refused with a hint
        return FORMATS
    register_heif_opener()
    return (*FORMATS, "HEIF")


def orientation(picture: Image.Image) -> int:
    """The EXIF orientation of a picture, 1 to 8; 1, upright, where it has none that can be read."""
    with suppress(PictureError), refused_as(PictureError, DAMAGED):  # broken EXIF says nothing about the pixels
        found = picture.getexif().get(ExifTags.Base.Orientation)
        return found if found in UPRIGHT_TURNS else 1
    return 1
