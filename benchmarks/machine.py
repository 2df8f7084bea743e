"""What every measurement says of the machine that it ran on, and how long something takes there."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version

BUSY = 1.0  # processes that want a processor, on average over the last minute


def describe_machine(*packages: str) -> str:
    """The processor's kind, its cores, the packages' versions, and a warning where others use it as well."""
    parts = [f"{platform.machine()}, {os.cpu_count()} cores", *(f"{name} {version(name)}" for name in packages)]
    load = os.getloadavg()[0]
    warning = f"\nThe machine is busy (load {load:.1f}): measure again on a quiet one." if load > BUSY else ""
    return "; ".join(parts) + warning


def median_seconds(function: Callable[[], object], rounds: int) -> float:
    """The median time of a call; two calls before warm up."""
    times = []
    for _ in range(rounds + 2):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])
