"""What a training run leaves to read: scores by source, curves, the worst cases, and the model card."""

import json
import math
import re
from collections import Counter, defaultdict
from pathlib import Path

import datasets
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from tqdm import tqdm

from carmask.data.rows import read_pair
from carmask.data.streams import is_stream
from carmask.evaluation.bootstrap import bootstrap_intervals
from carmask.evaluation.mask_metrics import (
    DotScores,
    MaskScores,
    best_threshold,
    dot_scores,
    picture_counts,
    summary,
    without_car,
)
from carmask.files.drawing import contact_sheet, overlay_mask
from carmask.files.pictures import grey_rgb, upright_rgb
from carmask.hub.licences import licence_of
from carmask.inference.predictor import Predictor
from carmask.tasks.dots_task import Dot, DotsTask

MISSED, FALSE = (230, 60, 60), (60, 120, 250)

BEST = {"mask": "balanced_iou", "dots": "f1_5"}  # the score by which the best model is chosen

Scores = dict[str, dict[str, float]]


def validate(
    predictor: Predictor, split: datasets.Dataset, worst: int = 0, calibrate: bool = False
) -> tuple[Scores, list[Image.Image]]:
    """Scores a split through the predictor, at full resolution, as a visitor would see it.

    For dots see `validate_dots`; for masks nothing is calibrated.

    Returns:
        The scores of `carmask.metrics` for "all" and for each source; "all" also has `balanced_iou`, and a source with
        cars `iou_low` and `iou_high`, between which 95 % of other pictures would put its `iou`.
        And pictures of the `worst` cases: missed car in red, false car in blue.
    """
    if predictor.task.kind == "dots":
        return validate_dots(predictor, split, worst, calibrate)
    metric, sources, groups, cases = MaskScores(), [], defaultdict(list), []
    for index, row in enumerate(tqdm(split, desc="Validating", leave=False, disable=None)):
        _, truth = read_pair(row)
        mask = predictor(row["image"])
        metric.add(prediction=Image.fromarray(mask), reference=Image.fromarray(truth))
        sources.append(row.get("source") or "pictures")
        groups[sources[-1]].append(row.get("group") or str(index))
        if worst:
            cases.append((summary([picture_counts(mask, truth)])["iou"], index, mask))
            cases = sorted(cases, key=lambda case: case[:2])[:worst]
    everything = metric.compute(each=True)
    counts = defaultdict(list)
    for source, count in zip(sources, everything["counts"], strict=True):
        counts[source].append(count)
    del everything["counts"]
    scores = {source: summary(counts[source]) for source in sorted(counts)}
    for source, values in scores.items():
        if any(count[2] for count in counts[source]):
            values["iou_low"], values["iou_high"] = bootstrap_intervals(counts[source], groups[source])["iou"]
    scores["all"] = everything | {"balanced_iou": balanced_iou(counts)}
    return scores, [draw_case(split[index], mask) for _, index, mask in cases]


def balanced_iou(counts: dict[str, list[np.ndarray]]) -> float:
    """One score for masks from several sources, to choose the best model by; `counts` are `picture_counts` by source.

    The mean of the sources' pooled IoU, less the share of false car pixels on pictures without a car. Pooling all
    pixels would leave the choice to the source with the largest cars. A plain mean leaves it to the smallest source,
    whose IoU is mostly chance: with 8 small cars among 80 pictures it was 0.13, and anything from 0.01 to 0.35 by the
    bootstrap. So a source weighs the square root of its number of pictures with a car, since chance shrinks with that
    root. And a picture without a car has no IoU to speak of, so without the second part a model could call anything
    car there.
    """
    weights = [math.sqrt(sum(count[2] > 0 for count in group)) for group in counts.values()]
    ious = [summary(group)["iou"] for group in counts.values()]
    false_car = summary([count for group in counts.values() for count in group]).get("false_car_share", 0.0)
    return float(np.average(ious, weights=weights) if any(weights) else 1.0) - false_car


def draw_case(row: dict, mask: np.ndarray) -> Image.Image:
    """One picture with the car pixels that `mask` missed in red and the false ones in blue."""
    picture = grey_rgb(upright_rgb(row["image"]))
    _, truth = read_pair(row)
    for wrong, colour in (((truth == 255) & (mask == 0), MISSED), ((truth == 0) & (mask == 255), FALSE)):
        picture = overlay_mask(picture, wrong.astype(np.uint8) * 255, colour)
    return picture


