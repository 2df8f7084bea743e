"""Where a data set comes from, and one of its rows as a pair of arrays: grey picture, and mask or points."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import datasets
import numpy as np
from PIL import Image

from carmask.data.layout import NOT_JUDGED
from carmask.errors import DataError, PictureError, first_line, refused_as
from carmask.files.mask_levels import distinct, mask_levels
from carmask.files.mask_rule import NATIVE
from carmask.files.pictures import grey_rgb, open_picture, upright_rgb
from carmask.files.progress import progress
from carmask.files.refusals import DAMAGED

# Decoded pictures that the processes of a machine keep in memory; what does not fit is decoded again each time.
CACHE_BYTES = 3 * 2**30 // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))

TELLING_ERRORS = (ValueError, OSError, Image.DecompressionBombError)  # whose words say what is wrong with a row

# A grey picture uint8 (H, W), and its truth: a mask uint8 (H, W) of 0, 128 and 255, or points float64 (k, 2) as
# fractions of width and height, NaN where a dot is not in the picture.
Example = tuple[np.ndarray, np.ndarray]


def read_row(row: dict) -> Example:
    """One row as arrays.

    Raises:
        DataError: the picture or its truth is missing, the two sizes differ, or the mask has other values.
    """
    truth = "dots" if "dots" in row else "mask"
    if row["image"] is None or row[truth] is None:
        raise DataError(f"the picture or its {truth} is missing.")
    grey = np.array(grey_rgb(upright_rgb(row["image"])).getchannel(0))
    if truth == "dots":
        return grey, np.array(row["dots"], dtype=np.float64).reshape(-1, 2)
    mask = NATIVE.numbers(mask_levels(row["mask"]))
    if mask.shape != grey.shape:
        raise DataError(f"the picture has size {grey.shape} (height, width), its mask {mask.shape}.")
    strange = distinct(mask) - NATIVE.known
    if strange:
        values = ", ".join(map(str, sorted(strange)[:5]))
        raise DataError(f"the mask has the values {values}; only 0, 128 and 255 mean something here.")
    return grey, mask.astype(np.uint8)


def shows_something(truth: np.ndarray) -> bool:
    """Whether a mask has a pixel of a car, or any of the points is in the picture."""
    return len(places_to_find(truth)) > 0


def read_numbered(split: datasets.Dataset, index: int) -> Example:
    """Row `index` of a split as `read_row` gives it; whatever is wrong with it, the error names the row's file.

    Raises:
        DataError: the row cannot be used.
    """
    try:
        with refused_as(PictureError, DAMAGED, *TELLING_ERRORS):
            return read_row(split[index])
    except TELLING_ERRORS as error:
        where = f" of the split {split.split}" if split.split else ""
        raise DataError(f"{row_name(split, index)}{where} cannot be used: {first_line(error)}") from error


def row_name(split: datasets.Dataset, index: int) -> str:
    """What people know a row by: its number and, if its picture is a file, the file's name."""
    return row_names(split.select([index]), index)[0]


def row_names(split: datasets.Dataset, first: int = 0) -> list[str]:
    """The `row_name` of each row of a split, the first one being row number `first`."""
    if not isinstance(split.features["image"], datasets.Image):
        return [f"Row {index}" for index in range(first, first + len(split))]
    stored = split.select_columns("image").cast_column("image", datasets.Image(decode=False))
    files = [Path(path or "").name for path in stored.flatten()["image.path"]]
    return [f"Row {index} ({file})" if file else f"Row {index}" for index, file in enumerate(files, first)]


def check_split(split: datasets.Dataset) -> None:
    """Reads every row once, so that nothing wrong with it is left for the end of a long run.

    Raises:
        DataError: a row cannot be used, or no picture shows the object or a dot.
    """
    rows = progress(range(len(split)), "Checking")
    if not any([shows_something(read_numbered(split, index)[1]) for index in rows]):
        raise nothing_to_find(split)


