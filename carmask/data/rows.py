"""Where a data set comes from, and one of its rows as a pair of arrays: grey picture, and mask or points."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import datasets
import numpy as np
from PIL import Image
from tqdm import tqdm

from carmask.data.card import NOT_JUDGED
from carmask.data.folder import DataError
from carmask.data.importing import find_pictures
from carmask.data.streams import is_stream, to_stream, to_table
from carmask.files.pictures import DECODE_ERRORS, PictureError, grey_rgb, open_picture, upright_rgb
from carmask.training.examples import Pair, is_mask, places_to_find

CACHE_BYTES = 3 * 2**30  # decoded pictures kept in memory; what does not fit is decoded again each time

MASK_VALUES = {0, 128, 255}

FILE_COLUMNS = {"file_name": "image", "mask_file_name": "mask"}


def open_data(data: str, truth: str = "mask", streaming: bool = False) -> datasets.DatasetDict:
    """Opens a data set to train on, as `open_splits` does.

    Returns:
        At least the splits "train" and "validation"; a missing validation split is a tenth of train, by group.

    Raises:
        DataError: there is no such data, or it has no pictures with that truth.
    """
    splits = open_splits(data, truth, streaming)
    if "train" not in splits:
        raise DataError(f"The data set {data} has no split named train; it has {', '.join(splits)}.")
    if streaming and "validation" not in splits:
        raise DataError(f"The data set {data} has no split named validation, and none can be set aside of a stream.")
    return splits if "validation" in splits else split_off_validation(splits)


def open_splits(data: str, truth: str = "mask", streaming: bool = False) -> datasets.DatasetDict:
    """Opens a folder of the project's layout, a `save_to_disk` folder, one of parquet files, or a data set of the Hub.

    With `streaming` the split "train" is a `datasets.IterableDataset`; the pictures of the others are fetched.

    Returns:
        The splits that are not empty, with the columns image and `truth` ("mask" or "dots") and without the truth of
        the other task.

    Raises:
        DataError: there is no such data, or it has no pictures with that truth.
    """
    try:
        splits = load_splits(data, streaming)
        if streaming:
            splits = {name: to_stream(split) if name == "train" else to_table(split) for name, split in splits.items()}
    except DataError:
        raise
    except (OSError, ValueError, LookupError, TypeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"The data set {data} cannot be opened: {first_line(error)}") from error
    splits = datasets.DatasetDict({name: split for name, split in splits.items() if is_stream(split) or len(split)})
    if not splits:
        raise DataError(f"The data set {data} has no pictures.")
    for name, split in splits.items():
        missing = {"image", truth} - set(split.column_names)
        if missing:
            raise DataError(f"The split {name} of {data} has no column {' and '.join(sorted(missing))}; add it.")
        other = {"mask", "dots"} & set(split.column_names) - {truth}
        splits[name] = split.remove_columns(other) if other else split
    return splits


def choose_split(splits: datasets.DatasetDict, data: str, name: str | None) -> tuple[str, datasets.Dataset]:
    """The split of `data` to measure on, and its name: the one given, or test, or validation.

    Raises:
        DataError: there is no such split.
    """
    name = name or ("test" if "test" in splits else "validation")
    if name not in splits:
        raise DataError(f"The data set {data} has no split {name}; it has {', '.join(splits)}.")
    return name, splits[name]


def load_splits(data: str, streaming: bool = False) -> datasets.DatasetDict | datasets.IterableDatasetDict:
    """Finds out what `data` is, and loads it."""
    folder = Path(data)
    if (folder / "dataset_dict.json").is_file():
        return datasets.load_from_disk(data)
    if (folder / "state.json").is_file():  # one split alone, saved
        return datasets.DatasetDict({"train": datasets.load_from_disk(data)})
    if folder.is_dir():
        parquet = next(folder.rglob("*.parquet"), None)
        return datasets.load_dataset(data, streaming=streaming) if parquet else load_folder(folder)
    if data.startswith((".", "/", "~")) or data.count("/") != 1:
        raise DataError(f"There is no folder {data}; make one with a program of data_scripts/.")
    try:
        return datasets.load_dataset(data, streaming=streaming)
    except (OSError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"There is no folder {data}, and the Hub cannot be reached or has no such data set."
        ) from error


def first_line(error: Exception) -> str:
    """The first line of a library's words, as the end of a sentence of ours."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".") + "."


