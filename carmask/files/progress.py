"""How far something is that takes long: a bar on a terminal, elsewhere a line a minute."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

FIRST, EVERY = 5, 60  # seconds until the first line, and from one to the next

Item = TypeVar("Item")


def progress(
    items: Iterable[Item], title: str, total: int | None = None, leave: bool = True, quiet: bool = False
) -> Iterator[Item]:
    """Hands items on, and says on stderr how many are done; what is over within 5 seconds says nothing in a log.

    Args:
        items: to hand on.
        title: what is done with them.
        total: their number, if they do not know it.
        leave: whether a terminal keeps the bar.
        quiet: says nothing, such as in all processes but one.
    """
    if quiet or sys.stderr.isatty():
        yield from tqdm(items, desc=title, total=total, leave=leave, disable=quiet)
        return
    total = len(items) if total is None and isinstance(items, Sized) else total
    start = time.monotonic()
    due = start + FIRST
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now >= due:
            due = now + EVERY
            left = f" of {total}, about {duration((now - start) / done * (total - done))} left" if total else ""
            sys.stderr.write(f"{title}: {done}{left}\n")
            sys.stderr.flush()
        yield item


def duration(seconds: float) -> str:
    """Seconds as people say them: 50 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
