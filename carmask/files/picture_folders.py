"""Finds the pictures below a folder."""

import os
import sys
from pathlib import Path

from carmask.errors import DataError

ENDINGS = {
    ".jpg", ".jpeg", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif",
}  # fmt: skip


def files_below(folder: Path, endings: set[str] = ENDINGS) -> tuple[list[Path], list[Path]]:
    """Lists the files in and below a folder that have one of the `endings`; hidden ones do not count.

    Links are followed to what lies in the same folder, each folder once.

    Returns:
        The files, sorted; and the links that lead out of the folder, which are not followed.
    """
    root = folder.resolve()
    found, outside, seen = [], [], set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        paths = [Path(place) / name for name in sorted(folders) + files if not name.startswith(".")]
        leading_out = {
            path for path in paths if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root)
        }
        outside += sorted(path for path in leading_out if path.is_dir() or path.suffix.lower() in endings)
        folders[:] = [path.name for path in paths if path.is_dir() and path not in leading_out]
        found += [
            path for path in paths if path.suffix.lower() in endings and path not in leading_out and path.is_file()
        ]
    return sorted(found), outside


def link_refusal(link: Path, folder: Path) -> DataError:
    """Why what lies behind a link is not read."""
    return DataError(f"{link} is a link that leads out of {folder}: copy there what it leads to.")


def pictures_below(folder: Path) -> list[Path]:
    """Lists the picture files in and below a folder as `files_below` does."""
    return files_below(folder)[0]


def find_pictures(folder: Path) -> list[Path]:
    """Lists the picture files under a folder as `files_below` does, and says which links lead out of it.

    Raises:
        DataError: it is no folder, or holds no picture.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.")
    pictures, outside = files_below(folder)
    if not pictures and outside:
        raise DataError(f"{outside[0]} is a link that leads out of {folder}: give the folder that it leads to.")
    if not pictures:
        raise DataError(f"{folder} holds no pictures.")
    if outside:
        links = f"{len(outside)} links in {folder} lead out of it, such as {outside[0]}"
        sys.stderr.write(f"Left aside: {links}; copy there what they lead to.\n")
    return pictures
