"""How a run ends early: by a signal, or by a loss or gradient that is not finite; and how it can be resumed."""

import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import gather_object

from carmask.errors import RunError
from carmask.files.system import end_signals, leave_terminal
from carmask.inference.model_folder import all_checkpoints
from carmask.training.output_folder import resume_hint

SIGNALS = [signal.SIGINT, *end_signals()]
MOST_NAMED = 8  # files in a sentence
SAME_SECONDS = 3.0  # Ctrl-C reaches a process of torchrun twice, from the terminal and from torchrun


@contextmanager
def noted_signals() -> Iterator[list[float]]:
    """Only records when Ctrl-C, SIGTERM or SIGHUP came; another one more than SAME_SECONDS later acts as usual."""
    noted: list[float] = []

    def note(number: int, frame: object) -> None:
        leave_terminal()
        noted.append(time.monotonic())
        if len(noted) == 1 and PartialState().is_main_process:
            os.write(2, b"\nStopping after this step; Ctrl-C in a few seconds stops at once.\n")  # print may be busy
        elif noted[-1] - noted[0] > SAME_SECONDS:
            restore()
            signal.raise_signal(number)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield noted
    finally:
        restore()


def ignore_signals(worker: int) -> None:
    """Lets a process that prepares crops run until its parent ends it, since the parent still needs its crops."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def check_finite(loss: float, gradient_norm: float, step: int, learnt: list[tuple[str, str]], output: Path) -> None:
    """Demands that the loss and the gradient norm of a step are finite.

    `learnt` has, for each crop that this process learnt from in the step, the name of its picture and what is wrong
    with it, which is mostly nothing.

    Raises:
        RunError: one is not; the sentence names the files that all processes learnt from in that step.
    """
    if math.isfinite(loss + gradient_norm):
        return
    learnt = gather_object(learnt)
    faults = [fault for _, fault in learnt if fault]
    if faults:
        raise RunError(f"{faults[0]}{resume_hint(output)}")
    names = sorted({name for name, _ in learnt})
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    files = ", ".join(names[:MOST_NAMED]) + more
    remedy = "go on with --resume" if all_checkpoints(output) else "start again"
    raise RunError(
        f"The loss is {loss} and the gradient norm {gradient_norm} at step {step}, learnt from {files}. "
        f"Check these files, or {remedy} with half the --learning-rate."
    )
