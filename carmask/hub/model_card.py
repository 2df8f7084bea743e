"""The model card: what a model is, how it was made and how good it is, as README.md beside the weights."""

import json
import re
import shlex
from collections import Counter
from pathlib import Path

import datasets
import yaml
from matplotlib.figure import Figure

from carmask.data.streams import is_stream
from carmask.evaluation.bootstrap import brackets
from carmask.evaluation.validation import BEST, Scores
from carmask.files.words import capital, one
from carmask.hub.licences import licence_of
from carmask.hub.scores_file import OLD_KEY, read_scores, without_object
from carmask.inference.predictor import Predictor


def draw_curves(history: list[dict], kept: int, path: Path) -> None:
    """Draws the loss, and the score that chooses the best model, against steps into a PNG, with the step `kept`."""
    key = next(key for key in BEST.values() if key in history[0])
    title = {"balanced_iou": "Validation score", "f1_5": "Validation: dots found within 5 % (F1)"}[key]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, name, heading in zip(figure.subplots(1, 2), ("loss", key), ("Loss", title), strict=True):
        axes.plot([line["step"] for line in history], [line[name] for line in history], marker=".")
        axes.axvline(kept, color="grey", linestyle="--", label=f"kept: step {kept}")
        axes.set(title=heading, xlabel="step")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110)


def markdown_table(lines: list[list[str]]) -> str:
    """Lines of cells as a Markdown table, the first one its head."""
    head, *rows = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rows])


MASK_KEYS = ("iou", "mean_iou", "dice", "precision", "recall", "boundary_iou", "false_positive_share")
DOT_KEYS = ("pck_2", "pck_5", "pck_10", "mean_error", "median_error", "presence_f1", "f1_5", "swapped")


def score_table(scores: Scores) -> str:
    """A Markdown table of scores: a row per source for masks, per name for dots."""
    first, keys = ("pictures", MASK_KEYS) if "iou" in scores["all"] else ("dot", DOT_KEYS)
    lines = [[first, *keys]]
    for name, values in scores.items():
        told = {key: f"{values[key]:.4f}" for key in keys if key in values}
        if "iou_low" in values:
            told["iou"] += brackets(values["iou_low"], values["iou_high"], int(values.get("few_groups", 0)))
        if "iou" in values and without_object(values):
            told = {"false_positive_share": told["false_positive_share"]}
        lines.append([name, *(told.get(key, "–") for key in keys)])
    return markdown_table(lines)


CARD = """---
license: {licence}
library_name: {library}
pipeline_tag: {tag}
tags: {tags}
---
# {name}

{purpose} Pictures are read as grey.

```bash
pip install .  # in a checkout of carmask; then, in the folder that holds this model:
carmask predict photo.jpg --model {quoted} --out answers
```

```python
from carmask import Predictor, open_picture

picture = open_picture("photo.jpg")
{answer}
```
{stock}
Trained with `{command}` on {counts}{start}. Kept is {kept}. {inference_settings} Its weights go
back to {origin}.{terms}

{tables}

{meaning}

Made with the seed {seed} on {device} ({processes}, {precision}) by the code of git revision {code}, with {versions}.
SHA-256 of the pictures and their truth, of unlabelled ones and of a teacher: {data}.

![Loss and validation score](curves.png)
"""

STOCK = """
transformers' own pipeline opens this folder, too. Make its pictures grey first; then its mask is the same, and without
that the two differ (an IoU of 0.965 to 1.000 between them):

```python
from PIL import Image
from transformers import pipeline

grey = Image.open("photo.jpg").convert("L").convert("RGB")
masks = pipeline("image-segmentation", "{name}", subtask="semantic")(grey)
```
"""
NEVER_ABSENT = """

**No dot is missing from any of these pictures**, so whether the model places none where none is was not scored: expect
it to place dots on any picture."""
PRECISIONS = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}  # by accelerate's names
CARD_TEXTS = {
    "mask": {
        "tag": "image-segmentation",
        "purpose": "Gives a picture of {one_object} back as a mask: 255 where the {object} is, 0 elsewhere.",
        "answer": 'mask = Predictor.from_pretrained("{name}")(picture)  # uint8, the picture\'s height and width',
        "meaning": """`iou`, `dice`, `precision`, `recall` and `boundary_iou` are pooled over pixels, `mean_iou` is
over pictures; `false_positive_share` is the share of pixels called {object} on pictures without one. Pixels marked as
not judged do not count. In brackets after `iou`: where it would be with other pictures of the same kind, in 95 of 100
cases by the bootstrap, pictures of a group drawn together. Fewer than six groups, or single pictures, cannot tell
that; then the lowest and the highest score of one stand there, and another one may lie outside. {grouping}""",
    },
    "dots": {
        "tag": "keypoint-detection",
        "purpose": "Places named dots on a picture, and says which are not there: {labels}.",
        "answer": 'dots = Predictor.from_pretrained("{name}")(picture)  # [Dot(name, x, y, score), …], in pixels',
        "meaning": """`pck_2`, `pck_5` and `pck_10` are the shares of the visible dots found within 2, 5 and 10 % of
the picture's longer side, a dot not found counting as wrong; `mean_error` and `median_error` are shares of the longer
side, over found dots; `presence_f1` judges whether dots are found where there are any, wherever, and has no value for
a dot that no picture lacks; `f1_5` counts dots within 5 % only; `swapped` is the share of found dots that lie on their
left or right partner. A dot counts as found from the score stored in config.json as threshold, which is the best one
on the validation pictures. {grouping}""",
    },
}


