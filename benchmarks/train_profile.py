"""Measures where the time of a training step goes, in milliseconds of one core for a batch.

    python data_scripts/draw_cars.py drawn --count 20
    python benchmarks/train_profile.py drawn

Reading and decoding a picture is done once in a run, all else at every step. What others do on the machine counts
little, since only the time on this process's core is counted, and of each part its median.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Iterator

import torch

from benchmarks.machine import describe_machine
from carmask.data.rows import grey_rows
from carmask.data.sources import open_data
from carmask.files.system import keep_freed_memory
from carmask.networks.initial_weights import initialise_network
from carmask.networks.products import use_fast_products
from carmask.tasks.mask_task import MaskTask
from carmask.training.config import LARGEST_SCALE
from carmask.training.distillation import DistillationLoss
from carmask.training.examples import Examples
from carmask.training.loader import make_processor, to_pixels
from carmask.training.loop import EMA_DECAY
from carmask.training.state import start_run

WARM_STEPS = 2


def time_steps(examples: Examples, batch_size: int, network: str, model: str) -> Iterator[dict[str, float]]:
    """Trains, and for each step gives the seconds of its parts."""
    task = MaskTask()
    trained, newly_initialised = initialise_network(network, model, task, [], [])
    run, processor = start_run(trained, newly_initialised, learning_rate=2e-4), make_processor(512, square=True)
    criterion = DistillationLoss(trained, task).train()
    for step in itertools.count():
        marks = [("", time.process_time())]

        def mark(part: str, marks: list[tuple[str, float]] = marks) -> None:
            marks.append((part, time.process_time()))

        batch = [examples[step * batch_size + place] for place in range(batch_size)]
        mark("augmentation")
        grey, target = (torch.stack([example[name] for example in batch]) for name in ("grey", "target"))
        pixel_values = to_pixels(grey, processor)
        mark("pixels")
        loss = criterion(pixel_values, target)
        mark("forward and loss")
        loss.backward()
        mark("backward")
        torch.nn.utils.clip_grad_norm_(criterion.parameters(), 1.0)
        run.optimizer.step()
        run.optimizer.zero_grad()
        mark("gradient norm and AdamW")
        run.update_ema(EMA_DECAY)
        mark("EMA")
        yield {part: end - start for (_, start), (part, end) in itertools.pairwise(marks)}


def main() -> None:
    """Reads the command line and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder of a data set")
    parser.add_argument("--network", default="segformer", help="segformer or fcn (default: %(default)s)")
    parser.add_argument("--model", default="scratch-b0", help="initial weights (default: %(default)s)")
    parser.add_argument("--crop", type=int, default=192, help="side of the crops (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=8, help="crops of a step (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=9, help="that are timed (default: %(default)s)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    use_fast_products()
    start, split = time.process_time(), open_data(given.data)["train"]
    rows = grey_rows(split, int(given.crop * LARGEST_SCALE))
    decoding = (time.process_time() - start) / len(rows)
    numbers = range(given.batch_size * (given.steps + WARM_STEPS))
    steps = time_steps(
        Examples(rows, MaskTask(), given.crop, 0, numbers), given.batch_size, given.network, given.model
    )
    timed = list(itertools.islice(steps, WARM_STEPS, WARM_STEPS + given.steps))
    parts = {part: 1000 * statistics.median(seconds[part] for seconds in timed) for part in timed[0]}
    print(f"{describe_machine('torch')}\n{given.network}, {given.batch_size} crops of {given.crop} × {given.crop}")
    print(f"{1000 * decoding:.1f} ms to read and decode a picture and its mask, once\n")
    print("| part | ms | share |\n|---|---:|---:|")
    for part, milliseconds in parts.items():
        print(f"| {part} | {milliseconds:.1f} | {milliseconds / sum(parts.values()):.0%} |")


if __name__ == "__main__":
    main()
