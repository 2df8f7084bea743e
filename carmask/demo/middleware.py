"""The demo's doors: what its server refuses before any function of the page runs, and what it tells browsers."""

from urllib.parse import urlsplit

import gradio as gr
from gradio import processing_utils, routes
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from carmask.demo.picture_zips import MAX_BYTES

UPLOAD = "/gradio_api/upload"

NO_ADDRESSES = "Addresses are not fetched here; upload the file itself."

HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}

FOREIGN = "This request comes from another site's page; open the demo's own page, or ask from a program."


def fetch_nothing() -> None:
    """Has every input of the page, and the route of files, refuse an address that gradio would fetch for a visitor."""

    async def refuse_input(*_: object, **__: object) -> str:
        raise gr.Error(NO_ADDRESSES, print_exception=False)

    async def refuse_file(*_: object) -> Response:
        raise HTTPException(403, NO_ADDRESSES)

    processing_utils.async_ssrf_protected_download = refuse_input
    routes.secure_url_stream_response = refuse_file


def limited_bodies(app: ASGIApp) -> ASGIApp:
    """Answers a request that is too large with 413; only uploads may hold the pictures of a whole batch."""
    uploads = RequestBodyLimitMiddleware(app, MAX_BYTES + 2**20)
    others = RequestBodyLimitMiddleware(app, 2**20)

    async def by_route(scope: Scope, receive: Receive, send: Send) -> None:
        limited = uploads if scope.get("path", "").endswith(UPLOAD) else others
        await limited(scope, receive, send)

    return by_route


def from_foreign_page(headers: Headers) -> bool:
    """Whether a browser sent a request on behalf of another site's page; programs say nothing of the kind.

    Behind a proxy the host may bear another name, so what the browser itself says comes first.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site:
        return site not in ("same-origin", "none")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def own_page_only(app: ASGIApp) -> ASGIApp:
    """Answers what other sites' pages post with 403; has browsers take every answer as the type that it says."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        asks = scope.get("method", "GET") in ("GET", "HEAD", "OPTIONS")
        welcome = asks or not from_foreign_page(Headers(scope=scope))
        await (app if welcome else PlainTextResponse(FOREIGN, 403))(scope, receive, send_marked)

    return guarded
