"""Measures pictures a second on a GPU by the size of the batch, and holds the masks to those of the processor.

    python benchmarks/gpu.py models/car-mask-fcn

The pictures are drawn. A batch is what the network sees in one pass.
"""

import argparse
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from benchmarks.machine import describe_machine, median_seconds
from carmask import ModelError, Predictor
from carmask.demo.server.gpu import on_cuda
from carmask.inference.predictor import check_task
from data_scripts.drawn_cars.scene import draw_picture

BATCHES = (1, 2, 4, 8, 16, 32)
PICTURES, SEED, SIZE = 20, 7, (480, 640)


def main() -> None:
    """Reads the command line and prints a table, and how many pixels of the masks are the processor's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model folder for masks, with weights for torch")
    parser.add_argument("--rounds", type=int, default=20, help="passes of each batch (default: %(default)s)")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("There is no GPU that torch can use here.")
    machine = describe_machine("torch")
    try:
        here = Predictor.from_pretrained(arguments.model, runtime="torch")
        check_task(here, "mask")
        there = on_cuda(here, arguments.model)
    except ModelError as error:
        sys.exit(str(error))
    pictures = [draw_picture(SEED, index, SIZE).picture for index in range(PICTURES)]
    equal = np.mean([(here(picture) == there(picture)).mean() for picture in pictures])
    print(f"{machine}; {torch.cuda.get_device_name()}; {here.name}")
    print(f"{equal:.4%} of the pixels of {PICTURES} masks are those of the processor.\n")
    print("| batch | pictures/s without a mirror image |\n|---:|---:|")
    alone = replace(there, task=replace(there.task, mirror=0.0))
    for batch in BATCHES:
        pixels = np.repeat(alone.pixel_values(pictures[0]), batch, axis=0)
        seconds = median_seconds(partial(alone.network, pixels), arguments.rounds)  # from and to the processor
        print(f"| {batch} | {batch / seconds:.0f} |")


if __name__ == "__main__":
    main()