def load_folder(folder: Path) -> datasets.DatasetDict:
    """Opens a folder of the project's layout.

    The stock loader guesses each column's type and refuses a split where a column holds nothing but nulls.

    Raises:
        DataError: no metadata.jsonl for training, or one that is damaged or names missing files.
    """
    tables = [folder / name / "metadata.jsonl" for name in ("train", "validation", "test")]
    tables = [table for table in tables if table.is_file()]
    if not tables:
        raise DataError(f"The folder {folder} has no train/metadata.jsonl; make a data set with data_scripts/.")
    return datasets.DatasetDict({table.parent.name: load_table(table) for table in tables})


def load_table(table: Path) -> datasets.Dataset:
    """Opens the split that a metadata.jsonl lists: `file_name` becomes image and `mask_file_name` mask.

    Raises:
        DataError: it is damaged, or names files that are missing.
    """
    try:
        rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
        columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(key for row in rows for key in row)}
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{table} is no list of rows in JSON; make the data set anew.") from error
    files = {column: columns.pop(key) for key, column in FILE_COLUMNS.items() if key in columns}
    missing = [name for names in files.values() for name in names if name and not (table.parent / name).is_file()]
    if missing:
        raise DataError(f"{table} names {len(missing)} files that are missing, the first is {missing[0]}.")
    paths = {column: [name and str(table.parent / name) for name in names] for column, names in files.items()}
    split = datasets.Dataset.from_dict(paths | columns, split=datasets.NamedSplit(table.parent.name))
    for column in files:
        split = split.cast_column(column, datasets.Image())
    return split


