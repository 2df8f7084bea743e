"""Says whether model B draws better masks than model A, overall and for each source of a data set.

    carmask compare models/car-mask-b0 my-model --data my-set --out differences.png

The difference of a pooled score comes with the interval that holds 95 % of what other pictures of the same kind would
give (bootstrap, the same pictures for both models, drawn by group). Two data sets, --data OLD NEW, tell what B forgot
of the old pictures and what it learned of the new ones. --out draws the pictures on which the two differ most: what a
model misses in red, what it wrongly finds in blue. --card writes the tables into B's model card as well.
"""

import argparse
import re
import sys
from collections import defaultdict
from pathlib import Path

import datasets
import numpy as np
from PIL import Image

from carmask.data.card import object_name_of
from carmask.data.label_options import add_table_options, label_options
from carmask.data.rows import read_numbered, row_name
from carmask.data.sources import choose_split, open_splits
from carmask.errors import DataError, ModelError
from carmask.evaluation.bootstrap import FEWEST, Difference, false_positive_share, paired_difference, pooled_iou
from carmask.evaluation.figures import draw_case
from carmask.evaluation.mask_metrics import picture_counts, summary
from carmask.evaluation.validation import column
from carmask.files.drawing import contact_sheet
from carmask.files.progress import progress
from carmask.hub.model_card import markdown_table
from carmask.inference.predictor import Predictor, check_task, open_to_judge

HEAD = ["pictures", "number", "groups", "score", "A", "B", "B − A", "95 % interval", "better"]
SCORES = {"IoU": pooled_iou, "false positives": false_positive_share}
CARD = "README.md"
SHOWN = 6  # pictures of each data set
TILE = 240

Counts = list[np.ndarray]  # the picture_counts of each picture


def count_pixels(predictor: Predictor, split: datasets.Dataset) -> Counts:
    """The `picture_counts` of each picture of a split.

    Raises:
        DataError: a row cannot be used.
    """
    counts = []
    for index in progress(range(len(split)), predictor.name, leave=False):
        _, truth = read_numbered(split, index)
        counts.append(picture_counts(predictor(split[index]["image"]), truth))
    return counts


def compare_sources(split: datasets.Dataset, first: Counts, second: Counts) -> dict[tuple[str, str], Difference]:
    """The difference between A and B for each source, and for "all" if there are several, and each score.

    A source without the object has no IoU to speak of: it is judged by the share of pixels that are found.
    """
    sources = [source or "pictures" for source in column(split, "source")]
    groups = [(s, g or index) for index, (s, g) in enumerate(zip(sources, column(split, "group"), strict=True))]
    members = defaultdict(list)
    for index, source in enumerate(sources):
        members[source].append(index)
    chosen = dict(sorted(members.items()))
    if len(chosen) > 1:
        chosen["all"] = [*range(len(split))]
    found = {}
    for source, indices in chosen.items():
        without = [index for index in indices if not first[index][2]]
        if len(without) < len(indices):
            found[source, "IoU"] = difference(indices, first, second, groups, "IoU")
        if without and (source == "all" or len(without) == len(indices)):
            found[source, "false positives"] = difference(without, first, second, groups, "false positives")
    return found


def difference(indices: list[int], first: Counts, second: Counts, groups: list, score: str) -> Difference:
    """The `paired_difference` of some of the pictures."""
    chosen: list[list] = [[values[index] for index in indices] for values in (first, second, groups)]
    return paired_difference(chosen[0], chosen[1], chosen[2], SCORES[score])


def better(score: str, one: Difference) -> str:
    """Which model is better beyond doubt: "A", "B", "neither", or that there are too few groups to say."""
    if one.groups < FEWEST:
        return "too few groups"
    low, high = (one.low, one.high) if score == "IoU" else (-one.high, -one.low)
    return "B" if low > 0 else "A" if high < 0 else "neither"


def shown(score: str, value: float, sign: str = "") -> str:
    """A score, or with the sign "+" a difference of two, as people read it."""
    return f"{value:{sign}.3f}" if score == "IoU" else f"{value:{sign}.2%}"


def table(differences: dict[tuple[str, str], Difference]) -> str:
    """A Markdown table with a row for each source and score."""
    lines = [HEAD]
    for (source, score), one in differences.items():
        low, gain, high = (shown(score, value, "+") for value in (one.low, one.gain, one.high))
        line = [source, str(one.pictures), str(one.groups), score, shown(score, one.first), shown(score, one.second)]
        lines.append([*line, gain, f"{low} to {high}", better(score, one)])
    return markdown_table(lines)


def sentence(differences: dict[tuple[str, str], Difference], old: bool) -> str:
    """What a table comes to; what is known of `old` data may have been forgotten."""
    everything = [key for key in differences if key[0] == "all"]
    source, score = (everything or list(differences))[0]
    one = differences[source, score]
    verdict, size = better(score, one), shown(score, abs(one.gain))
    if verdict == "B":
        return f"B is better by {size} in {score}." + " Nothing is forgotten on the whole." * old
    if verdict == "A":
        return f"B is worse by {size} in {score}." + " So much is forgotten." * old
    return "These pictures cannot tell A and B apart" + ("." if verdict == "neither" else f": {verdict}.")


