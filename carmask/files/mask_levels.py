"""A mask, a file or decoded, as numbers: whatever its mode, its palette or its channels."""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from carmask.errors import PictureError
from carmask.files.pictures import JPEG_FORMATS, MAX_PIXELS, opened

MASK_ENDINGS = {".npy"}  # beside those of pictures
MOST_SHAPES = 8  # indices of a palette beside the transparent one that may be classes; more are a cut-out's colours
GREY = 0x010101  # a grey value times this is its colour
HALF = 128


class Levels(NamedTuple):
    """A mask as int32 numbers (height, width), before anyone has said which of them is the object.

    They are grey values or palette indices, values of the red channel alone, colours 0xRRGGBB, or the alpha of a
    cut-out.
    """

    numbers: np.ndarray
    kind: Literal["grey", "red", "colour", "alpha"] = "grey"
    lossy: bool = False

    @property
    def colours(self) -> np.ndarray:
        """The numbers as colours 0xRRGGBB."""
        if self.kind == "red":
            return self.numbers << 16
        return self.numbers if self.kind == "colour" else self.numbers.clip(0, 255) * GREY

    @property
    def brightness(self) -> np.ndarray:
        """The numbers; of colours, which lossy files give to greys, the mean of their channels."""
        if self.kind != "colour":
            return self.numbers
        return ((self.numbers >> 16) + (self.numbers >> 8 & 255) + (self.numbers & 255)) // 3

    @property
    def hard(self) -> "Levels":
        """The same without an alpha between 0 and 255: half of it counts as all."""
        return self._replace(numbers=(self.numbers >= HALF) * np.int32(255)) if self.kind == "alpha" else self


def open_mask(file: Path | bytes) -> Levels:
    """Opens a mask, a picture's file or its content, or the file of an array of numpy; upright.

    Raises:
        PictureError: it cannot be decoded.
    """
    if isinstance(file, Path) and file.suffix.lower() == ".npy":
        return array_levels(load_array(file))
    with opened(file) as stored:
        lossy = stored.format in JPEG_FORMATS
        return mask_levels(ImageOps.exif_transpose(stored))._replace(lossy=lossy)


def load_array(path: Path) -> np.ndarray:
    """Reads an array of a file; PictureError if there is none, or a larger one than any picture."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TypeError) as error:
        raise PictureError("This array cannot be read; save it again with numpy.save.") from error
    if array.size > 4 * MAX_PIXELS or not 2 <= array.ndim <= 3:
        raise PictureError(f"This array has the shape {array.shape}; a mask has height and width.")
    return np.asarray(array)


def mask_levels(mask: Image.Image) -> Levels:
    """The numbers of a decoded mask of any mode."""
    if mask.mode == "1":
        return Levels(np.asarray(mask).astype(np.int32) * 255)
    if mask.mode in ("L", "F") or mask.mode.startswith("I"):
        return array_levels(np.asarray(mask))
    if mask.has_transparency_data and is_cut_out(mask):
        return Levels(alpha_of(mask).astype(np.int32), "alpha")
    if mask.mode == "P":
        indices = np.asarray(mask).astype(np.int32)
        greys = grey_palette(mask, indices)
        return Levels(indices if greys is None else greys[indices])
    return colour_levels(np.asarray(mask.convert("RGB")))


def is_cut_out(mask: Image.Image) -> bool:
    """Whether the alpha of a mask tells the object from the rest, not its colours."""
    alpha = alpha_of(mask)
    if alpha.min() == alpha.max() != 0:
        return False
    if mask.mode != "P":
        return True
    opaque = len(np.unique(np.asarray(mask)[alpha >= HALF]))
    return opaque <= 1 or opaque > MOST_SHAPES


def alpha_of(mask: Image.Image) -> np.ndarray:
    """The alpha of a picture that has one, uint8 (height, width)."""
    return np.asarray((mask.convert("LA") if mask.mode == "La" else mask).convert("RGBA").getchannel("A"))


def grey_palette(mask: Image.Image, indices: np.ndarray) -> np.ndarray | None:
    """The grey value of each index, int32 (n,), if the palette is of greys: of black and white, or of a soft mask.

    Elsewhere the indices count: class 7 of VOC is index 7, not its grey of 128.
    """
    colours = np.array(mask.getpalette("RGB") or [], np.int32).reshape(-1, 3)
    used = np.unique(indices)
    if (colours != colours[:, :1]).any() or used[-1] >= len(colours):
        return None
    greys, shades = colours[:, 0], set(colours[used, 0].tolist())
    is_grey = len(shades) == len(used) and (shades <= {0, 255} or len(used) > MOST_SHAPES)
    return greys if is_grey else None


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

    Floats from 0 to 1 count in 255ths.

    Raises:
        PictureError: it has another shape, or what it holds are no numbers.
    """
    if array.ndim == 3 and 1 in (array.shape[0], array.shape[2]):
        array = array[0] if array.shape[0] == 1 else array[..., 0]
    if array.ndim == 3 and array.shape[2] in (3, 4) and array.dtype == np.uint8:
        return mask_levels(Image.fromarray(array))
    if array.ndim != 2 or array.dtype.kind not in "buif" or not array.size:
        raise PictureError(f"This array has the shape {array.shape}; a mask has height and width, and numbers.")
    if array.dtype.kind == "b":
        return Levels(array.astype(np.int32) * 255)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise PictureError("This mask holds values that are not numbers; save it as 8-bit PNG.")
        array = np.rint(array * (255 if array.min() >= 0 and array.max() <= 1 else 1))
    if array.min() < -(2**31) or array.max() >= 2**31:
        raise PictureError("This mask holds numbers beyond 32 bits; save it as 8-bit PNG.")
    return Levels(array.astype(np.int32))


def distinct(numbers: np.ndarray) -> frozenset[int]:
    """The numbers that occur in an array."""
    if numbers.min() >= 0 and numbers.max() < 2**16:  # much faster than sorting
        return frozenset(np.flatnonzero(np.bincount(numbers.ravel())).tolist())
    return frozenset(np.unique(numbers).tolist())
