"""Waiting for the disk, so that what is there after a crash is whole."""

import os
from pathlib import Path


def sync(*paths: Path) -> None:
    """Waits until files, or folders' lists of files, are on the disk."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
