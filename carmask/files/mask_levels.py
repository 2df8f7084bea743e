"""A mask, a file or decoded, as numbers: whatever its mode, its palette or its channels."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from carmask.errors import PictureError, refused_as
from carmask.files.picture_limits import JPEG_FORMATS, MAX_PIXELS
from carmask.files.pictures import opened

MASK_ENDINGS = {".npy"}  # beside those of pictures
GREY = 0x010101  # a grey value times this is its colour
HALF = 128
NO_ARRAY = "This array cannot be read; save it again with numpy.save."
TINT = 32  # how far the channels of a grey may be apart, when a JPEG or a scanner has tinted it


@dataclass(frozen=True)
class Levels:
    """A mask as numbers (height, width), before anyone has said which of them is the object.

    Attributes:
        numbers: int32, of the `kind`: grey values or classes ("grey", or "float" if they were stored so), indices of a
            `palette`, values of the red channel alone ("red"), or colours 0xRRGGBB ("colour").
        palette: the colour of each index, int32 (n,), of transparent ones black.
        alpha: uint8 (height, width), where it is not the same all over.
        lossy: whether it was a JPEG.
        depth: the bytes in which a number is stored; where there are more than one, white may be 65535.
    """

    numbers: np.ndarray
    kind: str = "grey"
    palette: np.ndarray | None = None
    alpha: np.ndarray | None = None
    lossy: bool = False
    depth: int = 1

    @property
    def colours(self) -> np.ndarray:
        """What is to be seen, int32 (height, width) of 0xRRGGBB; nothing is black."""
        if self.palette is not None:
            return self.palette[self.numbers]
        if self.kind == "red":
            return self.numbers << 16
        return self.numbers if self.kind == "colour" else self.numbers.clip(0, 255) * GREY


class Values(NamedTuple):
    """What a mask holds, for `decide`."""

    kind: str
    numbers: frozenset[int]
    colours: frozenset[int]
    of_index: frozenset[tuple[int, int]]  # the colours of the indices that a palette's mask has
    opacity: int | None  # the highest alpha, 0 to 255; None without any
    name: str
    depth: int

    @property
    def has_alpha(self) -> bool:
        """Whether the mask has an alpha that is not the same all over."""
        return self.opacity is not None


def open_mask(file: Path | bytes) -> Levels:
    """Opens a mask, a picture's file or its content, or the file of an array of numpy; upright.

    Raises:
        PictureError: it cannot be decoded, or has several pages.
    """
    if isinstance(file, Path) and file.suffix.lower() == ".npy":
        with refused_as(PictureError, NO_ARRAY):
            return array_levels(load_array(file))
    with opened(file) as stored:
        lossy = stored.format in JPEG_FORMATS
        pages = getattr(stored, "n_frames", 1)  # only formats that may have more know the word
        if pages > 1 and not lossy:
            raise PictureError(f"It has {pages} pages; save the one that is the mask as a file of its own.")
        return replace(mask_levels(ImageOps.exif_transpose(stored)), lossy=lossy)


def load_array(path: Path) -> np.ndarray:
    """Reads an array of a file; PictureError if it is larger than any picture, other errors if there is none."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.size > 4 * MAX_PIXELS:
        raise PictureError("This array is larger than any picture; save a mask of height and width.")
    return np.asarray(array)


def mask_levels(mask: Image.Image) -> Levels:
    """The numbers of a decoded mask of any mode."""
    if mask.mode == "1":
        return Levels(np.asarray(mask).astype(np.int32) * 255)
    if mask.mode in ("L", "F") or mask.mode.startswith("I"):
        return array_levels(np.asarray(mask))
    alpha = alpha_of(mask) if mask.has_transparency_data else None
    if mask.mode == "P":
        return Levels(np.asarray(mask).astype(np.int32), "palette", palette_of(mask), alpha)
    colours = np.asarray(mask.convert("RGB"))
    if alpha is not None:
        colours = np.where(alpha[..., None] >= HALF, colours, 0)
    return replace(colour_levels(colours), alpha=alpha)


def alpha_of(mask: Image.Image) -> np.ndarray | None:
    """The alpha of a picture, uint8 (height, width); None where it is the same all over and not nothing."""
    shown = mask.convert("LA") if mask.mode == "La" else mask
    alpha = np.asarray(shown.convert("RGBA").getchannel("A"))
    return None if alpha.min() == alpha.max() != 0 else alpha


def palette_of(mask: Image.Image) -> np.ndarray:
    """The colour 0xRRGGBB of each index, int32 (256,); transparent ones are black."""
    indices = Image.fromarray(np.arange(256, dtype=np.uint8)[None], "P")
    indices.putpalette(mask.getpalette("RGB") or [])
    red, green, blue = np.asarray(indices.convert("RGB"))[0].astype(np.int32).T
    colours = red << 16 | green << 8 | blue
    clear = mask.info.get("transparency")
    if isinstance(clear, bytes):
        colours[: len(clear)][np.frombuffer(clear, np.uint8)[:256] < HALF] = 0
    elif isinstance(clear, int) and 0 <= clear < 256:
        colours[clear] = 0
    return colours


