"""The doctor's findings as one HTML page that needs nothing beside it: each with its picture and the mask over it."""

import html
from pathlib import Path

from PIL import ImageDraw

from carmask.data.card import count_line, overlay_truth
from carmask.data.layout import file_inside
from carmask.doctor.findings import KINDS, Finding
from carmask.doctor.row_checks import is_inside, path_of
from carmask.errors import PictureError
from carmask.files.drawing import data_url
from carmask.files.pictures import opened

MOST_SHOWN = 60  # findings of a kind with pictures; the page would grow beyond what a browser likes
THUMBNAIL = 240
DOT_INK = (255, 64, 64)
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>
body {{font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1120px; padding: 0 1rem; color: #222}}
h1 {{margin-bottom: 0}} h2 {{margin: 2.2rem 0 .2rem}} h2 small {{font-weight: normal; color: #777}}
.grid {{display: flex; flex-wrap: wrap; gap: 14px; margin-top: .8rem}}
figure {{margin: 0; padding: 8px; background: #f4f4f4; border-radius: 6px; max-width: 500px}}
figcaption {{font-size: 12px; overflow-wrap: anywhere; max-width: {thumbnail}px}}
.pair figcaption {{max-width: none}} img {{max-width: {thumbnail}px; display: inline-block; vertical-align: top}}
</style></head><body>
<h1>{title}</h1>
<p>{counts}. The object in red, not judged in blue.</p>
{sections}
</body></html>
"""


def write_page(path: Path, data: Path, rows: list[dict], findings: list[Finding]) -> None:
    """Writes the page: a section for each kind of finding, with its remedy and its pictures."""
    row_of = {path_of(row, column): row for row in rows for column in ("file_name", "mask_file_name")}
    sections = []
    for kind, (remedy, fault) in KINDS.items():
        own = [finding for finding in findings if finding.kind == kind]
        if own:
            rest = f" · the first {MOST_SHOWN} are shown" if len(own) > MOST_SHOWN else ""
            note = f"{len(own)}{'' if fault else ' · only worth a look'}{rest}"
            cards = "\n".join(card(data, finding, row_of) for finding in own[:MOST_SHOWN])
            heading = f"<h2>{html.escape(kind.capitalize())} <small>{note}</small></h2>{html.escape(remedy)}"
            sections.append(f'<section>{heading}\n<div class="grid">{cards}</div></section>')
    words = {"title": f"Findings in {html.escape(data.resolve().name)}", "counts": count_line(rows)}
    text = PAGE.format(sections="\n".join(sections) or "<p>No findings.</p>", thumbnail=THUMBNAIL, **words)
    path.write_text(text, encoding="utf-8", errors="replace")  # a name need not be UTF-8


def card(data: Path, finding: Finding, row_of: dict[str, dict]) -> str:
    """One finding: a thumbnail of each row that it is about, file names, and the reason."""
    shown = {path_of(row_of[file], "file_name"): row_of[file] for file in finding.files if file in row_of}
    pictures = "".join(thumbnail(data, row) for row in shown.values())
    words = "<br>".join(html.escape(word) for word in (*finding.files, finding.reason))
    kind = ' class="pair"' if len(shown) > 1 else ""
    return f"<figure{kind}>{pictures}<figcaption>{words}</figcaption></figure>"


def thumbnail(data: Path, row: dict) -> str:
    """A row's picture with its mask and dots over it, as an HTML image; nothing where there is none to decode."""
    file, mask_file = (file_inside(data, row["split"], row.get(name)) for name in ("file_name", "mask_file_name"))
    if file is None:
        return ""
    try:
        with opened(file) as stored:
            picture = stored.convert("RGB")
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        if mask_file:
            with opened(mask_file) as stored:
                picture = overlay_truth(picture, stored)
    except PictureError:
        return ""
    dots = row.get("dots")
    for x, y in filter(is_inside, dots if isinstance(dots, list) else []):
        ImageDraw.Draw(picture).circle((x * picture.width, y * picture.height), 4, DOT_INK, "white")
    return f'<img alt="" src="{data_url(picture, "JPEG")}">'
