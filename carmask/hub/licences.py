"""What a model's weights go back to, and which licence the model gets from it."""

import json
import re
from pathlib import Path

from carmask.errors import RunError
from carmask.networks.fetching import is_own

RESEARCH_ONLY = " The weights of nvidia/ may be used for research only, and so may what was trained from them."
OF_NVIDIA = re.compile(r"nvidia/|nvlabs/segformer|nvidia-(source|segformer)", re.IGNORECASE)
CACHED = re.compile(r"/models--([^/]+)(?:/snapshots/([^/]+))?")


def origins(models: list[str]) -> list[str]:
    """What these initial weights and teachers (empty names are none) go back to, for the model card.

    Each is of our own, or a folder. That of a model of the Hub, in the cache, is known by its name and revision:
    `anna/start@4f3c…`; one whose card or configuration names the weights of nvidia/ says so:
    `./mit-b0 (from nvidia/)`.

    Raises:
        RunError: a model's configuration cannot be read.
    """
    found = []
    for model in filter(None, models):
        if is_own(model):
            found.append(model)
            continue
        folder = Path(model).resolve()  # …/models--OWNER--NAME/snapshots/REVISION
        settings, card = (read(folder / name) for name in ("config.json", "README.md"))
        try:
            stored = json.loads(settings or "{}")
        except ValueError as error:
            raise RunError(f"The config.json in {model} is not readable; fetch or train the model again.") from error
        cached = CACHED.search(folder.as_posix())
        if cached or "origin" not in stored:
            name = "@".join(filter(None, cached.groups())).replace("--", "/") if cached else model
            found.append(name + " (from nvidia/)" * bool(OF_NVIDIA.search(str(stored.get("_name_or_path")) + card)))
        found += stored.get("origin", [])
    return sorted(set(found))


def read(file: Path) -> str:
    """The text of a file, "" where there is none."""
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def licence_of(origin: list[str]) -> tuple[str, str]:
    """The licence of a model whose weights go back to `origin`, as the Hub names it; and what to say about it."""
    if any(map(OF_NVIDIA.search, origin)):
        return "other", RESEARCH_ONLY
    if all(map(is_own, origin)):
        return "apache-2.0", ""
    return "other", " The terms of what it was trained from hold for this model too."
