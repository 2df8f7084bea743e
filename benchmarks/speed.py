"""Measures one forward pass of a model: the network as transformers opens it and ours, in torch and other run-times.

    python benchmarks/speed.py models/car-mask-fcn

All take turns in one process, so that whatever else the machine does falls on each of them alike. The floor is the
time in which ONNX Runtime's product of two 1024 × 1024 matrices does as many operations as our network needs.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count
from transformers import AutoModelForSemanticSegmentation, PreTrainedModel, SegformerForSemanticSegmentation

from benchmarks.machine import describe_machine
from carmask import ModelError
from carmask.errors import RuntimeFileError
from carmask.inference.exporting import made_up_pixels, write_onnx, write_openvino
from carmask.inference.predictor import Predictor
from carmask.inference.runtimes import FILES, Network, import_optional, open_exported
from carmask.inference.torch_network import load_network, torch_function

STOCK, OURS = "stock", "ours"
EAGER, ONNX, OPENVINO = "torch", "ONNX Runtime", "OpenVINO"
FLOOR = "the floor: a matrix product of as many operations"
SIDE = 1024  # of the matrices of the floor
PHOTO = (3000, 4000)  # height and width
FLOOR_ROUNDS = 9
PAUSE = 0.02  # seconds, in which a run-time's waiting threads fall asleep


def open_all(model: str, scratch: Path, threads: int) -> dict[str, Network]:
    """Opens the network of the folder `model`, as it is stored and as ours, in every run-time.

    Raises:
        ModelError: the model cannot be opened.
        RuntimeFileError: a run-time is not installed.
    """
    functions = {}
    ours = load_network(model)  # first: it refuses in one sentence
    stock = AutoModelForSemanticSegmentation.from_pretrained(model, dtype=torch.float32).eval()
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


def attention_operations(query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object) -> int:
    """What torch's counter leaves out: the attention of a CPU."""
    return sdpa_flop_count(query, key, value)


@torch.inference_mode()
def count_operations(network: PreTrainedModel, size: tuple[int, int]) -> int:
    """Floating-point operations of one pass of a network at `size` (height, width): two per multiply and add.

    Our head's products that fold its weights and resize, which needs no multiplication, are not counted.
    """
    pixel_values = torch.zeros(1, 3, *size)
    attention = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention_operations}
    with FlopCounterMode(display=False, custom_mapping=attention) as counter:
        network(pixel_values)
    if not isinstance(network, SegformerForSemanticSegmentation):
        return counter.get_total_flops()
    features = network(pixel_values, output_hidden_states=True).hidden_states
    head = next(counts for name, counts in counter.get_flop_counts().items() if name.endswith(".decode_head"))
    width = network.config.decoder_hidden_size
    mixed = 2 * width * sum(maps[0].numel() for maps in features)
    scored = 2 * width * network.config.num_labels * features[0][0, 0].numel()
    return counter.get_total_flops() - sum(head.values()) + mixed + scored


def open_product(threads: int) -> Callable[[], object]:
    """A function that has ONNX Runtime multiply two matrices of `SIDE` rows and columns."""
    onnx, onnxruntime = import_optional("onnx"), import_optional("onnxruntime")
    matrix = onnx.helper.make_tensor_value_info
    names = [matrix(name, onnx.TensorProto.FLOAT, (SIDE, SIDE)) for name in ("left", "product")]
    right = onnx.numpy_helper.from_array(torch.rand(SIDE, SIDE).numpy(), "right")
    node = onnx.helper.make_node("MatMul", ["left", "right"], ["product"])
    graph = onnx.helper.make_graph([node], "product", names[:1], names[1:], [right])
    opset = onnx.helper.make_opsetid("", 18)
    stored = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(stored, options, providers=["CPUExecutionProvider"])
    left = torch.rand(SIDE, SIDE).numpy()
    return lambda: session.run(None, {"left": left})


def floor_seconds(model: str | Path, predictor: Predictor, photo: tuple[int, int], threads: int) -> float:
    """How long matrix products of as many operations take as the network needs for a photo (height, width)."""
    window = predictor.window_size(photo)
    sizes = [window, predictor.mirror_size(window)] if predictor.task.mirror else [window]
    network, product = load_network(model), open_product(threads)
    operations = sum(count_operations(network, size) for size in sizes)
    return take_turns({FLOOR: product}, FLOOR_ROUNDS)[FLOOR] * operations / (2 * SIDE**3)


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
    best = min((f"{OURS}, {ONNX}", f"{OURS}, {OPENVINO}"), key=lambda name: seconds[name])
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
    parser.add_argument("model", help="model folder")
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="(default: as for a 4:3 photo)")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each (default: 9)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each pass (default: one per core)")
    arguments = parser.parse_args()
    machine = describe_machine("torch", "onnxruntime", "openvino")
    torch.set_num_threads(arguments.threads)
    try:
        size = arguments.size or Predictor.from_pretrained(arguments.model).window_size(PHOTO)
        pixel_values = made_up_pixels((1, 3, *size), seed=0)
        with tempfile.TemporaryDirectory() as scratch, torch.inference_mode():
            functions = open_all(arguments.model, Path(scratch), arguments.threads)
            operations = count_operations(load_network(arguments.model), size)
            wanted = functions[f"{STOCK}, {EAGER}"](pixel_values)
            change = {name: np.abs(function(pixel_values) - wanted).max() for name, function in functions.items()}
            turns = {name: lambda function=function: function(pixel_values) for name, function in functions.items()}
            seconds = take_turns(turns | {FLOOR: open_product(arguments.threads)}, arguments.rounds)
    except (ModelError, RuntimeFileError) as error:
        sys.exit(str(error))
    seconds[FLOOR] *= operations / (2 * SIDE**3)
    print(f"{machine}; {arguments.threads} threads")
    print(f"{size[0]} × {size[1]} pixels, {operations / 1e9:.1f} GFLOP, {arguments.rounds} rounds\n")
    print(f"{ratio_table(seconds)}\n\n| | ms | largest change of a logit, of their spread |\n|---|---:|---:|")
    for name, value in seconds.items():
        changed = f"{change[name] / wanted.std():.1e}" if name in change else ""
        print(f"| {name} | {value * 1000:.1f} | {changed} |")


if __name__ == "__main__":
    main()
