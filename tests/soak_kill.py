"""Kills a tiny training run at random moments, as a machine that loses its power would, and has it go on each time.

    python tests/soak_kill.py --kills 50

After each kill the newest checkpoint must be whole and at most one interval behind, and every run must end with the
weights and the scores of one that nobody killed. Exits with 1 where one of these does not hold.
"""

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from importlib import import_module
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from conftest import save_balanced, tiny_network, write_data
from training_runs import options

import train_segformer
from carmask.inference.model_folder import all_checkpoints
from carmask.training.checkpoints import read_checkpoint
from carmask.training.state import Run

STEPS, INTERVAL = 24, 4


def start(arguments: list, log: Path, reached: Synchronized) -> int:
    """Starts the training program in a process of its own, which notes each step that is done; gives its number."""
    child = os.fork()
    if child:
        return child
    with log.open("a") as words:
        os.dup2(words.fileno(), 1)
        os.dup2(words.fileno(), 2)
    update = Run.update_ema

    def note(run: Run, decay: float) -> None:
        update(run, decay)
        reached.value = run.step

    Run.update_ema = note
    sys.argv = ["train_segformer.py", *map(str, arguments)]
    os._exit(train_segformer.main())


def killed(child: int, seconds: float) -> bool:
    """Kills a process after some time; whether it was still at work. One that failed ends this program."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert status == 0, f"The training ended with {os.waitstatus_to_exitcode(status)}."
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def soak(folder: Path, kills: int, rng: random.Random) -> int:
    """Kills and resumes until `kills` are done and the last run is at its end; the number of runs that ended."""
    write_data(folder / "data", {"train": 6, "validation": 1})
    network = save_balanced(tiny_network(), folder / "start")
    whole, output, log = folder / "whole", folder / "model", folder / "log.txt"
    changes = {"steps": STEPS, "validate_every": INTERVAL, "crop": 32, "side": 32}
    import_module("carmask.training.run")  # once, for all the children
    reached, ended, done = multiprocessing.Value("i", 0), 0, 0
    began = time.monotonic()
    assert not killed(start(options(folder / "data", network, whole, **changes), log, reached), 300), log.read_text()
    length = time.monotonic() - began
    while done < kills or output.exists():
        arguments = options(folder / "data", network, output, **changes, workers=rng.choice([0, 2]))
        before = read_checkpoint(all_checkpoints(output)[0])[0]["step"] if all_checkpoints(output) else 0
        reached.value = before
        child = start([*arguments, "--resume" if before else "--overwrite"], log, reached)
        if killed(child, rng.uniform(0, length) if done < kills else 300):
            done += 1
            steps = [read_checkpoint(path)[0]["step"] for path in all_checkpoints(output)[:1]] or [0]
            finished = (output / "README.md").exists() and not all_checkpoints(output)
            assert finished or reached.value - steps[0] <= INTERVAL, f"{reached.value} steps done, {steps[0]} kept."
            print(f"kill {done}: after step {reached.value}, {'the model' if finished else steps[0]} kept", flush=True)
            if not finished:
                continue
        for name in ("model.safetensors", "scores.json"):
            assert (output / name).read_bytes() == (whole / name).read_bytes(), f"{name} differs."
        ended += 1
        output.rename(folder / f"ended-{ended}")
    return ended


def main() -> None:
    """Kills as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="how often to kill")
    seed = random.SystemRandom().randrange(10**6)
    parser.add_argument("--seed", type=int, default=seed, help="fixes the moments, as far as a clock can")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        ended = soak(Path(folder), arguments.kills, random.Random(arguments.seed))
    print(f"{arguments.kills} kills; {ended} runs ended, each with the weights and scores of one that nobody killed.")


if __name__ == "__main__":
    main()
