"""What a training run leaves to read: scores by source, curves, the worst cases, and the model card."""

import json
from collections import Counter, defaultdict
from pathlib import Path

import datasets
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

from carmask.drawing import contact_sheet, overlay_mask
from carmask.metrics import MaskScores, picture_counts, summary
from carmask.pictures import grey_rgb, upright_rgb
from carmask.predictor import Predictor
from carmask.rows import read_pair

MISSED, FALSE = (230, 60, 60), (60, 120, 250)
Scores = dict[str, dict[str, float]]


def validate(predictor: Predictor, split: datasets.Dataset, worst: int = 0) -> tuple[Scores, list[Image.Image]]:
    """Scores a split through the predictor, at full resolution, as a visitor would see it.

    Returns:
        The scores of `carmask.metrics` for "all" and for each source; "all" also has `balanced_iou`, the mean of the
        pooled IoU of the sources with cars, so that many or large pictures of one source do not drown the others.
        And pictures of the `worst` cases: missed car in red, false car in blue.
    """
    metric = MaskScores()
    counts = defaultdict(list)
    cases = []
    for index, row in enumerate(tqdm(split, desc="Validating", leave=False, disable=None)):
        _, truth = read_pair(row)
        mask = predictor(row["image"])
        metric.add(prediction=Image.fromarray(mask), reference=Image.fromarray(truth))
        count = picture_counts(mask, truth)
        counts[row.get("source") or "pictures"].append(count)
        if worst:
            cases.append((summary([count])["iou"], index, mask))
    scores = {source: summary(counts[source]) for source in sorted(counts)} | {"all": metric.compute()}
    with_car = [scores[source]["iou"] for source in sorted(counts) if sum(count[2] for count in counts[source])]
    scores["all"]["balanced_iou"] = float(np.mean(with_car)) if with_car else 1.0
    worst_cases = sorted(cases, key=lambda case: case[:2])[:worst]
    return scores, [draw_case(split[index], mask) for _, index, mask in worst_cases]


def draw_case(row: dict, mask: np.ndarray) -> Image.Image:
    """One picture with the car pixels that `mask` missed in red and the false ones in blue."""
    picture = grey_rgb(upright_rgb(row["image"]))
    _, truth = read_pair(row)
    for wrong, colour in (((truth == 255) & (mask == 0), MISSED), ((truth == 0) & (mask == 255), FALSE)):
        picture = overlay_mask(picture, wrong.astype(np.uint8) * 255, colour)
    return picture


def draw_curves(history: list[dict], path: Path) -> None:
    """Draws loss and validation IoU against steps into a PNG."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, key, title in zip(
        figure.subplots(1, 2), ("loss", "balanced_iou"), ("Loss", "Validation IoU"), strict=True
    ):
        axes.plot([line["step"] for line in history], [line[key] for line in history], marker=".")
        axes.set(title=title, xlabel="step")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def score_table(scores: Scores) -> str:
    """A Markdown table of scores, one row per source."""
    keys = ["iou", "mean_iou", "dice", "precision", "recall", "boundary_iou", "false_car_share"]
    lines = ["| pictures | " + " | ".join(keys) + " |", "|---" * (len(keys) + 1) + "|"]
    for source, values in scores.items():
        cells = [f"{values[key]:.4f}" if key in values else "–" for key in keys]
        lines.append(f"| {source} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


FREE_ORIGINS = {"scratch", "scratch-b0", "scratch-b1", "scratch-b2", "efficientnet-lite0"}
RESEARCH_ONLY = " The weights of nvidia/ may be used for research only, and so may what was trained from them."
CARD = """---
license: {licence}
library_name: transformers
pipeline_tag: image-segmentation
tags: [image-segmentation, car, {network}]
---
# {name}

Gives a picture of a car back as a mask: 255 where the car is, 0 elsewhere. Pictures are read as grey.

```python
from carmask import Predictor
mask = Predictor.from_pretrained("{name}")(picture)  # uint8, the picture's height and width
```

Trained with `{command}` on {counts}. It sees a picture with a long side of {side} pixels. Its weights
go back to {origin}.{terms}

{tables}

`iou`, `dice`, `precision`, `recall` and `boundary_iou` are pooled over pixels, `mean_iou` is over pictures;
`false_car_share` is the share of pixels called car on pictures without one. Pixels marked as not judged do not count.

![Loss and validation IoU](curves.png)
"""


def write_report(
    folder: Path, facts: dict[str, str], train: datasets.Dataset, scores: dict[str, Scores], history: list[dict]
) -> None:
    """Writes the model card, `scores.json` (with the history) and the curves into a model folder.

    Args:
        folder: the model folder.
        facts: the run's network, command, side and origin.
        train: the rows it was trained on.
        scores: per split, what `validate` gave.
        history: one line per validation with step, loss and balanced_iou.
    """
    sources = Counter(train["source"]) if "source" in train.column_names else {}
    counts = f"{len(train)} pictures" + "".join(f", {count} of {name}" for name, count in sorted(sources.items()))
    free = set(facts["origin"]) <= FREE_ORIGINS
    research_only = any("nvidia/" in one for one in facts["origin"])
    terms = RESEARCH_ONLY if research_only else "" if free else " Their terms hold for this model too."
    facts = facts | {"origin": " and ".join(facts["origin"]), "licence": "apache-2.0" if free else "other"}
    tables = "\n\n".join(f"## Scores on {split}\n\n{score_table(values)}" for split, values in scores.items())
    (folder / "README.md").write_text(
        CARD.format(name=folder.name, counts=counts, tables=tables, terms=terms, **facts),
        encoding="utf-8",
    )
    report = {"scores": scores, "history": history}
    (folder / "scores.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    if history:
        draw_curves(history, folder / "curves.png")


def write_worst(folder: Path, cases: list[Image.Image]) -> None:
    """Writes worst.png: the cases with the lowest IoU, missed car in red and false car in blue."""
    if cases:
        contact_sheet(cases, columns=4, tile=240).save(folder / "worst.png")
