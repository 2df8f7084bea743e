"""Measures from which initial weights training learns fastest: minutes to a given IoU, by object and pictures.

    python benchmarks/starts.py data/car data/road data/sky --out runs/starts

Each run trains on so many pictures, evenly spread over the train split, and is scored on 16 of the test split every
ten steps, until it has reached the last IoU or taken all its steps. Minutes are its steps times the seconds of a step,
which a dry run of each start measures at the beginning (leave the machine alone meanwhile). What is measured stays in
--out: a stopped program goes on with the next run.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import datasets

from carmask.data.rows import spread
from carmask.data.sources import open_data
from carmask.hub.model_card import markdown_table

ROOT = Path(__file__).resolve().parent.parent
STARTS = ("models/car-mask-fcn", "models/car-mask-b0", "efficientnet-lite0", "scratch-b0")
TARGETS = (0.7, 0.8, 0.9, 0.95)
TEST_PICTURES, EVERY = 16, 10


def small_set(data: str, pictures: int, folder: Path) -> Path:
    """Writes a data set of so many pictures to train on, and the test pictures as its validation split."""
    splits = open_data(data)
    small = {"train": spread(splits["train"], pictures), "validation": spread(splits["test"], TEST_PICTURES)}
    datasets.DatasetDict(small).save_to_disk(folder)
    return folder


def command_for(start: str, data: Path, output: Path, steps: int) -> list[str]:
    """The training command of a run."""
    named = {"data": data, "model": start, "output": output, "steps": steps, "validate-every": EVERY}
    program = [sys.executable, str(ROOT / "train_segformer.py"), "--overwrite"]
    return program + [str(part) for name, value in named.items() for part in (f"--{name}", value)]


def curve(command: list[str]) -> list[tuple[int, float]]:
    """Runs a training until its IoU is the last target; gives the steps at which it was scored, and the scores."""
    found: list[tuple[int, float]] = []
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        for line in process.stdout:
            scored = re.match(r"step (\d+): .*all ([\d.]+)", line)
            if scored:
                found.append((int(scored[1]), float(scored[2])))
                if found[-1][1] >= TARGETS[-1]:
                    process.terminate()
                    break
        process.stdout.read()
    if not found:
        sys.exit(f"A training did not finish: {' '.join(command)}")
    return found


def seconds_per_step(command: list[str]) -> float:
    """What the dry run says a step takes."""
    told = subprocess.run([*command, "--plan"], text=True, capture_output=True, check=True).stdout
    return float(re.search(r"([\d.]+) s a step", told)[1])


def steps_to(scores: list[tuple[int, float]], target: float) -> int | None:
    """The first step whose IoU is at least the target."""
    return next((step for step, iou in scores if iou >= target), None)


def table(measured: dict, starts: list[str]) -> str:
    """The Markdown table of all runs."""
    told = [f"steps, minutes to {target}" for target in TARGETS]
    lines = [["object", "pictures", "initial weights", *told, "IoU at the end"]]
    for name, scores in measured["curves"].items():
        data, pictures, start = name.split(" ")
        if start in starts:
            times = [steps_to(scores, target) for target in TARGETS]
            seconds = measured["seconds"][start]
            minutes = ["–" if step is None else f"{step}, {step * seconds / 60:.1f}" for step in times]
            lines.append([data, pictures, f"`{start}`", *minutes, f"{scores[-1][1]:.3f}"])
    return markdown_table(lines)


def main() -> None:
    """Reads the command line, measures what is not measured yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", help="data set folders with a test split")
    parser.add_argument("--pictures", type=int, nargs="+", default=[20, 60, 200], help="to train on (%(default)s)")
    parser.add_argument("--starts", nargs="+", default=STARTS, help="initial weights (%(default)s)")
    parser.add_argument("--steps", type=int, default=120, help="of each run at most (%(default)s)")
    parser.add_argument("--runs", type=int, default=10**6, help="stop after so many, for a machine that others need")
    parser.add_argument("--out", type=Path, default=Path("runs/starts"), help="folder for what is measured")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    file, left = given.out / "measured.json", given.runs
    measured = json.loads(file.read_text()) if file.is_file() else {"seconds": {}, "curves": {}}
    for pictures, data, start in [
        (n, data, start) for n in given.pictures for data in given.data for start in given.starts
    ]:
        name = f"{Path(data).name} {pictures} {start}"
        if left <= 0 or name in measured["curves"] and start in measured["seconds"]:
            continue
        with tempfile.TemporaryDirectory() as folder:
            command = command_for(
                start, small_set(data, pictures, Path(folder, "set")), Path(folder, "model"), given.steps
            )
            if start not in measured["seconds"]:
                measured["seconds"][start] = seconds_per_step(command)
            if name not in measured["curves"]:
                measured["curves"][name] = curve(command)
        left -= 1
        file.write_text(json.dumps(measured, indent=1))
        print(f"{name}: {measured['curves'][name][-1]}", file=sys.stderr)
    print(table(measured, list(given.starts)))


if __name__ == "__main__":
    main()
