"""Files that are whole or not there, and waiting for the disk, so that they are there after a crash."""

import os
from pathlib import Path


def sync(*paths: Path) -> None:
    """Waits until files, or folders' lists of files, are on the disk."""
    for path in paths:
        if os.name == "nt" and path.is_dir():  # Windows opens no folder
            continue
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_whole(target: Path, content: bytes) -> None:
    """Writes a file that appears whole or not at all."""
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
