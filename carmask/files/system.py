"""What is asked of the operating system, in a portable way: the allocator, locks, memory, ports, processes."""

import ctypes
import os
import signal
import socket
import sys
from typing import TextIO

try:
    import fcntl
    import resource
except ImportError:  # Windows
    fcntl = resource = None  # type: ignore[assignment]  # no module there

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h


def keep_freed_memory() -> None:
    """Lets glibc keep what a step of training frees for the next one, which need not fault it in again page by page.

    A step is a fifth to a third shorter (`benchmarks/train_speed.py`). Elsewhere nothing happens.
    """
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
        ctypes.CDLL(None).mallopt(M_MMAP_MAX, 0)
        ctypes.CDLL(None).mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def give_freed_memory_back() -> None:
    """Gives what was freed to the system; glibc would keep some of it in every thread that ever answered a picture."""
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)


def lock(handle: TextIO, shared: bool = False) -> None:
    """Locks an open file for this process, until the file is closed; processes that it starts do not inherit the lock.

    Without fcntl there is no lock, and who starts two runs in one folder has to know.

    Raises:
        BlockingIOError, PermissionError: another process has it.
    """
    if fcntl:
        fcntl.lockf(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def peak_resident_bytes() -> int:
    """The most main memory that this process has held so far; 0 where the system does not say."""
    if not resource:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def end_signals() -> list[signal.Signals]:
    """The signals that ask a program to end: SIGTERM, and a closed terminal's SIGHUP, unless nohup has it ignored."""
    if sys.platform == "win32" or signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        return [signal.SIGTERM]
    return [signal.SIGTERM, signal.SIGHUP]


def leave_terminal() -> None:
    """Lets a program whose terminal was closed write on, into nothing; otherwise its next line of output ends it."""
    for stream in (1, 2):
        try:
            os.write(stream, b"")
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def is_running(process: int) -> bool:
    """Whether there is a process of this number; where asking would stop it, as on Windows, the answer is yes."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
