"""Turns: one function of the page works at a time, in a fair order, and only while somebody waits for its answer.

The queue of gradio lets requests in; here each waits for its turn. A batch takes a new turn for every picture. The
turn goes round: of those who wait, the one whose address, and then whose session, has waited longest since it came or
had its last turn. A request that nobody listens for waits for its listener, and is dropped if there comes none.
"""

import asyncio
import inspect
import logging
import math
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial, wraps
from typing import Any
from urllib.parse import parse_qs

import gradio as gr
from gradio.context import LocalContext
from starlette.types import ASGIApp, Receive, Scope, Send

from carmask.files.system import give_freed_memory_back

MOST_VISITORS = 20  # who wait at a time
MOST_OF_VISITOR = 2  # requests of one function of the page that wait at a time
MOST_UNHEARD = 40  # requests without a listener that wait at a time
MOST_IN_HAND = 100  # requests that wait, at least
SECONDS_UNHEARD = 10
POLL_SECONDS = 0.05
BUSY = f"The page is busy: {MOST_VISITORS} visitors are waiting; try again in a minute."
TOO_MANY_OF_VISITOR = f"You have {MOST_OF_VISITOR} requests waiting already; wait for one of their answers."
UNHEARD = f"Nobody waited for this answer; ask for it within {SECONDS_UNHEARD} seconds."
DISK = "There is no answer: a file on the server cannot be read or written. Try again later."
END = object()
ANSWER_ROUTE = re.compile(r".*/queue/data|.*/call/(?:v2/)?[^/]+/(\w+)")

listening: Counter[str] = Counter()  # open connections that wait for answers, by session or event


def note_listeners(app: ASGIApp) -> ASGIApp:
    """Notes, as middleware, for which sessions and events somebody waits at an open connection."""

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        route = ANSWER_ROUTE.fullmatch(scope.get("path", "")) if scope.get("method") == "GET" else None
        if route is None:
            return await app(scope, receive, send)
        name = route[1] or parse_qs(scope["query_string"].decode(errors="replace")).get("session_hash", [""])[0]
        listening[name] += 1
        try:
            await app(scope, receive, send)
        finally:
            listening[name] -= 1
            if not listening[name]:
                del listening[name]

    return noting


class Waiting:
    """A request that waits for its turn: of which function, of whom, since when, and when it had a listener last."""

    def __init__(self, function: Callable):
        """Is made where gradio calls a function of the page: whose request it is stands in gradio's context."""
        request, event = LocalContext.request.get(None), LocalContext.event_id.get(None)
        assert request is not None
        session = request.session_hash
        self.function, self.names = function, {session, event}
        self.address = request.client.host if request.client else ""
        # A program that names no session is given a new one for each request.
        self.visitor = self.address if session in (None, event) else session
        self.since = self.heard = time.monotonic()
        self.let_in = False

    def is_like(self, other: "Waiting") -> bool:
        """Whether another request is of the same visitor for the same function."""
        return (self.function, self.visitor) == (other.function, other.visitor)

    def has_listener(self) -> bool:
        """Whether somebody waits for the answer now."""
        return any(name in listening for name in self.names)


