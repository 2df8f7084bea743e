"""The server's middleware: requests that are refused before a function of the page runs, and security headers."""

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
NO_URLS = "URLs are not fetched here; upload the file itself."
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
CROSS_SITE = "This request comes from another site's page; open the demo's own page, or use the API from a program."


def block_url_fetching() -> None:
    """Makes inputs and the file route refuse URLs, which gradio would fetch on a visitor's behalf."""

    async def refuse_input(*_: object, **__: object) -> str:
        raise gr.Error(NO_URLS, print_exception=False)

    async def refuse_file(*_: object) -> Response:
        raise HTTPException(403, NO_URLS)

    processing_utils.async_ssrf_protected_download = refuse_input
    routes.secure_url_stream_response = refuse_file  # type: ignore[assignment]  # it takes anything


def limit_request_size(app: ASGIApp) -> ASGIApp:
    """Answers a request body that is too large with 413; uploads may be as large as a whole batch."""
    uploads = RequestBodyLimitMiddleware(app, MAX_BYTES + 2**20)
    others = RequestBodyLimitMiddleware(app, 2**20)

    async def by_route(scope: Scope, receive: Receive, send: Send) -> None:
        limited = uploads if scope.get("path", "").endswith(UPLOAD) else others
        await limited(scope, receive, send)

    return by_route


def is_cross_site(headers: Headers) -> bool:
    """Whether a browser sent a request on behalf of another site's page; programs send neither header.

    Behind a proxy the Host header may differ, so the browser's own Sec-Fetch-Site comes first.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site:
        return site not in ("same-origin", "none")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def reject_cross_site_posts(app: ASGIApp) -> ASGIApp:
    """Answers posts from other sites' pages with 403; adds `HEADERS` to every answer."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        is_read = scope.get("method", "GET") in ("GET", "HEAD", "OPTIONS")
        allowed = is_read or not is_cross_site(Headers(scope=scope))
        await (app if allowed else PlainTextResponse(CROSS_SITE, 403))(scope, receive, send_with_headers)

    return guarded