def colour_levels(colours: np.ndarray) -> Levels:
    """The numbers of colours, uint8 (height, width, 3), which may be greys or lie in the red channel alone."""
    red, green, blue = np.moveaxis(colours.astype(np.int32), 2, 0)
    if (red == green).all() and (green == blue).all():
        return Levels(red)
    if not green.any() and not blue.any():
        return Levels(red, "red")
    return Levels(red << 16 | green << 8 | blue, "colour")


def array_levels(array: np.ndarray) -> Levels:
    """The numbers of an array (height, width), also with one, three or four channels in front or behind.

    Floats with fractions of 1 count in 255ths; whole ones are what they are.

    Raises:
        PictureError: it has another shape, or what it holds are no numbers.
    """
    if array.ndim == 3 and 1 in (array.shape[0], array.shape[2]):
        array = array[0] if array.shape[0] == 1 else array[..., 0]
    if array.ndim == 3 and array.shape[2] not in (3, 4) and array.shape[0] in (3, 4):
        array = np.moveaxis(array, 0, 2)
    if array.ndim == 3 and array.shape[2] in (3, 4) and array.dtype == np.uint8:
        return mask_levels(Image.fromarray(np.ascontiguousarray(array)))
    if array.ndim != 2 or array.dtype.kind not in "buif" or not array.size:
        raise PictureError(f"This array has the shape {array.shape}; a mask has height and width, and numbers.")
    if array.dtype.kind == "b":
        return Levels(array.astype(np.int32) * 255)
    kind, depth = "grey", array.dtype.itemsize
    if array.dtype.kind == "f":
        array, kind = array.astype(np.float64), "float"
        if not np.isfinite(array).all():
            raise PictureError("This mask holds values that are not numbers; save it as 8-bit PNG.")
        if array.min() >= 0 and array.max() <= 1 and (array != np.rint(array)).any():
            array, kind, depth = array * 255, "grey", 1
    if array.min() < -(2**31) or array.max() >= 2**31:
        raise PictureError("This mask holds numbers beyond 32 bits; save it as 8-bit PNG.")
    return Levels(np.rint(array).astype(np.int32), kind, depth=depth)


def white_of(top: int, is_float: bool) -> int:
    """What white is in masks of more than 8 bits whose highest number is `top`: 1, 255 or 65535."""
    return 1 if is_float and top <= 1 else 255 if top <= 255 else 65535


def brightness(levels: Levels, white: int | None = None) -> np.ndarray:
    """How bright a mask is, float (height, width) in 0 to 1: by its alpha, its colours, or the depth of its file.

    Args:
        levels: of the mask.
        white: that of the set's masks of more than 8 bits; by default that of this one.

    Raises:
        PictureError: it has colours, which are more than bright or dark.
    """
    if levels.alpha is not None:
        return levels.alpha / 255
    if levels.kind in ("palette", "colour"):
        channels = np.stack([levels.colours >> shift & 255 for shift in (16, 8, 0)])
        if (np.ptp(channels, axis=0) > TINT).any():
            raise PictureError(
                "it has colours, and a threshold is for grey: see that pictures and masks have not changed places, or "
                "export it as PNG and name the colour with --object-colour"
            )
        return channels.mean(axis=0) / 255
    if levels.depth == 1:
        return levels.numbers / 255
    return levels.numbers / (white or white_of(int(levels.numbers.max()), levels.kind == "float"))


def distinct(numbers: np.ndarray) -> frozenset[int]:
    """The numbers that occur in an array."""
    if numbers.min() >= 0 and numbers.max() < 2**16:  # much faster than sorting
        return frozenset(np.flatnonzero(np.bincount(numbers.ravel())).tolist())
    return frozenset(np.unique(numbers).tolist())


def values_of(levels: Levels, name: str = "") -> Values:
    """What a mask holds, for `decide`; `name` is that of its file."""
    numbers = distinct(levels.numbers)
    colours = distinct(levels.colours)
    of_index = [(index, int(levels.palette[index])) for index in numbers] if levels.palette is not None else []
    opacity = None if levels.alpha is None else int(levels.alpha.max())
    return Values(levels.kind, numbers, colours, frozenset(of_index), opacity, name, levels.depth)


def whites(masks: list[Values]) -> dict[tuple[str, int], int]:
    """What white is in the masks of more than 8 bits, by their kind and depth."""
    tops: dict[tuple[str, int], int] = {}
    for mask in masks:
        if mask.depth > 1:
            kind = mask.kind, mask.depth
            tops[kind] = max(tops.get(kind, 0), *mask.numbers)
    return {kind: white_of(top, kind[0] == "float") for kind, top in tops.items()}
