"""The server's middleware: what is refused before a function of the page runs, one line of log for each, headers."""

import logging
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from carmask.demo.picture_zips import MAX_BYTES
from carmask.demo.server.hosts import is_own, own_names, refusal_of
from carmask.demo.server.open_routes import is_open
from carmask.demo.server.questions import CALL, JOIN, QuestionError, check_question, read_question
from carmask.demo.server.states import VisitorStates
from carmask.demo.server.time_limits import time_bodies
from carmask.demo.turns import note_listeners
from carmask.demo.uploads import MAX_STORED_BYTES, stored_bytes
from carmask.errors import shortened

UPLOAD, HEARTBEAT = "/gradio_api/upload", "/gradio_api/heartbeat/"
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
CROSS_SITE = "This request comes from another site's page; open the demo's own page, or use the API from a program."
BUSY = "The demo is busy: it holds as many pictures as it may. Try again in ten minutes."
FORGOTTEN = "So many visitors came that the server let go of this page's picture; give it again."
FAILED = "The server cannot answer this request; open the page anew, or see docs/api.md."
LOGGED = 200  # letters of a reason
RECHECKED = 8 * 2**20  # bytes of an upload, after which the room is looked at again


def all_middleware(states: VisitorStates) -> list[Middleware]:
    """The server's middleware, outermost first."""
    return [
        Middleware(answer_refusals),
        Middleware(refuse_strangers, names=own_names()),
        Middleware(limit_request_size),
        Middleware(time_bodies),
        Middleware(limit_stored_uploads),
        Middleware(hold_states, states=states),
        Middleware(check_questions, states=states),
        Middleware(note_listeners),
    ]


def route(scope: Scope) -> str:
    """The path of a request, or nothing if it is none, without what a proxy puts before it."""
    return scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else ""


def answer_refusals(app: ASGIApp) -> ASGIApp:
    """Answers a request that is refused or fails in a sentence, logs a line, and adds `HEADERS` to every answer."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        reason, started = "", False

        async def send_and_log(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(HEADERS)
                if message["status"] >= 400:
                    log_refusal(scope, f"{message['status']} {reason}")
            await send(message)

        if scope["type"] != "http":
            return await app(scope, receive, send)
        try:
            return await app(scope, receive, send_and_log)
        except ClientDisconnect:
            return None  # nobody is left to be told
        except HTTPException as error:
            refusal, reason = error, error.detail
        except Exception as error:  # gradio's routes decode what strangers send; any error may come of it
            refusal, reason = HTTPException(400, FAILED), f"{type(error).__name__}: {error}"
        if started:
            return log_refusal(scope, reason)
        kind = JSONResponse if route(scope).startswith((JOIN, CALL)) else PlainTextResponse
        words = {"detail": refusal.detail} if kind is JSONResponse else refusal.detail
        answer = kind(words, refusal.status_code, refusal.headers)
        return await answer(scope, receive, send_and_log)

    return answering


def log_refusal(scope: Scope, reason: str) -> None:
    """Logs a refused request in one line."""
    logging.warning("Refused: %s %s: %s", scope["method"], shortened(scope["path"]), shortened(reason, LOGGED))


def is_cross_site(headers: Headers) -> bool:
    """Whether a browser sent a request on behalf of another site's page; programs send neither header.

    Behind a proxy the Host header may differ, so the browser's own Sec-Fetch-Site comes first.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site:
        return site not in ("same-origin", "none")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def refuse_strangers(app: ASGIApp, names: set[str]) -> ASGIApp:
    """Refuses what calls the demo by another name than its `names`, other sites' posts, and routes that are closed."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers, method = Headers(scope=scope), scope["method"]
            if (host := headers.get("host")) and not is_own(host, names):
                raise HTTPException(403, refusal_of(host))
            if method not in ("GET", "HEAD", "OPTIONS") and is_cross_site(headers):
                raise HTTPException(403, CROSS_SITE)
            if method != "OPTIONS" and not is_open(method, route(scope)):
                raise HTTPException(404, "There is nothing here.")
        await app(scope, receive, send)

    return guarded


def limit_request_size(app: ASGIApp) -> ASGIApp:
    """Answers a request body that is too large with 413; uploads may be as large as a whole batch."""
    uploads = RequestBodyLimitMiddleware(app, MAX_BYTES + 2**20)
    others = RequestBodyLimitMiddleware(app, 2**20)

    async def by_route(scope: Scope, receive: Receive, send: Send) -> None:
        await (uploads if route(scope) == UPLOAD else others)(scope, receive, send)

    return by_route


def limit_stored_uploads(app: ASGIApp) -> ASGIApp:
    """Refuses uploads with 503 while the server stores as much as it may, also those that are on their way."""

    async def check_room(coming: int) -> None:
        if await anyio.to_thread.run_sync(stored_bytes) + coming > MAX_STORED_BYTES:
            raise HTTPException(503, BUSY, {"Connection": "close"})

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        unchecked = 0

        async def receive_while_room() -> Message:
            nonlocal unchecked
            message = await receive()
            unchecked += len(message.get("body", b""))
            if unchecked > RECHECKED:
                unchecked = 0
                await check_room(0)
            return message

        if route(scope) != UPLOAD:
            return await app(scope, receive, send)
        await check_room(int(Headers(scope=scope).get("content-length", 0)))
        return await app(scope, receive_while_room, send)

    return limited


def hold_states(app: ASGIApp, states: VisitorStates) -> ASGIApp:
    """Counts a page as open while it holds its heartbeat, so that its state is kept."""

    async def holding(scope: Scope, receive: Receive, send: Send) -> None:
        if not route(scope).startswith(HEARTBEAT):
            return await app(scope, receive, send)
        with states.open_page(route(scope).removeprefix(HEARTBEAT)):
            return await app(scope, receive, send)

    return holding


def check_questions(app: ASGIApp, states: VisitorStates) -> ASGIApp:
    """Refuses a question that has not its function's shape, or that is about a state which was forgotten."""

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        path = route(scope)
        if not path.startswith((JOIN, CALL)) or scope["method"] != "POST":
            return await app(scope, receive, send)
        content = await Request(scope, receive).body()
        try:
            question = read_question(content)
            function = check_question(scope["app"].get_blocks(), path, question)
        except QuestionError as fault:
            raise HTTPException(400, str(fault)) from None
        forgotten = states.was_forgotten(question.get("session_hash") or "")
        if forgotten and any(block.stateful for block in function.inputs):
            raise HTTPException(410, FORGOTTEN)
        coming: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive_again() -> Message:
            return coming.pop() if coming else await receive()

        return await app(scope, receive_again, send)

    return checked
