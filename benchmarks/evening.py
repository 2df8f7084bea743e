"""What a new user's evening gives: from a folder of pictures to a model, and how far its card is from a hidden test.

    python benchmarks/evening.py ../shared/data --out runs/evening

Each evening runs the commands that a user types, prints them, and compares the score on the model's card with that on
pictures which the user does not have: for road, sky and car a whole film (200 frames are of CamVid's other three), for
points the official test of car parts, for cars 25 drawn pictures and 40 more. --singly deals frames out one by one, as
if nothing told films apart: what the card says then is what it said before films were found.
"""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import datasets

from carmask.data.dots_column import open_dots
from carmask.data.sources import open_splits
from carmask.evaluation.bootstrap import brackets
from carmask.evaluation.validation import Scores, validate
from carmask.hub.model_card import markdown_table
from carmask.inference.predictor import Predictor

ROOT = Path(__file__).resolve().parent.parent
CAMVID = {"road": 3, "sky": 0, "car": 8}  # its numbers of classes; 11 is not judged
HIDDEN_FILM, FRAMES = "Seq05VD", 200
DOTS = "front_left_light,front_right_light,left_mirror,right_mirror,hood,wheel,wheel"
EVENINGS = [*CAMVID, "points", "cars"]
HEAD = [
    "evening", "dealt", "minutes", "groups in train, validation, test", "score on the card", "hidden test", "apart",
]  # fmt: skip


def copy_frames(data: Path, out: Path) -> None:
    """Copies frames of CamVid and their masks: 200 of three films to out/photos, every second of the fourth."""
    frames = {path.stem: path for split in ("train", "val", "test") for path in sorted((data / split).glob("*.jpg"))}
    known = sorted(name for name in frames if not name.startswith(HIDDEN_FILM))
    hidden = sorted(name for name in frames if name.startswith(HIDDEN_FILM))[::2]
    chosen = [known[round(index * (len(known) - 1) / (FRAMES - 1))] for index in range(FRAMES)]
    for folder, names in (("photos", chosen), ("hidden", hidden)):
        for kind in ("images", "masks"):
            (out / folder / kind).mkdir(parents=True)
        for name in names:
            shutil.copy(frames[name], out / folder / "images")
            annotated = frames[name].parent.with_name(f"{frames[name].parent.name}annot")
            shutil.copy(annotated / f"{name}.png", out / folder / "masks")


def imports(evening: str, data: Path, out: Path, singly: bool) -> list[list[str]]:
    """The commands that make the user's data set, my-set, and the hidden one, hidden-set."""
    grouped = ["--group-pattern", "(.+)"] if singly else []
    if evening in CAMVID:
        copy_frames(data / "camvid", out)
        labels = ["--object", f"{evening}={CAMVID[evening]}", "--not-judged", "11"]
        program = "data_scripts/from_folders.py"
        mine, hidden = ([str(out / name / kind) for kind in ("images", "masks")] for name in ("photos", "hidden"))
    elif evening == "points":
        labels, program = ["--dots", DOTS], "data_scripts/from_coco.py"
        sets = (data / "car_parts/trainingset", data / "car_parts/testset")
        mine, hidden = ([str(one / "annotations.json"), str(one / "JPEGImages")] for one in sets)
    else:
        program = "data_scripts/draw_cars.py"
        my, theirs = (["--count", "25", "--seed", "77"], ["--count", "40", "--seed", "78"])
        return [[program, str(out / "my-set"), *my], [program, str(out / "hidden-set"), *theirs]]
    return [
        [program, *mine, str(out / "my-set"), *labels, *grouped],
        [program, *hidden, str(out / "hidden-set"), *labels, "--split", "test"],
    ]


def call(command: list[str]) -> float:
    """Runs a command, printed as a user would type it; returns its minutes."""
    print(f"python {shlex.join(command)}", file=sys.stderr, flush=True)
    start = time.monotonic()
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stdout=sys.stderr)
    return (time.monotonic() - start) / 60


def spend(evening: str, data: Path, out: Path, steps: int | None, singly: bool) -> list[str]:
    """Spends an evening in the folder `out`; returns a row of the table."""
    out.mkdir(parents=True)
    mine, hidden = imports(evening, data, out, singly)
    train = ["train_segformer.py", "--data", str(out / "my-set"), "--output", str(out / "my-model")]
    train += ["--task", "dots"] * (evening == "points") + (["--steps", str(steps)] if steps else [])
    minutes = call(mine) + call(train)
    call(hidden)
    card = json.loads((out / "my-model/scores.json").read_text(encoding="utf-8"))["scores"]["test"]
    predictor = Predictor.from_pretrained(out / "my-model")
    if evening == "points":
        splits, key = open_dots(str(out / "hidden-set"), predictor.task.entries)[0], "f1_5"
    else:
        splits, key = open_splits(str(out / "hidden-set")), "iou"
    score = validate(predictor, datasets.concatenate_datasets(list(splits.values())))[0]["all"][key]
    row = [evening, "singly" if singly else "by groups", f"{minutes:.1f}", groups_in(out / "my-set")]
    return [*row, *verdict(card, key, score)]


def verdict(card: Scores, key: str, score: float) -> list[str]:
    """The card's score with its interval, the hidden one, and how far the two are apart."""
    source = next((values for values in card.values() if "iou_low" in values), {})
    low, high, few = (source.get(name, 0.0) for name in ("iou_low", "iou_high", "few_groups"))
    shown = f"{card['all'][key]:.3f}" + (brackets(low, high, int(few)) if source else "")
    outside = ", outside" if source and not few and not low <= score <= high else ""
    return [shown, f"{score:.3f}", f"{score - card['all'][key]:+.3f}{outside}"]


def groups_in(data_set: Path) -> str:
    """How many groups each split of a data set has."""
    tables = [data_set / split / "metadata.jsonl" for split in ("train", "validation", "test")]
    rows = [[json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()] for table in tables]
    return ", ".join(str(len({row["group"] for row in own})) for own in rows)


def main() -> None:
    """Spends the evenings and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with camvid and car_parts")
    parser.add_argument("--evenings", nargs="+", default=EVENINGS, choices=EVENINGS, help="default: all")
    parser.add_argument("--steps", type=int, help="of each training (as many as if nothing is said)")
    parser.add_argument("--singly", action="store_true", help="deal out one picture at a time")
    parser.add_argument("--out", type=Path, default=Path("runs/evening"), help="folder that must not exist yet")
    arguments = parser.parse_args()
    rows = [HEAD]
    for evening in arguments.evenings:
        out = arguments.out.resolve() / evening
        rows.append(spend(evening, arguments.data.resolve(), out, arguments.steps, arguments.singly))
        print(markdown_table(rows), flush=True)


if __name__ == "__main__":
    main()
