"""The data set layout every data script writes: built beside OUT, renamed into place at the end."""

import glob
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from carmask.data.card import data_set_card, sheet_of_rows
from carmask.data.layout import NOT_JUDGED, OBJECT, SPLITS, file_inside
from carmask.errors import DataError, refused_as, shortened
from carmask.files.disk import sync
from carmask.files.picture_limits import MAX_FILE_BYTES
from carmask.files.progress import progress
from carmask.files.system import is_running
from carmask.files.words import DEFAULT_OBJECT

SHARES = (80, 10, 10)


@contextmanager
def staged_folder(out: Path, overwrite: bool) -> Iterator[Path]:
    """Gives a temporary folder beside OUT that takes OUT's place when the block ends well, and vanishes when not.

    Raises:
        DataError: OUT exists and may not be replaced.
    """
    out = out.resolve()
    check_free(out, overwrite)
    staged, aside = (out.with_name(f".{out.name}.{os.getpid()}.{kind}") for kind in ("partial", "old"))
    staged.mkdir(parents=True)
    try:
        yield staged
        sync(*staged.rglob("*"), staged)
        if out.exists():
            out.rename(aside)
        staged.rename(out)
        sync(out.parent)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    shutil.rmtree(aside, ignore_errors=True)


def check_free(out: Path, overwrite: bool) -> None:
    """Checks that a data set may be written at OUT, and clears up after killed runs.

    Raises:
        DataError: OUT exists, and may not or must not be replaced.
    """
    _sweep(out.resolve())
    if not out.exists():
        return
    if not overwrite:
        raise DataError(f"{out} exists already: choose another name, or replace it with --overwrite.")
    is_data_set = any((out / split / "metadata.jsonl").exists() for split in SPLITS)
    if not out.is_dir() or (any(out.iterdir()) and not is_data_set):
        raise DataError(
            f"{out} is no data set of these programs, so --overwrite leaves it alone: choose another name."
        )


def _sweep(out: Path) -> None:
    """Removes what killed runs left beside OUT, and brings back an old set that was moved aside."""
    for path in out.parent.glob(f".{glob.escape(out.name)}.*"):
        match = re.fullmatch(r"\.(\d+)\.(partial|old)", path.name[len(out.name) + 1 :])
        if not match or (match[1] != str(os.getpid()) and is_running(int(match[1]))):
            continue
        if match[2] == "old" and not out.exists():
            path.rename(out)
        else:
            shutil.rmtree(path)


