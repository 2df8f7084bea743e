"""The routes of gradio's server that are open: those that the page, its pictures and the documented API use.

gradio opens many more, such as one that runs ffmpeg on what is sent; whatever is not listed here answers 404, as will
what a later gradio adds.
"""

import re

OPEN_ROUTES = """
GET  HEAD  /
GET        /config
GET        /theme.css
GET        /favicon.ico
GET        /robots.txt
GET        /manifest.json
GET        /assets/{path}
GET        /static/{path}
GET        /gradio_api/app_id
GET        /gradio_api/info
GET        /gradio_api/info/
GET        /gradio_api/startup-events
GET        /gradio_api/heartbeat/{session_hash}
GET        /gradio_api/upload_progress
GET  HEAD  /gradio_api/file={path_or_url}
POST       /gradio_api/upload
POST       /gradio_api/queue/join
GET        /gradio_api/queue/data
POST       /gradio_api/cancel
POST       /gradio_api/reset
POST       /gradio_api/call/{api_name}
GET        /gradio_api/call/{api_name}/{event_id}
"""


def open_routes() -> list[tuple[str, str]]:
    """The open routes as (method, path), in the order above; in a path, {…} stands for any text."""
    rows = [line.split() for line in OPEN_ROUTES.strip().splitlines()]
    return [(method, path) for *methods, path in rows for method in methods]


def _pattern(path: str) -> str:
    """The regular expression of a path; only the text of the last part may hold slashes."""
    parts = [re.escape(part) for part in re.split(r"{\w+}", path)]
    last = "(.*)" if re.search(r"(path\w*)}$", path) else "([^/]+)"
    return "([^/]+)".join(parts[:-1]) + (last if len(parts) > 1 else "") + parts[-1]


_OPEN = re.compile("|".join(f"{method} {_pattern(path)}" for method, path in open_routes()), re.DOTALL)


def is_open(method: str, path: str) -> bool:
    """Whether a request by this method, such as GET, for this path is let in."""
    return _OPEN.fullmatch(f"{method} {path}") is not None
