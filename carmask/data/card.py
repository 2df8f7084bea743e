"""What a data set says about itself: counts, a README, and a contact sheet with the truth laid over its pictures."""

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from carmask.data.layout import CAR, NOT_JUDGED, SPLITS
from carmask.errors import DataError
from carmask.files.drawing import contact_sheet, draw_dots, overlay_mask
from carmask.files.pictures import DECODE_ERRORS

SHEET_TILES = 24
TILE = 320  # pixels a side where names of dots have to be read
NOT_JUDGED_BLUE = (64, 96, 255)

Shares = dict[str, tuple[float, float]]  # SPLIT/FILE_NAME → shares of car and of not-judged pixels


def count_line(rows: list[dict]) -> str:
    """Says how many pictures each split has."""
    counts = Counter(row["split"] for row in rows)
    return f"{len(rows)} pictures (" + ", ".join(f"{split} {counts[split]}" for split in SPLITS if counts[split]) + ")"


def data_set_card(title: str, rows: list[dict], shares: Shares, dot_names: list[str], object_name: str) -> str:
    """Returns the README of a data set: how many pictures, cars and dots it has, by source and split."""
    parts = [f"# {title}", f'{count_line(rows)}. Open it with `load_dataset("imagefolder", data_dir=...)`.']
    if shares:
        parts.append("Masks are PNG, 0 = background, 255 = car, 128 = not judged.")
        parts.append("\n".join(_mask_table(rows, shares)))
    if dot_names:
        parts.append(
            "Column `dots`: for each name of dot_names.json [x, y] as fractions of width and height, or null."
        )
        parts.append("\n".join(_dot_table(rows, dot_names)))
    parts.append("![Some of the pictures: car in red, not judged in blue, dots by name](contact_sheet.png)")
    return "\n\n".join(parts) + "\n"


def _mask_table(rows: list[dict], shares: Shares) -> list[str]:
    lines = ["| source | split | pictures | with a car | car pixels | not judged |", "|---|---|---:|---:|---:|---:|"]
    for source in sorted({row["source"] for row in rows}):
        for split in SPLITS:
            chosen = [row for row in rows if (row["source"], row["split"]) == (source, split)]
            judged = [shares[f"{split}/{row['file_name']}"] for row in chosen if "mask_file_name" in row]
            if judged:
                car, not_judged = (f"{100 * share:.1f} %" for share in np.mean(judged, axis=0))
                with_car = sum(share > 0 for share, _ in judged)
                lines.append(f"| {source} | {split} | {len(judged)} | {with_car} | {car} | {not_judged} |")
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
    """Shows some pictures of each source, with a car or dots where there are any, under their masks and dots."""
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
    car, _ = shares.get(f"{row['split']}/{row['file_name']}", (0, 0))
    return car > 0 or any(row.get("dots", []))


def _tile(folder: Path, row: dict, dot_names: list[str]) -> Image.Image:
    file = f"{row['split']}/{row['file_name']}"
    try:
        with Image.open(folder / file) as opened:
            opened.draft("RGB", (2 * TILE, 2 * TILE))  # decodes a large JPEG much faster
            tile = opened.convert("RGB")
    except Image.DecompressionBombError:
        raise  # has a sentence of its own
    except DECODE_ERRORS as error:
        raise DataError(f"The picture {file} cannot be read; data_scripts/doctor.py lists all faults.") from error
    tile.thumbnail((2 * TILE, 2 * TILE))
    if "mask_file_name" in row:
        with Image.open(folder / row["split"] / row["mask_file_name"]) as opened:
            mask = np.asarray(opened.convert("L").resize(tile.size, Image.Resampling.NEAREST))
        tile = overlay_mask(tile, np.where(mask == CAR, np.uint8(255), np.uint8(0)))
        tile = overlay_mask(tile, np.where(mask == NOT_JUDGED, np.uint8(255), np.uint8(0)), NOT_JUDGED_BLUE, 0.3)
    if not dot_names:
        return tile
    dots = [
        (name, dot and dot[0] * tile.width, dot and dot[1] * tile.height, 1.0)
        for name, dot in zip(dot_names, row["dots"], strict=True)
    ]
    return draw_dots(tile, dots, sides=(TILE, TILE))
