"""Trains the three networks under one equal budget of minutes and prints one table of cost and quality.

    python benchmarks/compare_networks.py data/mixture --minutes 12

First a few steps of every row are timed (leave the machine alone meanwhile); from these follow the steps that fit
into the minutes, so that the table names steps and each run can be repeated. The steps and the finished model folders
stay in --out: a stopped comparison goes on with the next row that is not finished.
"""

import argparse
import json
import math
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import datasets
import torch

from benchmarks.networks_table import PLAN, PROCESSES, ROWS, SAME, TEACHER, conditions, table
from carmask.data.sources import open_data
from carmask.errors import DataError, ModelError

ROOT = Path(__file__).resolve().parent.parent
TIMED_PICTURES = 48
WARM_STEPS = 4


class CompareError(Exception):
    """Says in one sentence why the comparison cannot go on."""


def command_for(row: str, data: str, output: Path, steps: int, own_start: str) -> list[str]:
    """The training command of a row; it validates only after the last step."""
    differs = ROWS[row][1].format(own_start=shlex.quote(own_start), teacher=shlex.quote(str(TEACHER)))
    rest = f"{SAME} --steps {steps} --validate-every {steps} --overwrite"
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(PROCESSES)]
    named = ["--data", data, "--output", str(output)]
    return [*start, str(ROOT / "train_segformer.py"), *named, *shlex.split(f"{differs} {rest}")]


def steps_of(command: list[str]) -> Iterator[tuple[int, float]]:
    """Runs a training and yields each step that is done, with the time in seconds at which it was seen.

    Whoever stops listening ends the training.

    Raises:
        CompareError: the training failed; its last words stand in the sentence.
    """
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "TQDM_MININTERVAL": "0"}
    last, done = "", 0
    pipes = {"stdout": sys.stderr, "stderr": subprocess.PIPE}  # what is printed is the table alone
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:
        try:
            for line in process.stderr:  # the bar's returns count as ends of lines
                if line.startswith("train_segformer: "):
                    last = line.strip()
                found = re.match(r"Training: .*\| (\d+)/\d+ \[", line)
                if found and int(found[1]) > done:
                    done = int(found[1])
                    print(f"\r  step {done}", end="", file=sys.stderr, flush=True)
                    yield done, time.monotonic()
        except GeneratorExit:
            process.terminate()
            raise
    print(file=sys.stderr)
    if process.returncode:
        raise CompareError(f"A training did not finish: {last or shlex.join(command)}")


def seconds_per_step(row: str, data: str, own_start: str, timed: int) -> float:
    """Seconds that one step of a row takes, as the mean of `timed` steps after a few to warm up."""
    with tempfile.TemporaryDirectory() as folder:
        command = command_for(row, data, Path(folder) / row, 10**5, own_start)
        times = []
        with closing(steps_of(command)) as steps:
            for step, moment in steps:
                if step >= WARM_STEPS:
                    times.append(moment)
                if len(times) > timed:
                    break
    return (times[-1] - times[0]) / timed


def make_plan(
    out: Path, data: str, own_start: str, minutes: float, timed: int, rows: Sequence[str]
) -> dict[str, dict[str, float]]:
    """How many steps of each of `rows` fit into the minutes; timed once, then read from `out`.

    Raises:
        CompareError: the plan in `out` was made for something else.
    """
    asked = {"data": data, "own_start": own_start, "minutes": minutes, "rows": ROWS, "same": SAME}
    asked = json.loads(json.dumps(asked))  # as it comes back from the file
    stored = json.loads((out / PLAN).read_text(encoding="utf-8")) if (out / PLAN).is_file() else {"asked": asked}
    if stored["asked"] != asked:
        raise CompareError(
            f"{out / PLAN} is of another comparison (data, start, minutes or rows); choose another --out."
        )
    plan = stored.get("plan", {})
    missing = [row for row in rows if row not in plan]
    if not missing:
        return plan
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        train = open_data(data)["train"]
        some = train.select(sorted({round(k * (len(train) - 1) / TIMED_PICTURES) for k in range(TIMED_PICTURES + 1)}))
        datasets.DatasetDict({"train": some, "validation": some}).save_to_disk(folder)
        for row in missing:
            print(f"timing {row}", file=sys.stderr)
            seconds = seconds_per_step(row, folder, own_start, timed)
            plan[row] = {"seconds_per_step": seconds, "steps": max(1, math.floor(minutes * 60 / seconds))}
            (out / PLAN).write_text(json.dumps({"asked": asked, "plan": plan}, indent=1), encoding="utf-8")
    return plan


def train_row(row: str, out: Path, data: str, own_start: str, steps: int) -> None:
    """Trains a row into its folder and marks it finished; leaves a finished row alone."""
    if (out / f"{row}.json").is_file():
        return
    print(f"training {row}: {steps} steps", file=sys.stderr)
    for _ in steps_of(command_for(row, data, out / row, steps, own_start)):
        pass
    (out / f"{row}.json").write_text(json.dumps({"steps": steps}), encoding="utf-8")


def check(arguments: argparse.Namespace) -> None:
    """Finds what is wrong before a long run starts.

    Raises:
        CompareError: rows, sources or the start are not there.
    """
    unknown = [row for row in arguments.rows if row not in ROWS]
    if unknown:
        raise CompareError(f"There is no row {unknown[0]}; there are {', '.join(ROWS)}.")
    if arguments.minutes <= 0:
        raise CompareError("--minutes must be above 0.")
    if "segformer-start" in arguments.rows and not (Path(arguments.own_start) / "config.json").is_file():
        raise CompareError(
            f"There is no model folder {arguments.own_start}; make it or name another with --own-start."
        )
    splits = open_data(arguments.data)
    if "test" not in splits or "source" not in splits["test"].column_names:
        raise CompareError(f"The data set {arguments.data} has no test split with sources to score on.")
    there = sorted(set(splits["test"]["source"]))
    lacking = [source for source in arguments.sources if source not in there]
    if lacking:
        raise CompareError(f"The test split has no source {lacking[0]}; it has {', '.join(there)}.")


def main() -> None:
    """Reads the command line, trains what is not trained yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="data set folder with a test split")
    parser.add_argument("--minutes", type=float, default=12, help="training time of each row (%(default)s)")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), metavar="ROW", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--out", type=Path, default=Path("runs/compare"), help="folder for the models (%(default)s)")
    parser.add_argument("--own-start", default="runs/car-mask-b0-start", help="our own start (%(default)s)")
    parser.add_argument("--sources", nargs="+", default=["camvid", "intelecai"], help="test sources to print")
    parser.add_argument("--timed", type=int, default=12, help="steps of each row that are timed (%(default)s)")
    parser.add_argument("--plan", action="store_true", help="only time the steps and print the commands")
    arguments = parser.parse_args()
    out, data, own_start = arguments.out, arguments.data, arguments.own_start
    try:
        check(arguments)
        plan = make_plan(out, data, own_start, arguments.minutes, arguments.timed, arguments.rows)
        if arguments.plan:
            for row in arguments.rows:
                print(shlex.join(command_for(row, data, out / row, plan[row]["steps"], own_start)))
            return
        for row in arguments.rows:
            train_row(row, out, data, own_start, plan[row]["steps"])
        torch.set_num_threads(2)
        print(f"{conditions(data, arguments.minutes, own_start)}\n\n{table(arguments.rows, out, arguments.sources)}")
    except (CompareError, DataError, ModelError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on with the first row that is not finished.")


if __name__ == "__main__":
    main()