def save_example(folder: Path, name: str, picture: Image.Image, mask: np.ndarray | None, lossless: bool) -> dict:
    """Writes a picture and its mask under `folder`.

    Args:
        folder: a split's folder, or one whose files are moved to the splits later.
        name: of both files, without suffix.
        picture: upright RGB.
        mask: uint8 (height, width) of 0, 128 and 255; None writes no mask.
        lossless: PNG for the picture, unless that is a larger file than we open; otherwise JPEG of quality 95.

    Returns:
        The columns file_name and, with a mask, mask_file_name.
    """
    (folder / "images").mkdir(exist_ok=True)
    row = {"file_name": save_picture(folder, f"images/{name}", picture, lossless)}
    if mask is not None:
        row["mask_file_name"] = f"masks/{name}.png"
        (folder / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(folder / row["mask_file_name"])
    return row


def save_picture(folder: Path, name: str, picture: Image.Image, lossless: bool) -> str:
    """Writes a picture, as a JPEG where else its file would be larger than we open; returns its name with suffix."""
    forms = [("png", 0)] * lossless + [("jpg", 95), ("jpg", 85), ("jpg", 70)]
    for ending, quality in forms:
        path = folder / f"{name}.{ending}"
        picture.save(path, quality=quality)  # of a JPEG; a PNG knows none
        if path.stat().st_size <= MAX_FILE_BYTES or (ending, quality) == forms[-1]:
            break
        path.unlink()
    return f"{name}.{ending}"


def stem_of(row: dict) -> str:
    """The name of a row's picture, without folder and suffix."""
    return Path(row["file_name"]).stem


def link_example(row: dict, folder: Path, staged: Path, name: str, taken: set[tuple[str, str]]) -> dict:
    """Links or copies the files of a row, under a free name, into the split that it has in a new data set.

    Args:
        row: columns of metadata.jsonl, and the new `split`.
        folder: of the old split, which its file names are relative to.
        staged: the new data set.
        name: of both files, without suffix; a number follows where it is taken, and its slashes become _.
        taken: split and name of the rows so far; this one is added.

    Returns:
        The row with its new file names.

    Raises:
        DataError: A file name leads out of the old data set.
    """
    name = re.sub(r"[/\\\0]", "_", name)  # a source may hold them, and would lead out of the new data set
    free, copy = name, 2
    while (row["split"], free) in taken:
        free, copy = f"{name}-{copy}", copy + 1
    taken.add((row["split"], free))
    result = dict(row)
    for column, kind in (("file_name", "images"), ("mask_file_name", "masks")):
        if column not in row:
            continue
        old = file_inside(folder.parent, folder.name, row[column])
        if old is None:
            raise DataError(
                f"{folder}: the {column} {shortened(row[column])} leads out of the data set; mend its row."
            )
        result[column] = f"{kind}/{free}{Path(row[column]).suffix}"
        new = staged / row["split"] / result[column]
        new.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(old, new)
        except OSError:  # another disk, or one without links
            shutil.copyfile(old, new)
    return result


def finish_data_set(
    folder: Path,
    rows: list[dict],
    title: str,
    dot_names: list[str] | None = None,
    object_name: str = DEFAULT_OBJECT,
    grouped_by: str = "",
) -> int:
    """Writes metadata.jsonl of each split, dot_names.json, README.md and contact_sheet.png.

    Args:
        folder: holds the pictures and masks of all rows, in a folder for each split.
        rows: columns of metadata.jsonl, and `split`.
        title: of the README.
        dot_names: what the column `dots` holds, in order; None without that column.
        object_name: what the masks are of.
        grouped_by: what told which pictures belong together; "" where nothing did.

    Returns:
        The number of pictures with an object.

    Raises:
        DataError: Some splits have dots and others none: `load_dataset` could not tell what the column holds.
    """
    if dot_names:
        with_dots = {row["split"] for row in rows if any(row["dots"])}
        without = {row["split"] for row in rows} - with_dots
        if with_dots and without:
            raise DataError(f"No picture of the split {min(without)} has a dot: add pictures, or cut with --shares.")
        (folder / "dot_names.json").write_text(json.dumps(dot_names) + "\n", encoding="utf-8")
    for split in SPLITS:
        lines = [json.dumps({k: v for k, v in row.items() if k != "split"}) for row in rows if row["split"] == split]
        if lines:
            (folder / split / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    masked = (row for row in progress(rows, "masks") if "mask_file_name" in row)
    shares = {f"{row['split']}/{row['file_name']}": mask_shares(folder, row) for row in masked}
    sheet_of_rows(folder, rows, shares, dot_names or []).save(folder / "contact_sheet.png")
    readme = data_set_card(title, rows, shares, dot_names or [], object_name, grouped_by)
    (folder / "README.md").write_text(readme, encoding="utf-8")
    return sum(painted > 0 for painted, _ in shares.values())


def mask_shares(folder: Path, row: dict) -> tuple[float, float]:
    """Returns the shares of object and of not-judged pixels; DataError if the mask cannot be read."""
    file = folder / row["split"] / row["mask_file_name"]
    damaged = f"The mask {file} cannot be read; data_scripts/doctor.py lists all faults."
    with refused_as(DataError, damaged), Image.open(file) as mask:
        counts, pixels = mask.convert("L").histogram(), mask.width * mask.height
    return counts[OBJECT] / pixels, counts[NOT_JUDGED] / pixels
