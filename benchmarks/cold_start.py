"""Measures how long `python app.py` takes to its first answer of /mask, and how much memory it then holds.

    python benchmarks/cold_start.py

Each round starts the demo anew, asks it for the mask of an example as a program would, and stops it. The memory is
what the demo's process and its children hold; Linux alone tells it.
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from gradio_client import Client, handle_file

from benchmarks.machine import describe_machine
from carmask.files.system import free_port

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 300  # seconds
PAUSE = 0.05


def start_demo(port: int, model: str) -> subprocess.Popen:
    """Starts the demo with a model on a port of this machine."""
    settings = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), "CARMASK_MODEL": model}
    return subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=os.environ | settings, stdout=subprocess.DEVNULL)


def wait_for(port: int, process: subprocess.Popen) -> None:
    """Returns as soon as someone listens on the port; exits where the demo ends instead, or takes too long."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(PAUSE)
    sys.exit("The demo did not start; what it says stands above.")


def resident_megabytes(process: int) -> float:
    """Memory that a process and its children hold; NaN where the system does not tell."""
    status = Path(f"/proc/{process}/status")
    if not status.is_file():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return int(line.split()[1]) / 1000 + sum(resident_megabytes(int(child)) for child in children)


def measure(model: str, picture: Path) -> tuple[float, float, float]:
    """Starts the demo once: seconds until its page is served, until the first mask, and its memory then in MB."""
    port, start = free_port(), time.monotonic()
    with start_demo(port, model) as process:
        try:
            wait_for(port, process)
            served = time.monotonic() - start
            client = Client(f"http://127.0.0.1:{port}", verbose=False, download_files=False)
            client.predict(handle_file(picture), api_name="/mask")
            return served, time.monotonic() - start, resident_megabytes(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)


def main() -> None:
    """Reads the command line and prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="model folder (default: the embedded one)")
    parser.add_argument("--rounds", type=int, default=3, help="starts of the demo (default: %(default)s)")
    arguments = parser.parse_args()
    picture = ROOT / "examples" / "street.jpg"
    model = str(Path(arguments.model).resolve()) if arguments.model else ""
    machine = describe_machine("gradio", "onnxruntime")
    served, answered, memory = zip(*(measure(model, picture) for _ in range(arguments.rounds)), strict=True)
    print(f"{machine}\n{arguments.rounds} starts, medians\n")
    print("| page served, s | first mask, s | resident, MB |\n|---:|---:|---:|")
    print(f"| {' | '.join(f'{statistics.median(values):.1f}' for values in (served, answered, memory))} |")


if __name__ == "__main__":
    main()
