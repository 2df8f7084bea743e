"""Finds the inference settings (size, flip TTA, threshold) that are best on validation, and can store them.

    carmask tune my-model --data my-set --write

Tried are the sizes at which the network may see a picture, whether it sees the mirror image as well, as large as the
picture or 0.7 times, and which probability puts a pixel into the mask or makes a dot found. Milliseconds are of one
decoded picture until the network has answered, for dots with scoring. Of what takes at most `--most-ms` the best score
wins, or what sees the fewest pixels of those within 0.002 of it: `balanced_iou` of `carmask.evaluation.validation` for
masks, for dots `f1_5`. Training does the same at its end, where there are at least 20 validation pictures.

transformers' own pipeline shows a SegFormer no mirror image and knows no threshold. So that it gives the same mask,
`--mirrors 0` tries none, and what is stored of a SegFormer's threshold is a shift of its last bias.
"""

import argparse
import math
import sys
from pathlib import Path

import datasets
from transformers import AutoConfig

from carmask.data.card import object_name_of
from carmask.data.dots_column import open_dots
from carmask.data.label_options import add_table_options, label_options
from carmask.data.sources import choose_split, open_data
from carmask.errors import DataError, ModelError
from carmask.evaluation.tuning import MIRRORS, Trial, best_of, chosen_among, store_settings, try_all
from carmask.evaluation.validation import validate
from carmask.hub.model_card import describe_inference_settings, markdown_table, rescore, tuned_words
from carmask.inference.predictor import open_to_judge
from carmask.tasks.dots_task import DotsTask

SIDES = (384, 448, 512, 640)


def trial_table(trials: list[Trial]) -> str:
    """What came of each trial, as a Markdown table."""
    names = list(trials[0].scores)
    lines = [["long side", "mirror image", "threshold", "score", *names, "ms"]]
    for trial in trials:
        task = trial.predictor.task
        cells = [str(trial.side), f"{task.mirror:g}", f"{task.threshold:.2f}", f"{trial.score:.4f}"]
        lines.append([*cells, *(f"{trial.scores[name]:.4f}" for name in names), f"{trial.milliseconds:.0f}"])
    return markdown_table(lines)


def store(folder: Path, trial: Trial, splits: datasets.DatasetDict, told: str) -> None:
    """Stores a trial's settings in a model folder, and in its card what it scores on `validation` and `test`.

    All is scored before anything is written, so who stops it has the old model, not half of each. `told` says of the
    settings what the card will.

    Raises:
        DataError: a row cannot be used.
    """
    judged = {name: splits[name] for name in ("validation", "test") if name in splits}
    scores = {name: validate(trial.predictor, split)[0] for name, split in judged.items()}
    store_settings(folder, trial, AutoConfig.from_pretrained(folder).model_type)
    rescore(folder, scores, told)


def side(text: str) -> int:
    """Reads a size at which a network may see a picture, for argparse."""
    if not text.isdecimal() or not 32 <= int(text) <= 4096:
        raise argparse.ArgumentTypeError(f"must be a whole number from 32 to 4096, not {text}")
    return int(text)


def share(text: str) -> float:
    """Reads a mirror image's size by the picture's, for argparse."""
    if not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, not {text}")
    return float(text)


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="carmask tune", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("--data", required=True, help="data set folder with a validation split")
    parser.add_argument("--sides", type=side, nargs="+", default=SIDES, help="sizes to try (default: %(default)s)")
    mirrors = "the mirror image's sizes to try, by the picture's; 0 is none (default: %(default)s)"
    parser.add_argument("--mirrors", type=share, nargs="+", default=MIRRORS, help=mirrors)
    parser.add_argument("--most-ms", type=float, default=math.inf, help="longest that a picture may take")
    parser.add_argument("--write", action="store_true", help="store the best in the model folder and score it anew")
    add_table_options(parser)
    arguments = parser.parse_args(argv)
    needed = ("README.md", "scores.json", "model.safetensors")
    missing = [name for name in needed if not (arguments.model / name).is_file()]
    if arguments.write and missing:
        remedy = "give the folder that training wrote, or leave --write out"
        print(f"carmask tune: {arguments.model} has no {missing[0]} to write into; {remedy}.", file=sys.stderr)
        return 1
    try:
        name = arguments.object.name if arguments.object.named else object_name_of(arguments.data)
        predictor = open_to_judge(arguments.model, name)
        task = predictor.task
        labels = label_options(arguments, "" if isinstance(task, DotsTask) else task.name)
        splits = (
            open_dots(arguments.data, task.entries, labels)[0]
            if isinstance(task, DotsTask)
            else open_data(arguments.data, options=labels)
        )
        _, split = choose_split(splits, arguments.data, "validation")
        trials = try_all(predictor, split, arguments.sides, arguments.mirrors)
    except (DataError, ModelError) as error:
        print(f"carmask tune: {error}", file=sys.stderr)
        return 1
    print(trial_table(trials))
    fitting = [trial for trial in trials if trial.milliseconds <= arguments.most_ms]
    if not fitting:
        print(f"carmask tune: nothing answers within {arguments.most_ms:g} ms; allow more.", file=sys.stderr)
        return 1
    best = best_of(fitting)
    chosen = chosen_among(arguments.sides, arguments.mirrors)
    told = describe_inference_settings(best.predictor, tuned_words(chosen, len(split)))
    print(f"\nThe best: threshold {best.predictor.threshold:.2f}. {told}")
    if arguments.write:
        try:
            store(arguments.model, best, splits, told)
        except OSError as error:
            reason = f"{error.filename or arguments.model}: {error.strerror or error}"
            print(f"carmask tune: {reason}; {arguments.model} is not stored whole, so run it again.", file=sys.stderr)
            return 1
        except (DataError, ModelError) as error:
            print(f"carmask tune: {error}", file=sys.stderr)
            return 1
        print(f"It is stored in {arguments.model}.")
    return 0
