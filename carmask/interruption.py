"""How a run ends when it is asked to: after a step, not in its middle."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from accelerate import PartialState

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def noted_signals() -> Iterator[list[int]]:
    """Inside, the first Ctrl-C or SIGTERM only gets into the list; another one then ends the program at once."""
    noted: list[int] = []

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: object) -> None:
        noted.append(number)
        restore()
        PartialState().print("\nStopping after this step; once more stops at once.")

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield noted
    finally:
        restore()


def leave_signals(worker: int) -> None:
    """Makes a process that prepares crops go on until its parent ends it, since the parent needs its next crops."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
