"""A data set that grows picture by picture, in the layout of the data scripts, and is valid after every addition.

All pictures go into the training split; the training program validates on a tenth of them, chosen by group. Masks of
one picture share a group, and a picture without the object joins the group of one that shows it, so that both
parts show some.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image

from carmask.data.card import front_matter, object_name_of
from carmask.data.folder import finish_data_set
from carmask.data.layout import OBJECT
from carmask.demo.collected_files import collected_file
from carmask.doctor.row_checks import SMALLEST_SIDE, implausible
from carmask.errors import DataError
from carmask.files.disk import sync
from carmask.files.flat_rgb import bands
from carmask.files.words import DEFAULT_OBJECT, one

SPLIT = "train"
PATH_COLUMNS = ("file_name", "mask_file_name")
COLLECTION_LOCK = ".lock"
COLLECTED = "collected"  # prefix of file names that come from no visitor
LEFT_OVER = re.compile(rf"{COLLECTED}-[0-9a-f]{{16}}(-\d+)?\.(jpg|png)")
README = """# Collected {name} masks

Pictures, and their masks as people corrected them in the demo: PNG, 0 = background, 255 = {name}.

    python train_segformer.py --data FOLDER --output my-model
    python data_scripts/doctor.py FOLDER
"""


def open_collection(folder: Path, object_name: str = DEFAULT_OBJECT) -> Path:
    """Creates the folder of a data set that grows, or prepares an existing one for additions; returns it.

    Raises:
        DataError: It cannot be written to, or holds anything but a complete data set of masks of the object.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / SPLIT).is_dir() and any(path.name != COLLECTION_LOCK for path in folder.iterdir()):
            raise DataError(f"{folder} is not a data set of these programs: name a new folder.")
        with FileLock(folder / COLLECTION_LOCK):
            if not all(row.get(column) for row in collected_rows(folder) for column in (*PATH_COLUMNS, "group")):
                raise DataError(f"{folder} has pictures without a mask or a group: name a new folder.")
            for kind in ("images", "masks"):
                (folder / SPLIT / kind).mkdir(parents=True, exist_ok=True)
            delete_left_overs(folder)
            if not (folder / "README.md").exists():
                readme = front_matter(object_name) + README.format(name=object_name)
                (folder / "README.md").write_text(readme, encoding="utf-8")
            if collected_object(folder) != object_name:
                raise DataError(f"{folder} is of {collected_object(folder)}, not {object_name}: name a new folder.")
    except OSError as error:
        raise DataError(f"{folder} cannot be written to: {error.strerror or error}.") from error
    return folder.resolve()


def collected_object(folder: Path) -> str:
    """What the object of a data set that grows is called."""
    return object_name_of(folder) or DEFAULT_OBJECT


def add_example(
    folder: Path, name: str, picture: Image.Image, mask: np.ndarray, source: Path | None = None, keep_all: bool = True
) -> int:
    """Adds a picture and its mask to a data set atomically, unless it has both; several programs may do so at once.

    Args:
        folder: of `open_collection`.
        name: prefix of the two file names; a hash of the picture follows.
        picture: upright RGB.
        mask: uint8 (height, width) of 0 and 255.
        source: the file that the picture was; a JPEG's bytes are kept, without metadata.
        keep_all: keep other masks of the same picture; otherwise this one replaces them.

    Returns:
        The number of pictures in the data set.

    Raises:
        DataError: The training program or the doctor would not accept it.
    """
    with FileLock(folder / COLLECTION_LOCK):
        rows = collected_rows(folder)
        digest = digest_of(picture)[:16]
        same = [row for row in rows if digest in row["file_name"]]
        if any(has_mask(folder, row, mask) for row in same):
            return len(rows)
        gone = [] if keep_all else same
        left = [row for row in rows if row not in gone]
        check_example(left, picture, mask, collected_object(folder))
        group = same[0]["group"] if same else digest if (mask == OBJECT).any() else rows[-1]["group"]
        delete_left_overs(folder)
        name = unused_name(folder, f"{name}-{digest}")
        row = move_into_place(folder, name, collected_file(picture, source), mask)
        write_rows(folder, [*left, row | {"source": COLLECTED, "group": group}])
        for old in gone:
            for column in PATH_COLUMNS:
                (folder / SPLIT / old[column]).unlink()
        return len(left) + 1


