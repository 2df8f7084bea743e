"""How long a request may take to arrive: whoever sends half of one and waits holds nothing for long."""

import asyncio
import time

import h11
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 30  # for the head of a request, and between two parts of its body
SLOWEST = 20_000  # bytes a second that a body comes in at least, after the first SECONDS
TOO_SLOW = "The request came too slowly; send it again."


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP protocol, which closes a connection whose request has no whole head after SECONDS."""

    head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Starts the clock of the first request."""
        super().connection_made(transport)
        self.time_head()

    def data_received(self, data: bytes) -> None:
        """Takes what came; the clock of a further request starts with its first byte."""
        super().data_received(data)
        self.time_head()

    def time_head(self) -> None:
        """Starts the clock where a head is awaited, and stops it where none is."""
        awaited = self.conn.their_state is h11.IDLE and not self.transport.is_closing()
        if awaited and self.head_timer is None:
            self.head_timer = self.loop.call_later(SECONDS, self.transport.close)
        elif self.head_timer and not awaited:
            self.head_timer.cancel()
            self.head_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        if self.head_timer:
            self.head_timer.cancel()
        super().connection_lost(exc)


def time_bodies(app: ASGIApp) -> ASGIApp:
    """Answers a request whose body comes too slowly with 408, and closes its connection.

    Raises:
        HTTPException: in what asks for the body; outside of the routes nobody else answers it.
    """

    async def timed(scope: Scope, receive: Receive, send: Send) -> None:
        begin, received, whole = time.monotonic(), 0, False

        async def receive_in_time() -> Message:
            nonlocal received, whole
            if whole:  # only waits for the client to go away
                return await receive()
            left = begin + SECONDS + received / SLOWEST - time.monotonic()
            try:
                message = await asyncio.wait_for(receive(), min(left, SECONDS))
            except TimeoutError:
                raise HTTPException(408, TOO_SLOW, {"Connection": "close"}) from None
            received += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            return message

        await app(scope, receive_in_time if scope["type"] == "http" else receive, send)

    return timed