def split_off_validation(splits: datasets.DatasetDict) -> datasets.DatasetDict:
    """Sets a tenth of train aside as validation, whole groups at a time where groups are given."""
    train = splits["train"]
    groups = train["group"] if "group" in train.column_names else range(len(train))
    order = np.random.default_rng(0).permutation(sorted(set(groups)))
    aside = set(order[: max(1, len(order) // 10)].tolist())
    chosen = [index for index, group in enumerate(groups) if group in aside]
    rest = [index for index, group in enumerate(groups) if group not in aside]
    if not rest:
        raise DataError("The data set is too small to set pictures aside for validation; add pictures.")
    return datasets.DatasetDict({**splits, "train": train.select(rest), "validation": train.select(chosen)})


def read_pair(row: dict) -> Pair:
    """One row as arrays: grey picture uint8 (H, W), and its truth.

    The truth is a mask uint8 (H, W) of 0, 128 and 255, or points float64 (k, 2), as fractions of width and height, NaN
    where a dot is not in the picture.

    Raises:
        DataError: the picture or its truth is missing, the two sizes differ, or the mask has other values.
    """
    truth = "dots" if "dots" in row else "mask"
    if row["image"] is None or row[truth] is None:
        raise DataError(f"the picture or its {truth} is missing.")
    grey = np.array(grey_rgb(upright_rgb(row["image"])).getchannel(0))
    if truth == "dots":
        return grey, np.array(row["dots"], dtype=np.float64).reshape(-1, 2)
    mask = np.array(row["mask"].convert("L") if row["mask"].mode != "L" else row["mask"])
    if mask.shape != grey.shape:
        raise DataError(f"the picture has size {grey.shape} (height, width), its mask {mask.shape}.")
    strange = set(np.unique(mask).tolist()) - MASK_VALUES
    if strange:
        values = ", ".join(map(str, sorted(strange)[:5]))
        raise DataError(f"the mask has the values {values}; only 0, 128 and 255 mean something here.")
    return grey, mask


def shows_something(truth: np.ndarray) -> bool:
    """Whether a mask has a pixel of a car, or any of the points is in the picture."""
    return len(places_to_find(truth)) > 0


def read_numbered(split: datasets.Dataset, index: int) -> Pair:
    """Row `index` of a split as `read_pair` gives it; whatever is wrong with it, the error names the row's file.

    Raises:
        DataError: the row cannot be used.
    """
    try:
        return read_pair(split[index])
    except DECODE_ERRORS as error:
        where = f"{row_name(split, index)} of the split {split.split}"
        raise DataError(f"{where} cannot be used: {first_line(error)}") from error


def row_name(split: datasets.Dataset, index: int) -> str:
    """What people know a row by: its number and, if its picture is a file, the file's name."""
    return row_names(split.select([index]), index)[0]


def row_names(split: datasets.Dataset, first: int = 0) -> list[str]:
    """The `row_name` of each row of a split, the first one being row number `first`."""
    stored = split.select_columns("image").cast_column("image", datasets.Image(decode=False))
    files = [Path(path or "").name for path in stored.flatten()["image.path"]]
    return [f"Row {index} ({file})" if file else f"Row {index}" for index, file in enumerate(files, first)]


def check_split(split: datasets.Dataset) -> None:
    """Reads every row once, so that nothing wrong with it is left for the end of a long run.

    Raises:
        DataError: a row cannot be used, or no picture shows a car or a dot.
    """
    rows = tqdm(range(len(split)), desc="Checking", disable=None)
    if not any([shows_something(read_numbered(split, index)[1]) for index in rows]):
        raise nothing_to_find(split)


def nothing_to_find(split: datasets.Dataset) -> DataError:
    """The refusal of a split whose pictures all show nothing."""
    wanted = "has a dot" if "dots" in split.column_names else "shows a car"
    return DataError(f"No picture of the split {split.split} {wanted}, so there is nothing to learn from it.")


class KeptRows(Sequence):
    """Rows that are read once at first, so that bad ones are met before a step, and kept where memory allows."""

    def __init__(self, read: Callable[[int], Pair], number: int, room: int, title: str):
        """Calls `read` for each of `number` rows and keeps `room` bytes; it may raise DataError."""
        self.read, self.number = read, number
        self.kept: dict[int, Pair] = {}
        self.shows_something = False
        for index in tqdm(range(number), desc=title, disable=None):
            pair = read(index)
            self.shows_something = self.shows_something or shows_something(pair[1])
            room -= pair[0].nbytes + pair[1].nbytes
            if room > 0:
                self.kept[index] = pair

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> Pair:
        return self.kept[index] if index in self.kept else self.read(index)


def grey_rows(split: datasets.Dataset, longest: int) -> KeptRows:
    """The rows of a split as grey pictures and their truth.

    Args:
        split: rows with the columns image and mask or dots.
        longest: pictures with a longer side, in pixels, are kept at this size: crops show no more.

    Raises:
        DataError: a row cannot be used, or no picture shows a car or a dot.
    """
    split = split.select_columns(["image", "dots" if "dots" in split.column_names else "mask"])
    rows = KeptRows(partial(read_shrunk, split, longest), len(split), CACHE_BYTES, "Reading pictures")
    if not rows.shows_something:
        raise nothing_to_find(split)
    return rows


def read_shrunk(split: datasets.Dataset, longest: int, index: int) -> Pair:
    """Row `index` of a split, no side longer than `longest`; DataError if it cannot be used."""
    return shrink(read_numbered(split, index), longest)


def shrink(pair: Pair, longest: int) -> Pair:
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


def unlabelled_rows(folder: Path, longest: int) -> KeptRows:
    """The pictures in and below a folder as rows whose masks are nowhere judged: for a teacher to label.

    Raises:
        DataError: there are no pictures, or one cannot be read.
    """
    paths = find_pictures(folder)
    return KeptRows(
        partial(read_unlabelled, paths, longest), len(paths), CACHE_BYTES // 3, "Reading unlabelled pictures"
    )


def read_unlabelled(paths: list[Path], longest: int, index: int) -> Pair:
    """Picture `index`, no side longer than `longest`, with a mask that is nowhere judged; DataError if it is bad."""
    try:
        picture = open_picture(paths[index]).convert("L")
    except PictureError as error:
        raise DataError(f"{paths[index]}: {error}") from error
    picture.thumbnail((longest, longest), Image.Resampling.BILINEAR)
    return np.array(picture), np.broadcast_to(np.uint8(NOT_JUDGED), (picture.height, picture.width))
