"""Where a data set is read from: a folder of ours, parquet files, save_to_disk, or the Hub."""

import csv
import json
from pathlib import Path

import datasets

from carmask.data.card import object_name_of
from carmask.data.columns import native_masks, say, standard_columns, standard_splits
from carmask.data.label_options import PLAIN, LabelOptions
from carmask.data.layout import SPLITS, file_inside, metadata_rows, standard_split
from carmask.data.pairs import official_split
from carmask.data.splits.deal import Picture, deal_out
from carmask.data.streams import is_stream, to_stream, to_table
from carmask.errors import DataError, first_line, shortened


def open_data(
    data: str, truth: str = "mask", streaming: bool = False, options: LabelOptions = PLAIN
) -> datasets.DatasetDict:
    """Opens a data set as `open_splits` does, with a split to validate on.

    Returns:
        The splits; where there is a train and no validation, that is a tenth of train, by group.

    Raises:
        DataError: there is no such data, or it has no pictures with that truth.
    """
    splits = open_splits(data, truth, streaming, options)
    if "validation" in splits or "train" not in splits:
        return splits
    if streaming:
        raise DataError(f"The data set {data} has no split named validation, and none can be set aside of a stream.")
    return split_off_validation(splits)


def open_splits(
    data: str, truth: str = "mask", streaming: bool = False, options: LabelOptions = PLAIN
) -> datasets.DatasetDict:
    """Opens a folder of the project's layout, a `save_to_disk` folder, one of parquet files, or a data set of the Hub.

    With `streaming` the split "train" is a `datasets.IterableDataset`; the pictures of the others are fetched. The
    `options` say what splits, columns and masks do not say themselves.

    Returns:
        The splits that are not empty, under the names train, validation and test, with the columns image and `truth`
        ("mask" or "dots") and without the truth of the other task; masks are of 0, 128 and 255.

    Raises:
        DataError: there is no such data, or it has no pictures with that truth.
    """
    try:
        splits = load_splits(data, streaming)
        if streaming:
            splits = {
                name: to_stream(split) if standard_split(name) == "train" else to_table(split)
                for name, split in splits.items()
            }
    except DataError:
        raise
    except (OSError, ValueError, LookupError, TypeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"The data set {data} cannot be opened: {first_line(error)}") from error
    splits = standard_splits({name: part for name, part in splits.items() if is_stream(part) or len(part)}, data)
    if not splits:
        raise DataError(f"The data set {data} has no pictures.")
    standard_columns(splits, data, truth, options)
    written_here = object_name_of(data) is not None and options.masks == PLAIN.masks
    if truth == "mask" and not written_here:
        native_masks(splits, data, options)
    return splits