class Turns:
    """Gives the functions of a page their turns; all of it but the functions themselves runs on the server's loop."""

    def __init__(self) -> None:
        """Starts with nobody waiting."""
        self.worker = ThreadPoolExecutor(1, "turn")  # one thread: torch and malloc keep memory for every thread
        self.running: Future | None = None
        self.waiting: list[Waiting] = []
        self.last_turn: dict[str, float] = {}  # when it ended, by address and by visitor

    def in_turn(self, function: Callable) -> Callable:
        """Has `function` wait for its turn; a generator waits for every step."""
        if inspect.isgeneratorfunction(function):

            @wraps(function)
            async def stepwise(*inputs: object) -> AsyncIterator[object]:
                steps = function(*inputs)
                try:
                    while (step := await self.take(function, partial(next, steps, END))) is not END:
                        yield step
                finally:
                    self.worker.submit(steps.close)  # after a step that still runs

            return stepwise

        @wraps(function)
        async def at_once(*inputs: object) -> object:
            return await self.take(function, partial(function, *inputs))

        return at_once

    async def take(self, function: Callable, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - what `work` returns
        """Does `work` for `function` when it is its turn.

        Raises:
            gr.Error: It is refused or dropped before it is done.
        """
        request = Waiting(function)
        self.waiting.append(request)
        try:
            while not self.is_next(request):
                await asyncio.sleep(POLL_SECONDS)
        finally:
            self.waiting.remove(request)
        oldest = min((one.since for one in self.waiting), default=math.inf)
        self.last_turn = {name: end for name, end in self.last_turn.items() if end > oldest}
        # Whoever goes away meanwhile does not end the work, so the turn ends with the work, not with this function.
        self.running = self.worker.submit(copy_context().run, self.work_for, request, work)
        return await asyncio.wrap_future(self.running)

    def work_for(self, request: Waiting, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - what `work` returns
        """Does `work` in the worker's thread, gives the memory that it freed back, and notes when the turn ended.

        Raises:
            gr.Error: The disk fails.
        """
        try:
            return work()
        except OSError:  # such as a full disk; it may name a path, which visitors must not see
            logging.exception("A turn failed")
            raise gr.Error(DISK, print_exception=False) from None
        finally:
            give_freed_memory_back()
            self.last_turn |= dict.fromkeys((request.address, request.visitor), time.monotonic())

    def is_next(self, request: Waiting) -> bool:
        """Whether it is the turn of `request`.

        Raises:
            gr.Error: It has waited too long for its listener, or others wait whom it may not join.
        """
        if not request.has_listener():
            self.check_unheard(request)
            return False
        request.heard = time.monotonic()
        if not request.let_in:
            self.check_others([one for one in self.waiting if one.let_in], request)
            request.let_in = True
        if self.running is not None and not self.running.done():
            return False
        return min((one for one in self.waiting if one.has_listener()), key=self.order) is request

    def check_unheard(self, request: Waiting) -> None:
        """Drops a request that nobody listens for: after some seconds, or sooner for newer ones of this visitor."""
        unheard = [one for one in self.waiting if not one.has_listener()]
        seconds = time.monotonic() - request.heard
        replaced = (
            seconds > SECONDS_UNHEARD / 10 and request in list(filter(request.is_like, unheard))[:-MOST_OF_VISITOR]
        )
        if seconds > SECONDS_UNHEARD or replaced or request in unheard[:-MOST_UNHEARD]:
            raise refused(UNHEARD)

    def check_others(self, let_in: list[Waiting], request: Waiting) -> None:
        """Refuses a visitor's third request for one function, and the request of one visitor too many."""
        if len(list(filter(request.is_like, let_in))) >= MOST_OF_VISITOR:
            raise refused(TOO_MANY_OF_VISITOR)
        if len({one.visitor for one in let_in} - {request.visitor}) >= MOST_VISITORS:
            raise refused(BUSY)

    def order(self, request: Waiting) -> tuple[float, float, float]:
        """The lowest is the next: since when its address, then its visitor, then the request itself has waited."""
        by_address, by_visitor = (self.last_turn.get(name, 0) for name in (request.address, request.visitor))
        return max(by_address, request.since), max(by_visitor, request.since), request.since


def refused(sentence: str) -> gr.Error:
    """The error that says why a request is refused or dropped; it leaves one line in the log."""
    logging.warning("Refused: %s", sentence)
    return gr.Error(sentence, print_exception=False)


def take_turns(page: gr.Blocks) -> None:
    """Has every function of a page wait for its turn, but for the short ones that are written as a lambda."""
    turns = Turns()
    for event in page.fns.values():
        if event.fn and event.queue and event.fn.__name__ != "<lambda>":
            event.fn = turns.in_turn(event.fn)