def digest_of(picture: Image.Image) -> str:
    """The hash of a picture's size and pixels, taken band by band."""
    digest = hashlib.sha256(f"{picture.size}".encode())
    for _, band in bands(picture):
        digest.update(band.tobytes())
    return digest.hexdigest()


def check_example(rows: list[dict], picture: Image.Image, mask: np.ndarray, object_name: str) -> None:
    """Checks that a data set of the object with these rows stays valid for training when this picture is added.

    Raises:
        DataError: It does not.
    """
    if min(picture.size) < SMALLEST_SIDE:
        raise DataError(
            f"This picture has fewer than {SMALLEST_SIDE} pixels on a side; it is too small to learn from."
        )
    for _, reason in implausible(mask):
        raise DataError(f"This mask is not added: {reason}. Correct it first.")
    if not rows and not (mask == OBJECT).any():
        raise DataError(f"The first picture must show {one(object_name)}; add one that does, then this one.")


def collected_rows(folder: Path) -> list[dict]:
    """The rows of a data set's training split; none before the first.

    Raises:
        DataError: They are damaged.
    """
    table = folder / SPLIT / "metadata.jsonl"
    if not table.exists():
        return []
    try:
        return [dict(json.loads(line)) for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (ValueError, TypeError) as error:
        raise DataError(f"{table} is not a list of rows in JSON: repair it, or name a new folder.") from error


def write_rows(folder: Path, rows: list[dict]) -> None:
    """Replaces the rows atomically."""
    table = folder / SPLIT / "metadata.jsonl"
    staged = table.with_name(".metadata.partial")
    staged.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    sync(staged)
    staged.replace(table)
    sync(table.parent)


def unused_name(folder: Path, name: str) -> str:
    """Returns `name`, with a number appended if a file already has it."""
    number, free = 1, name
    while any((folder / SPLIT).glob(f"*/{free}.*")):
        number += 1
        free = f"{name}-{number}"
    return free


def has_mask(folder: Path, row: dict, mask: np.ndarray) -> bool:
    """Whether a row's mask is this one, uint8 (height, width)."""
    with Image.open(folder / SPLIT / row["mask_file_name"]) as kept:
        return np.array_equal(np.asarray(kept), mask)


def move_into_place(folder: Path, name: str, picture: tuple[str, bytes], mask: np.ndarray) -> dict:
    """Writes a picture, given as suffix and content, and its mask, then renames each into place; returns their row."""
    suffix, content = picture
    row = {"file_name": f"images/{name}{suffix}", "mask_file_name": f"masks/{name}.png"}
    with tempfile.TemporaryDirectory(prefix=".adding-", dir=folder) as staged:
        files = [Path(staged) / kind for kind in ("picture", "mask.png")]
        files[0].write_bytes(content)
        Image.fromarray(mask).save(files[1])
        for file, place in zip(files, row.values(), strict=True):
            sync(file)
            os.rename(file, folder / SPLIT / place)
            sync((folder / SPLIT / place).parent)
    return row


def delete_left_overs(folder: Path) -> None:
    """Deletes what a killed program left half added."""
    for staged in folder.glob(".adding-*"):
        shutil.rmtree(staged)
    listed = {row[column] for row in collected_rows(folder) for column in PATH_COLUMNS}
    for path in [*(folder / SPLIT / "images").iterdir(), *(folder / SPLIT / "masks").iterdir()]:
        if LEFT_OVER.fullmatch(path.name) and path.relative_to(folder / SPLIT).as_posix() not in listed:
            path.unlink()


def zip_collection(folder: Path, path: Path) -> None:
    """Adds card and contact sheet to a data set, and zips it as a folder that is named like the zip."""
    with FileLock(folder / COLLECTION_LOCK):
        rows = [row | {"split": SPLIT} for row in collected_rows(folder)]
        name = collected_object(folder)
        finish_data_set(folder, rows, f"Corrected {name} masks", object_name=name)
        with zipfile.ZipFile(path, "w") as packed:
            for file in sorted(folder.rglob("*")):
                if file.is_file() and file.name != COLLECTION_LOCK:
                    packed.write(file, Path(path.stem) / file.relative_to(folder))