def choose_split(splits: datasets.DatasetDict, data: str, name: str | None) -> tuple[str, datasets.Dataset]:
    """The split of `data` to use, and its name: the one given, or test, or validation.

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
    if saved := saved_splits(folder):
        return datasets.DatasetDict({place.name: datasets.load_from_disk(str(place)) for place in saved})
    if (folder / "state.json").is_file():  # one split alone, saved
        split = datasets.load_from_disk(data)
        return datasets.DatasetDict({standard_split(str(split.split)) or "train": split})
    if folder.is_dir():
        parquet = sorted(folder.rglob("*.parquet"))
        splits = {standard_split(path.stem): str(path) for path in parquet}
        if parquet and None not in splits and len(splits) == len(parquet):  # whatever their case
            return datasets.load_dataset("parquet", data_files=splits, streaming=streaming)
        return datasets.load_dataset(data, streaming=streaming) if parquet else load_folder(folder)
    if data.startswith((".", "/", "~")) or data.count("/") != 1:
        raise DataError(f"There is no folder {data}; make one with a program of data_scripts/.")
    try:
        return datasets.load_dataset(data, streaming=streaming)
    except (OSError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"There is no folder {data}, and the Hub cannot be reached or has no such data set."
        ) from error


def saved_splits(folder: Path) -> list[Path]:
    """The folders of splits that `save_to_disk` wrote, together or one by one, but for those without a row.

    datasets itself cannot open a split without a row.
    """
    table = folder / "dataset_dict.json"
    if table.is_file():
        places = [folder / name for name in json.loads(table.read_text(encoding="utf-8"))["splits"]]
    else:
        places = [file.parent for file in sorted(folder.glob("*/state.json")) if standard_split(file.parent.name)]
    return [place for place in places if json.loads((place / "state.json").read_text(encoding="utf-8"))["_data_files"]]


def load_folder(folder: Path) -> datasets.DatasetDict:
    """Opens a folder of the project's layout, or another imagefolder with metadata.csv or metadata.jsonl.

    The stock loader guesses each column's type and refuses a split where a column holds nothing but nulls.

    Raises:
        DataError: no such table for training, or one that is damaged or names missing files.
    """
    places = [folder, *sorted(path for path in folder.iterdir() if standard_split(path.name))]
    tables = [place / name for place in places for name in ("metadata.jsonl", "metadata.csv")]
    tables = [table for table in tables if table.is_file()]
    if not tables:
        raise DataError(
            f"The folder {folder} has no train/metadata.jsonl; make a data set with data_scripts/from_folders.py or "
            "another program of data_scripts/."
        )
    if tables[0].parent == folder:
        return split_by_folder(load_table(tables[0], folder), folder)
    return datasets.DatasetDict({table.parent.name: load_table(table, folder) for table in tables})


def split_by_folder(split: datasets.Dataset, folder: Path) -> datasets.DatasetDict:
    """The rows of the one table of a set in the splits whose folders hold their pictures; the rest are train."""
    files = split.cast_column("image", datasets.Image(decode=False)).flatten()["image.path"]
    root = folder.resolve()
    places = [official_split(Path(file).relative_to(root)) if file else None for file in files]
    rest = places.count(None)
    if 0 < rest < len(places):
        say(f"{rest} of the {len(places)} pictures lie in no folder called train, val or test: they go to train.")
    rows = {name: [row for row, place in enumerate(places) if (place or "train") == name] for name in SPLITS}
    rows = {name: own for name, own in rows.items() if own}
    return datasets.DatasetDict({name: split.select(own) for name, own in rows.items()})


def load_table(table: Path, folder: Path) -> datasets.Dataset:
    """Opens the split that a metadata.jsonl or .csv lists: `file_name` becomes image and `mask_file_name` mask.

    Raises:
        DataError: it is damaged, or names files that are missing or outside the `folder` of the data set.
    """
    rows = csv_rows(table) if table.suffix == ".csv" else metadata_rows(table)
    place = "" if table.parent == folder else table.parent.name
    columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(key for row in rows for key in row)}
    pictures = [name for name in columns if name.endswith("file_name")]  # imagefolder's: mask_file_name becomes mask
    for name in pictures:
        files = [None if one is None else file_inside(folder, place, one) for one in columns[name]]
        missing = [
            one for one, file in zip(columns[name], files, strict=True) if one and not (file and file.is_file())
        ]
        if missing:
            raise DataError(
                f"{table} names {len(missing)} files that are missing or outside {folder}, the first is "
                f"{shortened(missing[0])}."
            )
        columns[name] = [file and str(file) for file in files]
    columns = {name.removesuffix("file_name").strip("_") or "image": columns.pop(name) for name in pictures} | columns
    split = datasets.Dataset.from_dict(columns, split=datasets.NamedSplit(standard_split(place) or "train"))
    for name in pictures:
        split = split.cast_column(name.removesuffix("file_name").strip("_") or "image", datasets.Image())
    return split


def csv_rows(table: Path) -> list[dict]:
    """The rows of a metadata.csv; DataError if it is damaged."""
    try:
        lines = table.read_text(encoding="utf-8-sig").splitlines()
        separator = max(",;\t", key=lines[0].count) if lines else ","
        table_rows = csv.DictReader(lines, delimiter=separator)
        return [{key: value or None for key, value in row.items() if key} for row in table_rows]
    except (ValueError, csv.Error) as error:
        raise DataError(f"{table} is no table in UTF-8; make the data set anew.") from error


def split_off_validation(splits: datasets.DatasetDict) -> datasets.DatasetDict:
    """Sets a tenth of train aside as validation, whole groups at a time where groups are given."""
    train = splits["train"]
    groups = [str(group) for group in (train["group"] if "group" in train.column_names else range(len(train)))]
    dealt = deal_out([Picture(str(index), group, "", 0.0) for index, group in enumerate(groups)], (90, 10, 0)).splits
    rest, chosen = ([index for index, split in enumerate(dealt) if split == name] for name in SPLITS[:2])
    if not rest or not chosen:
        raise DataError("The data set is too small to set pictures aside for validation; add pictures.")
    lost = dealt.count(None)
    say(
        f"No split is called validation, so {len(chosen)} of the {len(groups)} pictures of train are set aside for it"
        + f", and {lost} between them and the rest of their film are left out" * bool(lost)
        + "."
    )
    return datasets.DatasetDict({**splits, "train": train.select(rest), "validation": train.select(chosen)})
