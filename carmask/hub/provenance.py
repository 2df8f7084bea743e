"""What a model was made with: the code, the libraries, and the very pictures."""

import hashlib
import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import datasets

from carmask.data.streams import is_stream

ROOT = Path(__file__).parent.parent.parent
LIBRARIES = ("torch", "transformers", "accelerate", "datasets", "numpy", "pillow")


def made_with(splits: datasets.DatasetDict, files: Sequence[Path] = ()) -> dict[str, str]:
    """What decides how a model turns out: `command`, `code`, `versions` and the fingerprint of the `data`.

    To the data belong the `files` that are learnt from beside it.
    """
    command = shlex.join(["python", *sys.argv])
    at_hand = {name: split for name, split in splits.items() if not is_stream(split)}
    data = fingerprint(at_hand, files) + (
        f" (of {' and '.join(at_hand)}; train was streamed)" if at_hand != splits else ""
    )
    return {"command": command, "code": code_revision(), "versions": versions(), "data": data}


def code_revision() -> str:
    """The git revision of the project's code, and whether it has changes since; "unknown" outside of git."""
    try:
        top, revision = git("rev-parse", "--show-toplevel", "HEAD").split("\n")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    if Path(top).resolve() != ROOT.resolve():  # installed inside someone else's repository
        return "unknown"
    return revision + (" with changes" if changed else "")


def git(*arguments: str) -> str:
    """What git answers about the project's folder."""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def versions() -> str:
    """The versions of Python and of the libraries that decide what comes out of a run."""
    return ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in LIBRARIES)])


def fingerprint(splits: dict[str, datasets.Dataset], files: Sequence[Path] = ()) -> str:
    """A SHA-256 in hexadecimal of every picture and its truth as stored, in their order, and of `files`.

    Wherever they lie, it is the same.
    """
    digest = hashlib.sha256()
    for name in sorted(splits):
        digest.update(name.encode())
        columns = sorted({"image", "mask", "dots"} & set(splits[name].column_names))
        split = splits[name].select_columns(columns)
        for column in set(columns) - {"dots"}:
            split = split.cast_column(column, datasets.Image(decode=False))
        for row in split:
            for column in columns:
                digest.update(hashlib.sha256(stored_bytes(row[column])).digest())
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def stored_bytes(value: dict | list | None) -> bytes:
    """A picture's file, or what else stands in a row as JSON."""
    if not isinstance(value, dict):
        return json.dumps(value).encode()
    return value["bytes"] or Path(value["path"]).read_bytes()
