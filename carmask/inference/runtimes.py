"""Run-times: a network, of torch or exported, is a function from pixels to logits; here an exported one is opened."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from carmask.errors import RuntimeFileError, StaleFileError, refused_as

if TYPE_CHECKING:
    import openvino


TORCH = "torch"
FILES = {"onnx": "model.onnx", "openvino": "model.xml"}
PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}
RUNTIMES = (TORCH, *FILES)
DAMAGED = "The file {} is damaged or not one that carmask export wrote; export the model again."
AGAIN = "export the model again"
WEIGHTS = "weights_sha256"  # what an ONNX file's metadata call the SHA-256 of the weights that it was made from
TRIAL_SECONDS = 8  # of a processor; ten times as long by the clock, if others use it
PROBE = (1, 3, 64, 64)

Network = Callable[[np.ndarray], np.ndarray]


def import_optional(package: str) -> ModuleType:
    """Imports a package that only exported networks need.

    Raises:
        RuntimeFileError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise RuntimeFileError(f"The package {package} is not installed; run: pip install {package}") from error


def try_exported(file: Path) -> None:
    """Demands that an exported network of unknown origin can be opened and run, in a process of its own with limits.

    Raises:
        RuntimeFileError: it cannot, or its run-time is not installed.
    """
    import_optional(PACKAGES[kind_of(file)])
    trial = [sys.executable, "-P", str(Path(__file__).with_name("trial.py")), str(file.absolute()), str(TRIAL_SECONDS)]
    try:
        ended = subprocess.run(trial, capture_output=True, timeout=10 * TRIAL_SECONDS, check=False).returncode
    except subprocess.TimeoutExpired:
        ended = 1
    if ended:
        raise RuntimeFileError(DAMAGED.format(file))


def kind_of(file: Path) -> str:
    """The run-time that an exported network is for, by the name of its file."""
    return next(kind for kind, name in FILES.items() if name == file.name)


def open_exported(file: Path, labels: int, threads: int = 0, weights: str = "", runtime: str = "") -> Network:
    """Opens an exported network: a function from pixels (B, 3, H, W) to logits (B, labels, h, w), both float32.

    It may be called from several threads at once; each call uses `threads` of its own (0: one per core). `runtime` is
    the one that the file is named for, if it is not given.

    Raises:
        RuntimeFileError: the run-time is not installed, or the file is damaged or another network.
        StaleFileError: an ONNX file was not exported from the `weights` beside it, given by their SHA-256.
    """
    runtime = runtime or kind_of(file)
    import_optional(PACKAGES[runtime])
    with refused_as(RuntimeFileError, DAMAGED.format(file)):
        network = open_openvino(file, threads) if runtime == "openvino" else open_onnx(file, threads, weights)
        logits = network(np.zeros(PROBE, np.float32))
    if logits.ndim != 4 or logits.shape[:2] != (1, labels) or not np.isfinite(logits).all():
        raise RuntimeFileError(DAMAGED.format(file))
    return network


def open_onnx(file: Path, threads: int, weights: str) -> Network:
    """Opens an ONNX file under ONNX Runtime; a StaleFileError if it is not of the `weights` that are given."""
    onnxruntime = import_optional("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.dynamic_block_base", "4")  # small blocks: no thread waits long
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False  # which keep memory for every size of a picture
    options.log_severity_level = 4  # what is wrong with a file is said above, in one sentence
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    if weights and session.get_modelmeta().custom_metadata_map.get(WEIGHTS) != weights:
        raise StaleFileError(f"The file {file} is of other weights than those beside it, and not used; {AGAIN}.")
    return lambda pixel_values: session.run(["logits"], {"pixel_values": pixel_values})[0]


@cache
def openvino_core() -> "openvino.Core":
    """OpenVINO's engine, one for the life of the process.

    A core lends the thread that makes it a stack for signal handlers and takes it back when it goes. Of two cores, the
    second gives back the first one's, long freed, and the next signal, such as a child's end, would kill the program.
    """
    return import_optional("openvino").Core()


def open_openvino(file: Path, threads: int) -> Network:
    """Opens an OpenVINO file; with `threads` it runs as many calls side by side as there are cores for."""
    settings: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        settings |= {"NUM_STREAMS": max(1, (os.cpu_count() or 1) // threads), "PERFORMANCE_HINT": "THROUGHPUT"}
    model = openvino_core().compile_model(file, "CPU", settings)

    def run(pixel_values: np.ndarray) -> np.ndarray:
        return model.create_infer_request().infer({"pixel_values": pixel_values})["logits"].copy()  # one per thread

    return run
