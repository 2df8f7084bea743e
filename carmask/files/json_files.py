"""Reads JSON files of strangers: whatever their encoding, with one sentence for what is no JSON."""

import json
from pathlib import Path

from carmask.errors import DataError

LARGEST_FILE = 2 * 1024**3  # bytes; COCO's own largest file has a quarter of that


def read_json(path: Path) -> object:
    """Reads a JSON file in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Numbers may come back as NaN, infinite or with thousands of digits: JSON itself sets no bounds.

    Raises:
        DataError: It is no JSON, or too large or too deeply nested to be read.
        OSError: It is not there, or cannot be opened.
    """
    if path.stat().st_size > LARGEST_FILE:
        raise DataError(f"{path} has more than 2 GiB; export it in parts.")
    content = path.read_bytes()
    if content.startswith((b"PK\3\4", b"\x1f\x8b")):
        raise DataError(f"{path} is packed: unpack it first.")
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is no JSON file, or damaged in line {error.lineno}; export it again.") from None
    except (ValueError, RecursionError):  # other bytes than text, numbers of more digits than Python reads, nesting
        raise DataError(f"{path} is no JSON file that can be read; export it again.") from None
