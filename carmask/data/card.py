"""What a data set says about itself: its object, counts, a README, and a contact sheet with the truth laid over it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from huggingface_hub import hf_hub_download, metadata_load
from huggingface_hub.errors import HTTPError
from PIL import Image

from carmask.data.layout import NOT_JUDGED, OBJECT, SPLITS
from carmask.errors import DataError, refused_as
from carmask.files.drawing import contact_sheet, draw_dots, overlay_mask
from carmask.files.words import DEFAULT_OBJECT, one

SHEET_TILES = 24
TILE = 320  # pixels a side where names of dots have to be read
NOT_JUDGED_BLUE = (64, 96, 255)
STOCK_WARNING = """`carmask` and `train_segformer.py` read these masks as they are. For another program turn them into
labels first: 255 is what the examples of transformers leave out of the loss, so that they would see background alone,
with a loss that falls all the same. This line adds a column of 0 = background, 1 = object, 255 = not judged:

```python
dataset = dataset.map(lambda row: {"label": row["mask"].point([0] * 128 + [255] * 127 + [1])})
```"""

Shares = dict[str, tuple[float, float]]  # SPLIT/FILE_NAME → shares of object and of not-judged pixels


def count_line(rows: list[dict]) -> str:
    """Says how many pictures each split has."""
    counts = Counter(row["split"] for row in rows)
    return f"{len(rows)} pictures (" + ", ".join(f"{split} {counts[split]}" for split in SPLITS if counts[split]) + ")"


def data_set_card(
    title: str, rows: list[dict], shares: Shares, dot_names: list[str], object_name: str, grouped_by: str
) -> str:
    """Returns the README of a data set: how many pictures, objects and dots it has, by source and split."""
    parts = [
        front_matter(object_name, bool(shares), grouped_by) + f"# {title}",
        f'{count_line(rows)}. Open it with `load_dataset("imagefolder", data_dir=...)`.',
    ]
    if grouped_by:
        parts.append(f"Pictures that belong together have the same `group`; they were found by {grouped_by}.")
    elif len({row["group"] for row in rows}) == len(rows):
        parts.append("Each picture is a `group` of its own: nothing told that some belong together.")
    if shares:
        parts.append(f"Masks are PNG, 0 = background, 255 = {object_name}, 128 = not judged.")
        parts.append(STOCK_WARNING)
        parts.append("\n".join(_mask_table(rows, shares, object_name)))
    if dot_names:
        parts.append(
            "Column `dots`: for each name of dot_names.json [x, y] as fractions of width and height, or null."
        )
        parts.append("\n".join(_dot_table(rows, dot_names)))
    parts.append(f"![Some of the pictures: {object_name} in red, not judged in blue, dots by name](contact_sheet.png)")
    return "\n\n".join(parts) + "\n"


def front_matter(object_name: str, masks: bool = True, grouped_by: str = "") -> str:
    """The YAML before a data set's README, for the Hub, with what `object_name_of` and `grouped_by_of` read."""
    task = "image-segmentation" if masks else "keypoint-detection"
    head = {"task_categories": [task], "object": object_name} | ({"grouped_by": grouped_by} if grouped_by else {})
    return f"---\n{yaml.safe_dump(head, allow_unicode=True, sort_keys=False, width=1000)}---\n"


def object_name_of(data: str | Path) -> str | None:
    """What the object of a data set is called, in a folder here or on the Hub; None where its README does not say."""
    return said_by_readme(data, "object")


def grouped_by_of(data: str | Path) -> str:
    """By what the pictures of a data set were grouped; "" where its README does not say."""
    return said_by_readme(data, "grouped_by") or ""


def said_by_readme(data: str | Path, key: str) -> str | None:
    """A line of the head of a data set's README, in a folder here or on the Hub; None where there is none."""
    try:
        name = (metadata_load(data_set_file(data, "README.md")) or {}).get(key)
    except (OSError, ValueError, HTTPError, yaml.YAMLError):
        return None
    return name.strip() or None if isinstance(name, str) and name.isprintable() else None


def data_set_file(data: str | Path, name: str) -> Path:
    """Where a file of a data set, in a folder here or on the Hub, lies here; an OSError if it cannot be had."""
    return Path(data, name) if Path(data).is_dir() else Path(hf_hub_download(str(data), name, repo_type="dataset"))


