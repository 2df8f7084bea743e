"""Where a data set comes from, and one of its rows as a pair of arrays: grey picture and mask."""

import json
from collections.abc import Sequence
from pathlib import Path

import datasets
import numpy as np
from PIL import Image
from tqdm import tqdm

from carmask.dataset_folder import DataError
from carmask.pictures import DECODE_ERRORS, grey_rgb, upright_rgb

CACHE_BYTES = 3 * 2**30  # decoded pictures kept in memory; what does not fit is decoded again each time
MASK_VALUES = {0, 128, 255}

Pair = tuple[np.ndarray, np.ndarray]


def open_data(data: str) -> datasets.DatasetDict:
    """Opens a folder of the project's layout, a `save_to_disk` folder, or a data set of the Hub.

    Returns:
        At least the splits "train" and "validation", with the columns image and mask; a missing validation split is a
        tenth of train, by group.

    Raises:
        DataError: there is no such data, or it has no pictures with masks.
    """
    try:
        splits = load_splits(data)
    except DataError:
        raise
    except (OSError, ValueError, LookupError, TypeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"The data set {data} cannot be opened: {first_line(error)}") from error
    splits = datasets.DatasetDict({name: split for name, split in splits.items() if len(split)})
    if "train" not in splits:
        raise DataError(f"The data set {data} has no split named train; it has {', '.join(splits) or 'none'}.")
    for name, split in splits.items():
        missing = {"image", "mask"} - set(split.column_names)
        if missing:
            raise DataError(f"The split {name} of {data} has no column {' and '.join(sorted(missing))}; add it.")
    if "validation" not in splits:
        splits = split_off_validation(splits)
    return splits


def load_splits(data: str) -> datasets.DatasetDict:
    """Finds out what `data` is, and loads it."""
    folder = Path(data)
    if (folder / "dataset_dict.json").is_file():
        return datasets.load_from_disk(data)
    if (folder / "state.json").is_file():  # one split alone, saved
        return datasets.DatasetDict({"train": datasets.load_from_disk(data)})
    if folder.is_dir():
        check_files(folder)
        return datasets.load_dataset("imagefolder", data_dir=data)
    if data.startswith((".", "/", "~")) or data.count("/") != 1:
        raise DataError(f"There is no folder {data}; make one with a program of data_scripts/.")
    try:
        return datasets.load_dataset(data)
    except (OSError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"There is no folder {data}, and the Hub cannot be reached or has no such data set."
        ) from error


def first_line(error: Exception) -> str:
    """The first line of a library's words, as the end of a sentence of ours."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".") + "."


def check_files(folder: Path) -> None:
    """Demands that every file named by a metadata.jsonl is there: the loader finds out only when it decodes it.

    Raises:
        DataError: no metadata.jsonl at all, or one that names missing files.
    """
    tables = [path for split in ("train", "validation", "test") for path in folder.glob(f"{split}/metadata.jsonl")]
    if not tables:
        raise DataError(f"The folder {folder} has no train/metadata.jsonl; make a data set with data_scripts/.")
    for table in tables:
        try:
            rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
            names = [row[key] for row in rows for key in ("file_name", "mask_file_name") if row.get(key)]
        except (ValueError, AttributeError) as error:
            raise DataError(f"{table} is no list of rows in JSON; make the data set anew.") from error
        missing = [name for name in names if not (table.parent / name).is_file()]
        if missing:
            raise DataError(f"{table} names {len(missing)} files that are missing, the first is {missing[0]}.")


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
    """One row as arrays: grey picture uint8 (H, W), and mask uint8 (H, W) of 0, 128 and 255.

    Raises:
        DataError: there is no mask, the two sizes differ, or the mask has other values.
    """
    if row["image"] is None or row["mask"] is None:
        raise DataError("the picture or its mask is missing.")
    grey = np.array(grey_rgb(upright_rgb(row["image"])).getchannel(0))
    mask = np.array(row["mask"].convert("L") if row["mask"].mode != "L" else row["mask"])
    if mask.shape != grey.shape:
        raise DataError(f"the picture has size {grey.shape} (height, width), its mask {mask.shape}.")
    strange = set(np.unique(mask).tolist()) - MASK_VALUES
    if strange:
        values = ", ".join(map(str, sorted(strange)[:5]))
        raise DataError(f"the mask has the values {values}; only 0, 128 and 255 mean something here.")
    return grey, mask


def read_numbered(split: datasets.Dataset, index: int) -> Pair:
    """Row `index` of a split as `read_pair` gives it; whatever is wrong with it, the error names the row's file.

    Raises:
        DataError: the row cannot be used.
    """
    try:
        return read_pair(split[index])
    except DECODE_ERRORS as error:
        stored = split.cast_column("image", datasets.Image(decode=False))[index]["image"] or {}
        name = Path(stored.get("path") or "").name
        where = f"Row {index} ({name})" if name else f"Row {index}"
        raise DataError(f"{where} of the split {split.split} cannot be used: {first_line(error)}") from error


def check_split(split: datasets.Dataset) -> None:
    """Reads every row once, so that nothing wrong with it is left for the end of a long run.

    Raises:
        DataError: a row cannot be used, or no picture shows a car.
    """
    rows = range(len(split))
    has_car = [(read_numbered(split, index)[1] == 255).any() for index in tqdm(rows, desc="Checking", disable=None)]
    if not any(has_car):
        raise DataError(f"No picture of the split {split.split} shows a car, so there is nothing to learn from it.")


class GreyRows(Sequence):
    """The rows of a split as grey pictures and masks, decoded once where memory allows."""

    def __init__(self, split: datasets.Dataset, longest: int):
        """Decodes every row, so that bad ones are met before the first step.

        Args:
            split: rows with the columns image and mask.
            longest: pictures with a longer side, in pixels, are kept at this size: crops show no more.

        Raises:
            DataError: a row cannot be used, or no picture shows a car.
        """
        self.split, self.longest = split.select_columns(["image", "mask"]), longest
        self.kept: dict[int, Pair] = {}
        room, has_car = CACHE_BYTES, False
        for index in tqdm(range(len(split)), desc="Reading pictures", disable=None):
            pair = self._read(index)
            has_car = has_car or (pair[1] == 255).any()
            room -= pair[0].nbytes + pair[1].nbytes
            if room > 0:
                self.kept[index] = pair
        if not has_car:
            raise DataError("No picture of the split train shows a car, so there is nothing to learn from it.")

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Pair:
        return self.kept[index] if index in self.kept else self._read(index)

    def _read(self, index: int) -> Pair:
        grey, mask = read_numbered(self.split, index)
        scale = self.longest / max(grey.shape)
        if scale >= 1:
            return grey, mask
        size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))  # (width, height) for PIL
        small = Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
        return np.array(small), np.array(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