def validate_dots(
    predictor: Predictor, split: datasets.Dataset, worst: int = 0, calibrate: bool = False
) -> tuple[Scores, list[Image.Image]]:
    """Scores the dots of a split through the predictor, by the task's threshold or, to calibrate, by the best one.

    Returns:
        The scores of `carmask.metrics.DotScores` for "all", with the threshold, and for each name. And pictures of the
        `worst` cases, which have the most dots missed, false, or more than 5 % off: a red ring where a dot is, a blue
        disc where it was found, and a line between the two.
    """
    task, everything = predictor.task, predictor.with_threshold(0.0)
    predictions, references = [], []
    for row in tqdm(split, desc="Validating", leave=False, disable=None):
        grey, truth = read_pair(row)
        shares = np.array(grey.shape[::-1]) / max(grey.shape)
        predictions.append(dot_table(everything(row["image"]), task, max(grey.shape)))
        references.append(truth * shares)
    threshold = best_threshold(predictions, references, task.entries) if calibrate else task.threshold
    settings = {"names": task.entries, "pairs": task.pairs, "threshold": threshold}
    scores = DotScores().compute(predictions=predictions, references=references, **settings)
    scores["all"]["threshold"] = threshold
    quality = [
        dot_scores([one], [other], **settings)["all"]["f1_5"]
        for one, other in zip(predictions, references, strict=True)
        if worst
    ]
    worst_cases = sorted(range(len(quality)), key=lambda index: (quality[index], index))[:worst]
    found = [np.where(one[:, 2:] >= threshold, one[:, :2], np.nan) for one in predictions]
    return scores, [draw_dots_case(split[index], found[index]) for index in worst_cases]


def dot_table(dots: list[Dot], task: DotsTask, longest: int) -> np.ndarray:
    """Dots as float64 (entries, 3): x and y as shares of a picture's side `longest`, NaN where nowhere, and score."""
    waiting = {name: [dot for dot in dots if dot.name == name] for name in task.names}
    found = [waiting[name].pop(0) if waiting[name] else Dot(name, None, None, 0.0) for name in task.entries]
    places = np.array([[dot.x, dot.y] for dot in found], dtype=np.float64) / longest
    return np.column_stack([places, [dot.score for dot in found]])


def draw_dots_case(row: dict, found: np.ndarray) -> Image.Image:
    """One picture with a red ring at each true dot, a blue disc at each found one, and lines between the two.

    `found` (entries, 2) are shares of the picture's longer side, NaN where a dot was not found.
    """
    picture = grey_rgb(upright_rgb(row["image"]))
    true = np.array(row["dots"]) * picture.size
    longest = max(picture.size)
    draw, radius = ImageDraw.Draw(picture), max(2, longest / 60)
    for (x, y), (found_x, found_y) in zip(true, found * longest, strict=True):
        if not np.isnan([x, found_x]).any():
            draw.line([x, y, found_x, found_y], MISSED, max(1, round(radius / 3)))
        if not np.isnan(x):
            draw.ellipse(
                [x - radius, y - radius, x + radius, y + radius], outline=MISSED, width=max(1, int(radius / 3))
            )
        if not np.isnan(found_x):
            small = radius / 2
            draw.ellipse([found_x - small, found_y - small, found_x + small, found_y + small], fill=FALSE)
    return picture


def headline(kind: str, scores: Scores) -> str:
    """The scores of one validation in a line."""
    if kind == "mask":
        return "validation IoU " + ", ".join(f"{source} {values['iou']:.3f}" for source, values in scores.items())
    return "validation " + ", ".join(f"{key} {scores['all'][key]:.3f}" for key in ("pck_5", "presence_f1", "f1_5"))


def draw_curves(history: list[dict], path: Path) -> None:
    """Draws the loss, and the score that chooses the best model, against steps into a PNG."""
    key = next(key for key in BEST.values() if key in history[0])
    title = {"balanced_iou": "Validation IoU", "f1_5": "Validation: dots found within 5 % (F1)"}[key]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, name, heading in zip(figure.subplots(1, 2), ("loss", key), ("Loss", title), strict=True):
        axes.plot([line["step"] for line in history], [line[name] for line in history], marker=".")
        axes.set(title=heading, xlabel="step")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def markdown_table(lines: list[list[str]]) -> str:
    """Lines of cells as a Markdown table, the first one its head."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], ["---"] * len(lines[0]), *lines[1:]])


MASK_KEYS = ("iou", "mean_iou", "dice", "precision", "recall", "boundary_iou", "false_car_share")

DOT_KEYS = ("pck_2", "pck_5", "pck_10", "mean_error", "median_error", "presence_f1", "f1_5", "swapped")


def score_table(scores: Scores) -> str:
    """A Markdown table of scores: a row per source for masks, per name for dots."""
    first, keys = ("pictures", MASK_KEYS) if "iou" in scores["all"] else ("dot", DOT_KEYS)
    lines = [[first, *keys]]
    for name, values in scores.items():
        told = {key: f"{values[key]:.4f}" for key in keys if key in values}
        if "iou_low" in values:
            told["iou"] += f" ({values['iou_low']:.3f}–{values['iou_high']:.3f})"
        if "iou" in values and without_car(values):
            told = {"false_car_share": told["false_car_share"]}
        lines.append([name, *(told.get(key, "–") for key in keys)])
    return markdown_table(lines)


CARD = """---
license: {licence}
library_name: transformers
pipeline_tag: {tag}
tags: [{tags}, {network}]
---
# {name}

{purpose} Pictures are read as grey.

```python
from carmask import Predictor
{answer}
```

Trained with `{command}` on {counts}. {look} Its weights go
back to {origin}.{terms}

{tables}

{meaning}

