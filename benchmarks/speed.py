"""Measures one forward pass of 512 × 512 pixels: stock SegFormer and ours, in torch and in other run-times.

    python benchmarks/speed.py models/car-mask-b0

All take turns in one process, so that whatever else the machine does falls on each of them alike. The floor is the
time in which this machine's own product of two 1024 × 1024 matrices does as many operations as our network needs.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import SegformerForSemanticSegmentation

from carmask import ModelError
from carmask.commands.export import made_up_pixels
from carmask.errors import RuntimeFileError
from carmask.inference.exporting import write_onnx, write_openvino
from carmask.inference.runtimes import FILES, Network, import_optional, open_exported
from carmask.inference.torch_network import load_network, torch_function

STOCK, OURS = "stock", "ours"
EAGER, ONNX, OPENVINO = "torch", "ONNX Runtime", "OpenVINO"
FLOOR = "the floor: a matrix product of as many operations"
SIDE = 1024  # of the matrices of the floor
PAUSE = 0.02  # seconds, in which a run-time's waiting threads fall asleep


def open_all(model: str, scratch: Path, threads: int) -> dict[str, Network]:
    """Opens the stock network and ours in every run-time.

    Raises:
        ModelError: the model cannot be opened.
        RuntimeFileError: a run-time is not installed.
    """
    functions = {}
    ours = load_network(model)  # first: it refuses in one sentence
    if ours.config.model_type != "segformer":
        raise ModelError(f"The model {model} is no SegFormer; give the folder of one.")
    stock = SegformerForSemanticSegmentation.from_pretrained(model, dtype=torch.float32).eval()
    for owner, network in ((STOCK, stock), (OURS, ours)):
        labels = network.config.num_labels
        functions[f"{owner}, {EAGER}"] = torch_function(network)
        for name, to in ((ONNX, "onnx"), (OPENVINO, "openvino")):
            folder = scratch / owner / to
            folder.mkdir(parents=True)
            onnx_file = folder / FILES["onnx"]
            write_onnx(network, onnx_file, {}, one_attention=owner == OURS and to == "onnx")
            if to == "openvino":
                write_openvino(onnx_file, folder / FILES[to], {})
            functions[f"{owner}, {name}"] = open_exported(folder / FILES[to], labels, threads)
    return functions


def count_operations(function: Network, pixel_values: torch.Tensor) -> int:
    """Floating-point operations of one pass of a torch SegFormer: two per multiplication and addition.

    The matrix products of our head are not counted: they fold its weights and resize, which needs no multiplication.
    """
    with FlopCounterMode(display=False) as counter:
        function(pixel_values)
    head = next(counts for name, counts in counter.get_flop_counts().items() if name.endswith(".decode_head"))
    return counter.get_total_flops() - sum(head.get(product, 0) for product in (torch.ops.aten.mm, torch.ops.aten.bmm))


def take_turns(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Times functions one after the other, round by round; returns each one's median in seconds."""
    seconds = {name: [] for name in functions}
    for turn in range(rounds + 2):
        for name, function in functions.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            function()
            if turn >= 2:  # the first two warm up
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def ratio_table(seconds: dict[str, float]) -> str:
    """The ratios that count, as a Markdown table."""
    best = min((f"{OURS}, {ONNX}", f"{OURS}, {OPENVINO}"), key=seconds.get)
    slower_faster = [
        (f"{STOCK}, {EAGER}", f"{OURS}, {EAGER}"),
        (f"{STOCK}, {EAGER}", best),
        (best.replace(OURS, STOCK), best),
        (best, FLOOR),
    ]
    lines = ["| this | takes as long as so many of that | |", "|---|---|---:|"]
    lines += [f"| {slow} | {fast} | {seconds[slow] / seconds[fast]:.2f} |" for slow, fast in slower_faster]
    return "\n".join(lines)


def main() -> None:
    """Reads the command line and prints the ratios, then the medians, each with what it changes in the logits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a SegFormer")
    parser.add_argument("--side", type=int, default=512, help="height and width (default: 512)")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each (default: 9)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each pass (default: one per core)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    pixel_values = made_up_pixels((1, 3, arguments.side, arguments.side), seed=0)
    try:
        with tempfile.TemporaryDirectory() as scratch, torch.inference_mode():
            functions = open_all(arguments.model, Path(scratch), arguments.threads)
            operations = count_operations(functions[f"{OURS}, {EAGER}"], pixel_values)
            wanted = functions[f"{STOCK}, {EAGER}"](pixel_values)
            change = {name: (function(pixel_values) - wanted).abs().max() for name, function in functions.items()}
            turns = {name: lambda function=function: function(pixel_values) for name, function in functions.items()}
            matrix = torch.rand(SIDE, SIDE)
            seconds = take_turns(turns | {FLOOR: lambda: matrix @ matrix}, arguments.rounds)
    except (ModelError, RuntimeFileError) as error:
        sys.exit(str(error))
    seconds[FLOOR] *= operations / (2 * SIDE**3)
    versions = [f"{name} {import_optional(name).__version__}" for name in ("torch", "onnxruntime", "openvino")]
    print(f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads; {', '.join(versions)}")
    print(f"{arguments.side} × {arguments.side} pixels, {operations / 1e9:.1f} GFLOP, {arguments.rounds} rounds\n")
    print(f"{ratio_table(seconds)}\n\n| | ms | largest change of a logit, of their spread |\n|---|---:|---:|")
    for name, value in seconds.items():
        changed = f"{change[name] / wanted.std():.1e}" if name in change else ""
        print(f"| {name} | {value * 1000:.1f} | {changed} |")


if __name__ == "__main__":
    main()