def nothing_to_find(split: datasets.Dataset) -> DataError:
    """The refusal of a split whose pictures all show nothing."""
    wanted = "has a dot" if "dots" in split.column_names else "shows the object"
    where = f"the split {split.split}" if split.split else "the data set"
    return DataError(f"No picture of {where} {wanted}, so there is nothing to learn from it.")


def spread(split: datasets.Dataset, count: int) -> datasets.Dataset:
    """So many rows of a split, or all where it has fewer, evenly spread."""
    count = min(count, len(split))
    return split.select([index * len(split) // count for index in range(count)])


class KeptRows(Sequence[Example]):
    """Rows that are read once at first, so that bad ones are met before a step, and kept where memory allows."""

    def __init__(self, read: Callable[[int], Example], number: int, room: int, title: str):
        """Calls `read` for each of `number` rows and keeps `room` bytes; it may raise DataError."""
        self.read, self.number = read, number
        self.kept: dict[int, Example] = {}
        self.shows_something = False
        for index in progress(range(number), title):
            pair = read(index)
            self.shows_something = self.shows_something or shows_something(pair[1])
            room -= pair[0].nbytes + pair[1].nbytes
            if room > 0:
                self.kept[index] = pair

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]  # nobody takes a slice
        return self.kept[index] if index in self.kept else self.read(index)


def grey_rows(split: datasets.Dataset, longest: int) -> KeptRows:
    """The rows of a split as grey pictures and their truth.

    Args:
        split: rows with the columns image and mask or dots.
        longest: pictures with a longer side, in pixels, are kept at this size: crops show no more.

    Raises:
        DataError: a row cannot be used, or no picture shows the object or a dot.
    """
    split = split.select_columns(["image", "dots" if "dots" in split.column_names else "mask"])
    rows = KeptRows(partial(read_shrunk, split, longest), len(split), CACHE_BYTES, "Reading pictures")
    if not rows.shows_something:
        raise nothing_to_find(split)
    return rows


def read_shrunk(split: datasets.Dataset, longest: int, index: int) -> Example:
    """Row `index` of a split, no side longer than `longest`; DataError if it cannot be used."""
    return shrink(read_numbered(split, index), longest)


def shrink(pair: Example, longest: int) -> Example:
    """A row whose picture has no side longer than `longest` pixels."""
    grey, truth = pair
    scale = longest / max(grey.shape)
    if scale >= 1:
        return grey, truth
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))  # (width, height) for PIL
    small = Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
    if not is_mask(truth):
        return np.array(small), truth
    return np.array(small), np.array(Image.fromarray(truth).resize(size, Image.Resampling.NEAREST))


def unlabelled_rows(paths: list[Path], longest: int) -> KeptRows:
    """Pictures as rows whose masks are nowhere judged: for a teacher to label.

    Raises:
        DataError: one cannot be read.
    """
    return KeptRows(
        partial(read_unlabelled, paths, longest), len(paths), CACHE_BYTES // 3, "Reading unlabelled pictures"
    )


def read_unlabelled(paths: list[Path], longest: int, index: int) -> Example:
    """Picture `index`, no side longer than `longest`, with a mask that is nowhere judged; DataError if it is bad."""
    try:
        picture = open_picture(paths[index]).convert("L")
    except PictureError as error:
        raise DataError(f"{paths[index]}: {error}") from error
    picture.thumbnail((longest, longest), Image.Resampling.BILINEAR)
    return np.array(picture), np.broadcast_to(np.uint8(NOT_JUDGED), (picture.height, picture.width))


def is_mask(truth: np.ndarray) -> bool:
    """Whether a truth is a mask, not points."""
    return truth.dtype == np.uint8


def places_to_find(truth: np.ndarray) -> np.ndarray:
    """The numbers of the car's pixels in a mask, or of the points that are in the picture, int64 (k,)."""
    return np.flatnonzero(truth == 255 if is_mask(truth) else np.isfinite(truth[:, 0]))
