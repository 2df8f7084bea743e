"""Measures training steps per second: stock SegFormer in a plain loop, and ours as train_segformer.py trains it.

    python benchmarks/train_speed.py

Each row has processes of its own, since memory settings cannot be undone in a process; all rows take turns, a few
steps at a time, so that whatever else the machine does falls on each of them alike. A step is everything but preparing
the crops. Needs Linux or macOS.
"""

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch.optim import AdamW
from transformers import SegformerForSemanticSegmentation

from benchmarks.machine import describe_machine
from carmask.files.system import free_port, keep_freed_memory
from carmask.networks.initial_weights import initialise_network
from carmask.networks.products import use_fast_products
from carmask.tasks.mask_task import MaskTask
from carmask.training.distillation import DistillationLoss
from carmask.training.loader import make_processor, to_pixels
from carmask.training.loop import EMA_DECAY
from carmask.training.optimizer import WEIGHT_DECAY
from carmask.training.state import start_run


class Variant(NamedTuple):
    """One way to train; what is not said is as train_segformer.py does it in one process."""

    ours: bool = True  # the folded network and the optimizer of train_segformer.py
    keep: bool = True  # freed memory
    products: bool = True  # of oneDNN
    processes: int = 1
    precision: str = "no"


CORES = os.cpu_count() or 1
VARIANTS = {
    "a plain loop, stock SegFormer": Variant(ours=False, keep=False, products=False),
    "our network and optimizer": Variant(keep=False, products=False),
    "and freed memory kept": Variant(products=False),
    "and oneDNN's matrix products": Variant(),
    "and a process for each core": Variant(processes=CORES),
    "and bfloat16": Variant(processes=CORES, precision="bf16"),
}
WARM_STEPS = 3
TURN_STEPS = 4


def serve(
    variant: Variant,
    place: dict[str, str],
    model: str,
    shape: tuple[int, int, int],
    asked: Connection,
    lines: list[Connection],
) -> None:
    """Trains on random crops in a process of its own: for each number of steps asked for it answers the seconds."""
    for line in lines:
        line.close()  # the far ends, inherited: held here, they would keep this process alive after the first one
    os.environ |= place  # tells accelerate which of the processes this is
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // variant.processes))
    if variant.keep:
        keep_freed_memory()
    if variant.products:
        use_fast_products()
    accelerator = Accelerator(cpu=True, mixed_precision=variant.precision)
    network, newly_initialised = initialise_network("segformer", model, MaskTask(), [], [])
    if not variant.ours:
        stock = SegformerForSemanticSegmentation(network.config)
        stock.load_state_dict(network.state_dict())
        network = stock
    run, processor = start_run(network, newly_initialised, learning_rate=2e-4), make_processor(512, square=True)
    plain = AdamW(network.parameters(), lr=2e-4, weight_decay=WEIGHT_DECAY)
    optimizer = run.optimizer if variant.ours else plain
    criterion, optimizer = accelerator.prepare(DistillationLoss(network, MaskTask()), optimizer)
    criterion.train()
    grey, target = torch.randint(256, shape, dtype=torch.uint8), torch.randint(2, shape)
    for steps in iter(asked.recv, 0):
        start = time.perf_counter()
        for _ in range(steps):
            loss = criterion(to_pixels(grey, processor), target)
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(criterion.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            run.update_ema(EMA_DECAY)
        asked.send(time.perf_counter() - start)
    accelerator.end_training()


def start_processes(
    variant: Variant, model: str, shape: tuple[int, int, int], lines: list[Connection]
) -> list[Connection]:
    """Starts the processes of one variant as torchrun would; returns the line to each, and adds these to `lines`."""
    shared = {"ACCELERATE_USE_CPU": "true", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    for rank in range(variant.processes):
        place = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": variant.processes,
            "LOCAL_WORLD_SIZE": variant.processes,
        }
        place = shared | {name: str(value) for name, value in place.items()} if variant.processes > 1 else {}
        line, asked = get_context("fork").Pipe()
        lines.append(line)
        get_context("fork").Process(
            target=serve, args=(variant, place, model, shape, asked, lines), daemon=True
        ).start()
        asked.close()  # so that the line is cut if the process dies
    return lines[-variant.processes :]


def seconds_for(lines: Sequence[Connection], steps: int) -> float:
    """Lets all processes of one variant take `steps` steps together; returns the seconds of the slowest."""
    for line in lines:
        line.send(steps)
    return max(line.recv() for line in lines)


def measure(model: str, shape: tuple[int, int, int], rounds: int) -> dict[str, float]:
    """Pictures per second of each variant on batches of `shape`, the median of its turns."""
    opened = []
    lines = {name: start_processes(variant, model, shape, opened) for name, variant in VARIANTS.items()}
    for of_one in lines.values():
        seconds_for(of_one, WARM_STEPS)
    rates = {name: [] for name in VARIANTS}
    for _ in range(rounds):
        for name, of_one in lines.items():
            pictures = TURN_STEPS * shape[0] * VARIANTS[name].processes
            rates[name].append(pictures / seconds_for(of_one, TURN_STEPS))
    for line in opened:
        line.send(0)
    return {name: statistics.median(values) for name, values in rates.items()}


def main() -> None:
    """Reads the command line and prints one table: ratios first, then pictures and steps per second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="scratch-b0", help="scratch-b0, -b1 or -b2 (default: %(default)s)")
    parser.add_argument("--crop", type=int, default=192, help="side of the crops (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=8, help="crops of a process and step (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each variant (default: %(default)s)")
    given = parser.parse_args()
    machine = describe_machine("torch")
    rates = measure(given.model, (given.batch_size, given.crop, given.crop), given.rounds)
    print(f"{machine}\n{given.model}")
    print(f"{given.batch_size} crops of {given.crop} × {given.crop} a process and step, {given.rounds} rounds\n")
    print("| | times as fast as the first | pictures/s | steps/s |\n|---|---:|---:|---:|")
    first = next(iter(rates.values()))
    for name, rate in rates.items():
        steps = rate / given.batch_size / VARIANTS[name].processes
        print(f"| {name} | {rate / first:.2f} | {rate:.1f} | {steps:.2f} |")


if __name__ == "__main__":
    main()
