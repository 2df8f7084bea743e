"""What a model's weights go back to, under which licence that is, and which licence the model gets from it."""

import contextlib
import json
import re
from pathlib import Path

import yaml
from huggingface_hub import metadata_load
from transformers.utils import cached_file

from carmask.errors import RunError
from carmask.networks.initial_weights import is_own

RESEARCH_ONLY = " The weights of nvidia/ may be used for research only, and so may what was trained from them."

OF_NVIDIA = re.compile(r"nvidia/|nvlabs/|nvidia-(source|segformer)", re.IGNORECASE)

NVIDIA_CODE = "https://github.com/NVlabs/SegFormer"

CACHED = re.compile(r"/models--([^/]+)(?:/snapshots/([^/]+))?")

KNOWN = {
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "mpl-2.0", "lgpl-3.0", "gpl-3.0", "agpl-3.0", "openrail",
    "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0",
}  # fmt: skip


def origins(models: list[str]) -> list[str]:
    """The starts of these starts and teachers (empty names are none), for the model card.

    Each that is not one of ours comes with the licence that its own card states, a model of the Hub with its revision:
    `scratch-b0`, `anna/start@4f3c… (licence apache-2.0)`, `./mit-b0 (licence other, NAME, LINK, from nvidia/mit-b0)`.

    Raises:
        RunError: a model's configuration cannot be read.
    """
    found = []
    for model in filter(None, models):
        folder = None if is_own(model) else find_folder(model)
        if folder is None:  # what is wrong with it is said where its weights are opened
            found.append(model)
            continue
        file = folder / "config.json"
        try:
            stored = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        except ValueError as error:
            raise RunError(f"The config.json in {model} is not readable; fetch or train the model again.") from error
        cached = CACHED.search(folder.as_posix())
        if cached or "origin" not in stored:
            name = "@".join(filter(None, cached.groups())).replace("--", "/") if cached else model
            found.append(f"{name} ({stated_licence(folder, stored)})")
        found += stored.get("origin", [])
    return sorted(set(found))


def find_folder(model: str) -> Path | None:
    """The folder of a model here, or of what is kept here of a model of the Hub; None if there is neither."""
    if Path(model).exists():
        return Path(model).resolve()
    try:
        folder = Path(cached_file(model, "config.json")).parent  # …/models--OWNER--NAME/snapshots/REVISION
    except (OSError, ValueError):
        return None
    with contextlib.suppress(OSError, ValueError):
        cached_file(model, "README.md", revision=folder.name)
    return folder.resolve()


def stated_licence(folder: Path, settings: dict) -> str:
    """What the card in a model's folder says of its licence and of what it was trained from.

    The cards of nvidia/mit-b* state only "other" and link to the code; a copy that transformers 4 saved has no card,
    but its name in `settings`, the configuration.
    """
    try:
        card = metadata_load(folder / "README.md") or {}
        text = (folder / "README.md").read_text(encoding="utf-8")
    except (OSError, ValueError, yaml.YAMLError):
        card, text = {}, ""
    parts = [stated(card, key) for key in ("license", "license_name", "license_link")]
    if parts in (["", "", ""], ["other", "", ""]) and NVIDIA_CODE in text:
        parts = ["other", NVIDIA_CODE]
    licence = ", ".join(filter(None, parts))
    former = str(settings.get("_name_or_path"))
    base = stated(card, "base_model") or (former if former.startswith("nvidia/") else "")
    return (f"licence {licence}" if licence else "no licence found") + (f", from {base}" if base else "")


def stated(card: dict, key: str) -> str:
    """One entry of a card's metadata on one line, or "" if there is none."""
    value = card.get(key) or ""
    return " ".join(" and ".join(map(str, value if isinstance(value, list) else [value])).split())


def licence_of(starts: list[str]) -> tuple[str, str]:
    """The licence of a model whose weights go back to `starts`, as the Hub names it; and what to say about it.

    Where the starts have one licence that the Hub knows, it is theirs.
    """
    if any(map(OF_NVIDIA.search, starts)):
        return "other", RESEARCH_ONLY
    if all(map(is_own, starts)):
        return "apache-2.0", ""
    found = {"apache-2.0" if is_own(start) else "".join(re.findall(r" \(licence ([^,)]+)", start)) for start in starts}
    return found.pop() if len(found) == 1 and found <= KNOWN else "other", " Their terms hold for this model too."
