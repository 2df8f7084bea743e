"""Finds the pictures below a folder."""

from pathlib import Path

from carmask.errors import DataError

ENDINGS = {
    ".jpg", ".jpeg", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif",
}  # fmt: skip


def pictures_below(folder: Path) -> list[Path]:
    """Lists the picture files in and below a folder, sorted; hidden files and other kinds of files do not count."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    return sorted(path for path in found if not any(p.startswith(".") for p in path.relative_to(folder).parts))


def find_pictures(folder: Path) -> list[Path]:
    """Lists the picture files under a folder as `pictures_below` does; DataError where there is none."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.")
    pictures = pictures_below(folder)
    if not pictures:
        raise DataError(f"{folder} holds no pictures.")
    return pictures
