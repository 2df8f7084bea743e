"""Fine-tunes a network to draw masks or to place dots: data set in, model folder out.

    python train_segformer.py --data my-set --output my-model
    python train_segformer.py --data my-set --output my-model --task dots

Training goes on from the embedded FCN, or from `--model`. On a CPU it takes a process for each
core, which share each batch. The options are in carmask/training/config.py, the steps of a run in
carmask/training/run.py.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from transformers.hf_argparser import HfArgumentParser

from carmask.errors import RunError
from carmask.files.progress import is_first
from carmask.files.system import free_port
from carmask.training.config import HEADINGS, TrainConfig, check
from carmask.training.output_folder import resume_hint

FEWEST_CROPS = 4  # of a process in a batch: of fewer, batch norm knows too little
MOST_SECONDS = 3  # that other processes take to end after the first one


class OptionParser(HfArgumentParser):
    """Shows the options under their headings, with dashes; underscores are read as well."""

    group: argparse._ArgumentGroup | None = None

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:  # noqa: ANN401 - as argparse
        """Adds an option that has all `names` and is shown by the last one, to the latest group or a new one."""
        name, default = names[0].removeprefix("--"), settings.get("default")
        if name in HEADINGS:
            self.group = self.add_argument_group(HEADINGS[name])
        if self.group is None:  # --help itself
            return super().add_argument(*names, **settings)
        if isinstance(default, bool):
            settings["metavar"] = "yes|no"
        elif default not in (None, "", []):
            settings["help"] = f"{settings['help']} (default: %(default)s)"
        action = self.group.add_argument(*names, **settings)
        action.option_strings = [names[-1]]
        return action


def count_processes(config: TrainConfig) -> int:
    """The processes that a run takes: on a CPU one for each core, with equal shares of a batch, of 4 crops or more."""
    torch = import_module("torch")
    if config.processes != "auto":
        if int(config.processes) > 1 and torch.accelerator.is_available():
            sys.stderr.write("--processes trains on the CPU; for several GPUs type accelerate launch --multi_gpu.\n")
        return int(config.processes)
    if torch.accelerator.is_available():
        return 1
    most = min(os.cpu_count() or 1, config.batch_size // FEWEST_CROPS)
    return max((count for count in range(1, most + 1) if config.batch_size % count == 0), default=1)


@contextmanager
def other_processes(count: int) -> Iterator[None]:
    """Makes this process the first of `count` of a run on a CPU, where torchrun or accelerate have not started it.

    The others end with it. They leave Ctrl-C to it, which stops them all after the same step.
    """
    if count == 1:
        yield
        return
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "FIRST_PROCESS": str(os.getpid()),
    }
    threads = max(1, (os.cpu_count() or 1) // count)
    import_module("torch").set_num_threads(threads)
    place = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": str(threads), "RANK": "0", "LOCAL_RANK": "0"}
    os.environ |= shared | place
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as the others inherit it
    command = [sys.executable, *sys.argv]
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(1, count)]
    others = [subprocess.Popen(command, env=os.environ | rank) for rank in ranks]
    signal.signal(signal.SIGINT, before)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # not without ending the others
    try:
        yield
    finally:
        for process in others:
            try:
                process.wait(MOST_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def main() -> int:
    """Trains as the command line says; returns the exit code."""
    parser = OptionParser(TrainConfig, description=__doc__.splitlines()[0], formatter_class=argparse.HelpFormatter)
    config, unknown = parser.parse_args_into_dataclasses(return_remaining_strings=True)
    if unknown:
        parser.error(f"there is no option {unknown[0]}; --help lists them all")
    try:
        check(config)
        with other_processes(1 if "WORLD_SIZE" in os.environ else count_processes(config)):
            run = import_module("carmask.training.run")  # torch takes seconds, which no refusal should wait for
            run.train(config)
        return 0
    except RunError as error:
        sentence, this_process_only = str(error), error.this_process_only
    except KeyboardInterrupt:
        sentence, this_process_only = f"Stopped at once.{resume_hint(Path(config.output))}", False
    if this_process_only or is_first():
        print(f"train_segformer: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