def common_object(data_sets: Sequence[Path]) -> str:
    """What the object of all these data sets is called; one that does not say is of cars.

    Raises:
        DataError: they are not of the same object.
    """
    names = {object_name_of(data_set) or DEFAULT_OBJECT: data_set for data_set in data_sets}
    if len(names) > 1:
        found = " and ".join(f"{name} in {data_set}" for name, data_set in names.items())
        raise DataError(
            f"The data sets are of different objects, {found}: merge those of one, or write the same line "
            f'"object: {next(iter(names))}" between the dashes at the top of each README.md.'
        )
    return next(iter(names))


def _mask_table(rows: list[dict], shares: Shares, object_name: str) -> list[str]:
    head = f"| source | split | pictures | with {one(object_name)} | {object_name} pixels | not judged |"
    lines = [head, "|---|---|---:|---:|---:|---:|"]
    for source in sorted({row["source"] for row in rows}):
        for split in SPLITS:
            chosen = [row for row in rows if (row["source"], row["split"]) == (source, split)]
            judged = [shares[f"{split}/{row['file_name']}"] for row in chosen if "mask_file_name" in row]
            if judged:
                painted, not_judged = (f"{100 * share:.1f} %" for share in np.mean(judged, axis=0))
                number = sum(share > 0 for share, _ in judged)
                lines.append(f"| {source} | {split} | {len(judged)} | {number} | {painted} | {not_judged} |")
    return lines


def _dot_table(rows: list[dict], dot_names: list[str]) -> list[str]:
    """Counts the dots of each name in each split; a name that repeats may occur several times in a picture."""
    splits = [split for split in SPLITS if any(row["split"] == split for row in rows)]
    found = Counter(
        (name, row["split"]) for row in rows for name, dot in zip(dot_names, row["dots"], strict=True) if dot
    )
    lines = ["| dot | " + " | ".join(splits) + " |", "|---|" + "---:|" * len(splits)]
    for name in dict.fromkeys(dot_names):
        lines.append(f"| {name} | " + " | ".join(str(found[name, split]) for split in splits) + " |")
    return lines


def sheet_of_rows(folder: Path, rows: list[dict], shares: Shares, dot_names: list[str]) -> Image.Image:
    """Shows some pictures of each source, with an object or dots where there are any, under their masks and dots."""
    chosen = []
    sources = dict.fromkeys(row["source"] for row in rows)
    for source in sources:
        own = [row for row in rows if row["source"] == source]
        own = [row for row in own if _shows_something(row, shares)] or own
        number = min(len(own), -(-SHEET_TILES // len(sources)))
        chosen += [own[index * len(own) // number] for index in range(number)]
    tiles = [_tile(folder, row, dot_names) for row in chosen]
    side = TILE if dot_names else TILE // 2
    return contact_sheet(tiles, [f"{row['source']} · {row['split']}" for row in chosen], tile=side)


def _shows_something(row: dict, shares: Shares) -> bool:
    painted, _ = shares.get(f"{row['split']}/{row['file_name']}", (0, 0))
    return painted > 0 or any(row.get("dots", []))


def overlay_truth(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """Lays a mask of 0, 128 and 255, of any size, over a picture: the object in red, what is not judged in blue."""
    values = np.asarray(mask.convert("L").resize(picture.size, Image.Resampling.NEAREST))
    picture = overlay_mask(picture, np.uint8(255) * (values == OBJECT))
    return overlay_mask(picture, np.uint8(255) * (values == NOT_JUDGED), NOT_JUDGED_BLUE, 0.3)


def _tile(folder: Path, row: dict, dot_names: list[str]) -> Image.Image:
    file = f"{row['split']}/{row['file_name']}"
    damaged = f"The picture {file} cannot be read; data_scripts/doctor.py lists all faults."
    too_large = Image.DecompressionBombError  # has a sentence of its own
    with refused_as(DataError, damaged, too_large), Image.open(folder / file) as opened:
        opened.draft("RGB", (2 * TILE, 2 * TILE))  # decodes a large JPEG much faster
        tile = opened.convert("RGB")
    tile.thumbnail((2 * TILE, 2 * TILE))
    if "mask_file_name" in row:
        with refused_as(DataError, damaged), Image.open(folder / row["split"] / row["mask_file_name"]) as opened:
            tile = overlay_truth(tile, opened)
    if not dot_names:
        return tile
    dots = [
        (name, dot and dot[0] * tile.width, dot and dot[1] * tile.height, 1.0)
        for name, dot in zip(dot_names, row["dots"], strict=True)
    ]
    return draw_dots(tile, dots, sides=(TILE, TILE))