def most_different(first: Counts, second: Counts) -> list[tuple[int, float]]:
    """The pictures on which A and B differ most, and the share of their judged pixels that B has right beyond A."""

    def wrong(count: np.ndarray) -> float:
        hits, found, true, *_, judged = count.tolist()
        return (found + true - 2 * hits) / max(1, judged)

    gains = [wrong(one) - wrong(other) for one, other in zip(first, second, strict=True)]
    order = sorted(range(len(gains)), key=lambda index: -abs(gains[index]))
    return [(index, gains[index]) for index in order[:SHOWN] if gains[index]]


def draw_differences(
    predictors: list[Predictor], split: datasets.Dataset, chosen: list[tuple[int, float]]
) -> tuple[list[Image.Image], list[str]]:
    """Two tiles for each of some pictures, what A and what B gets wrong in it, and their captions."""
    tiles, captions = [], []
    for index, _ in chosen:
        row, truth = split[index], read_numbered(split, index)[1]
        for letter, predictor in zip("AB", predictors, strict=True):
            mask = predictor(row["image"])
            iou = summary([picture_counts(mask, truth)])["iou"]
            tiles.append(draw_case(row, mask))
            captions.append(f"{letter} · IoU {iou:.2f} · row {index}")
    return tiles, captions


def compare(arguments: argparse.Namespace) -> None:
    """Prints the tables and names, and draws the pictures.

    Raises:
        DataError: there are no such pictures, or they cannot be used.
        ModelError: a model cannot be used.
        OSError: the pictures or the card cannot be written.
    """
    if arguments.out and not arguments.out.resolve().parent.is_dir():
        raise DataError(f"There is no folder {arguments.out.resolve().parent} to write {arguments.out.name} to.")
    name = arguments.object.name if arguments.object.named else object_name_of(arguments.data[0])
    predictors = [open_to_judge(model, name) for model in (arguments.first, arguments.second)]
    for predictor in predictors:
        check_task(predictor, "mask")
    labels = label_options(arguments, predictors[1].task.labels[-1])
    opened = [choose_split(open_splits(data, options=labels), data, arguments.split) for data in arguments.data]
    card = Path(arguments.second) / CARD
    if arguments.card and not card.is_file():
        raise DataError(f"There is no {card} to write the tables into; give B as a model folder that has its card.")
    print(f"A is {arguments.first}, B is {arguments.second}.")
    tiles, captions, parts = list[Image.Image](), list[str](), []
    for place, (data, (name, split)) in enumerate(zip(arguments.data, opened, strict=True)):
        first, second = (count_pixels(predictor, split) for predictor in predictors)
        differences = compare_sources(split, first, second)
        words = sentence(differences, old=place == 0 and len(opened) == 2)
        parts.append(f"{data}, {name}:\n\n{table(differences)}\n\n{words}\n")
        print(f"\n{parts[-1]}", end="")
        chosen = most_different(first, second)
        for index, gain in chosen:
            side = "more" if gain > 0 else "less"
            print(f"  {row_name(split, index)}: B has {abs(gain):.1%} {side} of its pixels right")
        if arguments.out:
            more = draw_differences(predictors, split, chosen)
            tiles, captions = tiles + more[0], captions + more[1]
    if arguments.card:
        write_section(card, f"## Compared with {arguments.first}", "A is that one, B is this.\n\n" + "\n".join(parts))
    if tiles:
        contact_sheet(tiles, captions, columns=4, tile=TILE).save(arguments.out, "PNG")
        print(f"\nThe pictures are in {arguments.out}: missed pixels in red, false ones in blue.")


def write_section(card: Path, heading: str, text: str) -> None:
    """Puts a section at the end of a model card, in place of an older one with the same heading."""
    before, *old = card.read_text(encoding="utf-8").split(f"\n{heading}\n", 1)
    other = re.search(r"\n## .*", "".join(old), re.DOTALL)
    kept = before.rstrip() + ("\n" + other[0].rstrip() if other else "")
    card.write_text(f"{kept}\n\n{heading}\n\n{text}", encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns 0, or 1 if the models cannot be compared."""
    parser = argparse.ArgumentParser(
        prog="carmask compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", metavar="A", help="model folder or model of the Hub")
    parser.add_argument("second", metavar="B", help="the same, such as a later one")
    parser.add_argument("--data", nargs="+", required=True, help="data set; or two, the old one and the new one")
    parser.add_argument("--split", help="default: test if there is one, else validation")
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="draw the pictures that differ most into this")
    parser.add_argument("--card", action="store_true", help="write the tables into B's model card as well")
    add_table_options(parser)
    arguments = parser.parse_args(argv)
    try:
        compare(arguments)
    except (DataError, ModelError) as error:
        print(f"carmask compare: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"carmask compare: {error.filename or arguments.out}: {error.strerror}.", file=sys.stderr)
        return 1
    return 0