def write_report(
    folder: Path, facts: dict, train: datasets.Dataset, scores: dict[str, Scores], history: list[dict]
) -> None:
    """Writes the model card, `scores.json` (with the history) and the curves into a model folder.

    Args:
        folder: the model folder.
        facts: the run's task, labels, network, inference_settings, kept (which step, and why), kept_step, start (where
            its command does not say it), command, seed, device, processes, precision and origin, what
            `carmask.hub.provenance` says of its code, versions and data, and, if its data set says so, `grouped_by`.
        train: the rows it was trained on.
        scores: per split, what `validate` gave.
        history: one line per validation with step, loss and scores.
    """
    sources = Counter(train["source"]) if "source" in train.column_names and not is_stream(train) else {}
    counts = "a stream of pictures" if is_stream(train) else f"{len(train)} pictures"
    counts += "".join(f", {count} of {name}" for name, count in sorted(sources.items()))
    licence, terms = licence_of(facts["origin"])
    facts = {"start": ""} | facts | {"origin": " and ".join(facts["origin"]), "licence": licence}
    facts |= {"name": folder.name, "quoted": shlex.quote(folder.name), "object": facts["labels"][-1]}
    facts["grouping"] = grouping_words(facts.get("grouped_by", ""), train)
    facts |= card_head(facts) | {"one_object": one(facts["object"]), "labels": ", ".join(facts["labels"])}
    facts["processes"] = "one process" if facts["processes"] == 1 else f"{facts['processes']} processes"
    facts["precision"] = PRECISIONS.get(facts["precision"], facts["precision"])
    facts |= {key: text.format(**facts) for key, text in CARD_TEXTS[facts["task"]].items()}
    if facts["task"] == "dots" and not any("presence_f1" in values["all"] for values in scores.values()):
        facts["meaning"] += NEVER_ABSENT
    tables = "\n\n".join(f"## Scores on {split}\n\n{score_table(values)}" for split, values in scores.items())
    (folder / "README.md").write_text(
        CARD.format(counts=counts, tables=tables, terms=terms, **facts), encoding="utf-8"
    )
    report = {"scores": scores, "history": history}
    (folder / "scores.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    if history:
        draw_curves(history, facts["kept_step"], folder / "curves.png")


def grouping_words(grouped_by: str, train: datasets.Dataset) -> str:
    """By what the pictures that belong together were kept in one split, and of which pictures scores tell nothing."""
    known = "group" in (train.column_names or []) and not is_stream(train)
    several = sum(number for number in Counter(train["group"] if known else []).values() if number > 1)  # pictures
    if not grouped_by and several:
        grouped_by = "the column group of the data set"
    told = f"Which pictures belong together was told by {grouped_by}." if grouped_by and (several or not known) else ""
    if told and (not known or several > len(train) / 2):
        return told
    return (
        f"{told} Nothing told {'it of most' if told else 'which pictures belong together'}, so these scores hold for "
        "pictures like these only: taken at the same places and times as those it was trained on."
    ).lstrip()


def card_head(facts: dict) -> dict[str, str]:
    """What a card says by the kind of network: the library that opens it, its tags, and lines for another library."""
    tags = [CARD_TEXTS[facts["task"]]["tag"], *[facts["object"]] * (facts["task"] == "mask"), facts["network"]]
    segformer = facts["network"] == "segformer"
    return {
        "library": "transformers" if segformer else "carmask",
        "tags": yaml.safe_dump(tags, default_flow_style=True, allow_unicode=True).strip(),
        "stock": STOCK.format(name=facts["name"]) if segformer and facts["task"] == "mask" else "",
    }


def tuned_words(chosen: str, pictures: int) -> str:
    """That the inference settings named in `chosen` were chosen on so many validation pictures, in a sentence."""
    return f"{capital(chosen)} {'were' if ' and ' in chosen else 'was'} chosen on {pictures} validation pictures."


def describe_inference_settings(predictor: Predictor, whose: str) -> str:
    """How a model sees pictures, and `whose` choice its size, mirror image and threshold are, in two sentences."""
    limits, mirror = predictor.preprocessing.size, predictor.task.mirror
    size = (
        f"with a long side of {limits['max_height']}"
        if limits.get("max_height")
        else f"as {limits['height']} × {limits['width']}"
    )
    mirror_image = f", and its mirror image at {mirror:.0%} of that" if mirror else ""
    return f"It sees a picture {size} pixels{mirror_image}. {whose}"


def rescore(folder: Path, scores: dict[str, Scores], inference_settings: str) -> None:
    """Puts new scores per split, and how the model now sees pictures, into its card and its `scores.json`."""
    card = (folder / "README.md").read_text(encoding="utf-8").replace(*OLD_KEY)
    card = re.sub(r"It sees a picture .*?(?=\s+Its weights go\s)", lambda _: inference_settings, card, flags=re.DOTALL)
    for split, values in scores.items():
        card = re.sub(rf"(## Scores on {split}\n\n)(\|.*\n)+", rf"\g<1>{score_table(values)}\n", card)
    (folder / "README.md").write_text(card, encoding="utf-8")
    report = read_scores(folder)
    report["scores"] |= scores
    (folder / "scores.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
