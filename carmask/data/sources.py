"""Where a data set is read from: a folder of ours, parquet files, save_to_disk, or the Hub."""

import json
from pathlib import Path

import datasets
import numpy as np

from carmask.data.streams import is_stream, to_stream, to_table
from carmask.errors import DataError, first_line

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
