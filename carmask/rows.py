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
        At least the splits "train" and "validation"; a missing validation split is a tenth of train, by group.

    Raises:
        DataError: there is no such data, or it has no pictures with masks.
    """
    folder = Path(data)
    try:
        if (folder / "dataset_dict.json").is_file():
            splits = datasets.load_from_disk(data)
        elif folder.is_dir():
            check_files(folder)
            splits = datasets.load_dataset("imagefolder", data_dir=data)
        elif data.startswith((".", "/", "~")) or data.count("/") != 1:
            raise DataError(f"There is no folder {data}; make one with a program of data_scripts/.")
        else:
            splits = datasets.load_dataset(data)
    except (OSError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"The data set {data} cannot be opened; it is neither a folder here nor on the Hub."
        ) from error
    if "train" not in splits:
        raise DataError(f"The data set {data} has no split named train; it has {', '.join(splits) or 'none'}.")
    missing = {"image", "mask"} - set(splits["train"].column_names)
    if missing:
        raise DataError(f"The data set {data} has no column {' and '.join(sorted(missing))}; it needs image and mask.")
    if "validation" not in splits:
        splits = split_off_validation(splits)
    return splits


def check_files(folder: Path) -> None:
    """Demands that every file named by a metadata.jsonl is there: the loader finds out only when it decodes it.

    Raises:
        DataError: no metadata.jsonl at all, or one that names missing files.
    """
    tables = [path for split in ("train", "validation", "test") for path in folder.glob(f"{split}/metadata.jsonl")]
    if not tables:
        raise DataError(f"The folder {folder} has no train/metadata.jsonl; make a data set with data_scripts/.")
    for table in tables:
        rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
        names = [row[key] for row in rows for key in ("file_name", "mask_file_name") if key in row]
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
        DataError: the two sizes differ, or the mask has other values.
    """
    grey = np.array(grey_rgb(upright_rgb(row["image"])).getchannel(0))
    mask = np.array(row["mask"].convert("L") if row["mask"].mode != "L" else row["mask"])
    if mask.shape != grey.shape:
        raise DataError(f"the picture has size {grey.shape} (height, width), its mask {mask.shape}.")
    strange = set(np.unique(mask).tolist()) - MASK_VALUES
    if strange:
        values = ", ".join(map(str, sorted(strange)[:5]))
        raise DataError(f"the mask has the values {values}; only 0, 128 and 255 mean something here.")
    return grey, mask


class GreyRows(Sequence):
    """The rows of a split as grey pictures and masks, decoded once where memory allows."""

    def __init__(self, split: datasets.Dataset, longest: int):
        """Decodes every row, so that bad ones are met before the first step.

        Args:
            split: rows with the columns image and mask.
            longest: pictures with a longer side, in pixels, are kept at this size: crops show no more.
        """
        self.split, self.longest = split.select_columns(["image", "mask"]), longest
        self.kept: dict[int, Pair] = {}
        room = CACHE_BYTES
        for index in tqdm(range(len(split)), desc="Reading pictures", disable=None):
            pair = self._read(index)
            room -= pair[0].nbytes + pair[1].nbytes
            if room > 0:
                self.kept[index] = pair

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Pair:
        return self.kept[index] if index in self.kept else self._read(index)

    def _read(self, index: int) -> Pair:
        try:
            grey, mask = read_pair(self.split[index])
        except DECODE_ERRORS as error:
            raise DataError(f"{self._name(index)} cannot be used: {error}") from error
        scale = self.longest / max(grey.shape)
        if scale >= 1:
            return grey, mask
        size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))  # (width, height) for PIL
        small = Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
        return np.array(small), np.array(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))

    def _name(self, index: int) -> str:
        stored = self.split.cast_column("image", datasets.Image(decode=False))[index]["image"]["path"]
        return f"Row {index} ({Path(stored).name})" if stored else f"Row {index}"