Made with the seed {seed} on {device} ({processes}, {precision}) by the code of git revision {code}, with {versions}.
SHA-256 of the pictures and their truth, of unlabelled ones and of a teacher: {data}.

![Loss and validation score](curves.png)
"""

PRECISIONS = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}  # by accelerate's names

CARD_TEXTS = {
    "mask": {
        "tag": "image-segmentation",
        "tags": "image-segmentation, car",
        "purpose": "Gives a picture of a car back as a mask: 255 where the car is, 0 elsewhere.",
        "answer": 'mask = Predictor.from_pretrained("{name}")(picture)  # uint8, the picture\'s height and width',
        "meaning": """`iou`, `dice`, `precision`, `recall` and `boundary_iou` are pooled over pixels, `mean_iou` is
over pictures; `false_car_share` is the share of pixels called car on pictures without one. Pixels marked as not
judged do not count. In brackets after `iou`: where it would be with other pictures of the same kind, in 95 of 100
cases by the bootstrap, pictures of a group drawn together; of fewer than six groups pictures are drawn one by one, and
the interval is too narrow.""",
    },
    "dots": {
        "tag": "keypoint-detection",
        "tags": "keypoint-detection",
        "purpose": "Places named dots on a picture, and says which are not there: {labels}.",
        "answer": 'dots = Predictor.from_pretrained("{name}")(picture)  # [Dot(name, x, y, score), …], in pixels',
        "meaning": """`pck_2`, `pck_5` and `pck_10` are the shares of the visible dots found within 2, 5 and 10 % of
the picture's longer side, a dot not found counting as wrong; `mean_error` and `median_error` are shares of the longer
side, over found dots; `presence_f1` judges whether dots are found where there are any, wherever; `f1_5` counts dots
within 5 % only; `swapped` is the share of found dots that lie on their left or right partner. A dot counts as found
from the score stored in config.json as threshold, which is the best one on the validation pictures.""",
    },
}


def write_report(
    folder: Path,
    facts: dict[str, str | list[str]],
    train: datasets.Dataset,
    scores: dict[str, Scores],
    history: list[dict],
) -> None:
    """Writes the model card, `scores.json` (with the history) and the curves into a model folder.

    Args:
        folder: the model folder.
        facts: the run's task, labels, network, look, command, seed, device, processes, precision and origin, and what
            `carmask.provenance` says of its code, versions and data.
        train: the rows it was trained on.
        scores: per split, what `validate` gave.
        history: one line per validation with step, loss and scores.
    """
    sources = Counter(train["source"]) if "source" in train.column_names and not is_stream(train) else {}
    counts = "a stream of pictures" if is_stream(train) else f"{len(train)} pictures"
    counts += "".join(f", {count} of {name}" for name, count in sorted(sources.items()))
    licence, terms = licence_of(facts["origin"])
    facts = facts | {"origin": " and ".join(facts["origin"]), "licence": licence}
    facts |= {"name": folder.name, "labels": ", ".join(facts["labels"])}
    facts["processes"] = "one process" if facts["processes"] == 1 else f"{facts['processes']} processes"
    facts["precision"] = PRECISIONS.get(facts["precision"], facts["precision"])
    facts |= {key: text.format(**facts) for key, text in CARD_TEXTS[facts["task"]].items()}
    tables = "\n\n".join(f"## Scores on {split}\n\n{score_table(values)}" for split, values in scores.items())
    (folder / "README.md").write_text(
        CARD.format(counts=counts, tables=tables, terms=terms, **facts),
        encoding="utf-8",
    )
    report = {"scores": scores, "history": history}
    (folder / "scores.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    if history:
        draw_curves(history, folder / "curves.png")


def describe_look(predictor: Predictor) -> str:
    """How a model sees pictures, in a sentence."""
    limits, mirror = dict(predictor.processor.size), predictor.task.mirror
    size = (
        f"with a long side of {limits['max_height']}"
        if limits.get("max_height")
        else f"as {limits['height']} × {limits['width']}"
    )
    mirror_image = f", and its mirror image at {mirror:.0%} of that" if mirror else ""
    return f"It sees a picture {size} pixels{mirror_image}."


def rescore(folder: Path, scores: dict[str, Scores], look: str) -> None:
    """Puts new scores per split, and how the model now sees pictures, into its card and its `scores.json`."""
    card = (folder / "README.md").read_text(encoding="utf-8")
    card = re.sub(r"It sees a picture [^.]* pixels[^.]*\.", look, card)
    for split, values in scores.items():
        card = re.sub(rf"(## Scores on {split}\n\n)(\|.*\n)+", rf"\g<1>{score_table(values)}\n", card)
    (folder / "README.md").write_text(card, encoding="utf-8")
    report = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    report["scores"] |= scores
    (folder / "scores.json").write_text(json.dumps(report, indent=1), encoding="utf-8")


def write_worst(folder: Path, cases: list[Image.Image]) -> None:
    """Writes worst.png, the worst cases as `validate` draws them."""
    if cases:
        contact_sheet(cases, columns=4, tile=240).save(folder / "worst.png")
