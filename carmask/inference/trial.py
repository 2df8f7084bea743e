"""Opens an exported network and runs it once, within limits, before another process does: `trial.py FILE SECONDS`.

It imports the run-time alone, so that it takes a quarter of a second.
"""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np

MEMORY = 2**30  # bytes, beside four times what the files of the network take


def limit(file: Path, seconds: int) -> None:
    """Bounds the memory that this process may take, and the seconds of a processor, where the system can."""
    try:
        resource = import_module("resource")
    except ModuleNotFoundError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    held = sum(part.stat().st_size for part in (file, file.with_suffix(".bin")) if part.is_file())
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY + 4 * held,) * 2)


def main(file: Path, seconds: int) -> None:
    """Opens a network and has it run once on black pixels."""
    limit(file, seconds)
    pixels = {"pixel_values": np.zeros((1, 3, 64, 64), np.float32)}
    if file.suffix == ".onnx":
        onnxruntime = import_module("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the stacks of a hundred threads would be over the limit
        onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"]).run(["logits"], pixels)
    else:
        compiled = import_module("openvino").Core().compile_model(file, "CPU", {"INFERENCE_NUM_THREADS": 1})
        compiled.create_infer_request().infer(pixels)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
