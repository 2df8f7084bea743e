"""How far something is that takes long: a bar on a terminal, elsewhere a line a minute."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

FIRST, EVERY = 5, 60  # seconds until the first line, and from one to the next

Item = TypeVar("Item")


def progress(
    items: Iterable[Item], title: str, total: int | None = None, leave: bool = True, quiet: bool = False
) -> Iterator[Item]:
    """Hands items on, and says on stderr how many are done; what is over within 5 seconds says nothing in a log.

    Of the processes of a run only the first says anything.

    Args:
        items: to hand on.
        title: what is done with them.
        total: their number, if they do not know it.
        leave: whether a terminal keeps the bar.
        quiet: says nothing.
    """
    quiet = quiet or not is_first()
    if quiet or shows_bars():
        yield from tqdm(items, desc=title, total=total, leave=leave, disable=quiet)
        return
    lines = Lines(title, len(items) if total is None and isinstance(items, Sized) else total)
    for done, item in enumerate(items):
        lines.tell(done)
        yield item


@contextmanager
def counted(title: str, total: int, before: int) -> Iterator[Callable[[int, str], None]]:
    """Hands out what tells of steps how many of `total` are done, with a note, as `progress` does of items.

    Args:
        title: what the steps are.
        total: their number.
        before: how many were done before.
    """
    lines, shown = Lines(title, total, before), shows_bars()
    with tqdm(total=total, initial=before, desc=title, disable=not (shown and is_first())) as bar:

        def tell(done: int, note: str) -> None:
            bar.update(done - bar.n)
            bar.set_postfix_str(note)
            if not shown and is_first():
                lines.tell(done, note)

        yield tell


def is_first() -> bool:
    """Whether this is the first process of a run, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def shows_bars() -> bool:
    """Whether a bar is drawn: on a terminal, or for a program that follows it and sets tqdm's interval."""
    return sys.stderr.isatty() or "TQDM_MININTERVAL" in os.environ


class Lines:
    """Says on stderr how many of `total` are done, in a line after 5 seconds and one a minute."""

    def __init__(self, title: str, total: int | None, before: int = 0):
        """Starts the clock, when so many were done `before`."""
        self.title, self.total, self.before = title, total, before
        self.start = time.monotonic()
        self.due = self.start + FIRST

    def tell(self, done: int, note: str = "") -> None:
        """Says it, and a note, if a line is due."""
        now, new = time.monotonic(), done - self.before
        if new <= 0 or now < self.due:
            return
        self.due = now + EVERY
        left = ""
        if self.total:
            left = f" of {self.total}, about {duration((now - self.start) / new * (self.total - done))} left"
        left += f", {note}" if note else ""
        sys.stderr.write(f"{self.title}: {done}{left}\n")
        sys.stderr.flush()


def duration(seconds: float) -> str:
    """Seconds as people say them: 50 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
