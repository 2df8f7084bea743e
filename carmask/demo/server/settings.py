"""How gradio's server is set up: middleware, states that outlast a flood, nothing that is unused; and how it ends."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType, ModuleType
from typing import Any

import gradio as gr
from gradio import processing_utils, routes
from gradio.routes import App
from starlette.exceptions import HTTPException
from starlette.responses import Response
from uvicorn import config

from carmask.demo.picture_zips import MAX_BYTES
from carmask.demo.server.middleware import all_middleware
from carmask.demo.server.states import VisitorStates
from carmask.demo.server.time_limits import TimedProtocol
from carmask.demo.turns import MOST_IN_HAND
from carmask.errors import ModelError
from carmask.files.system import end_signals, leave_terminal

NO_URLS = "URLs are not fetched here; upload the file itself."


async def refuse_input(*_: object, **__: object) -> str:
    """Refuses an input that is a URL.

    Raises:
        gr.Error: always.
    """
    raise gr.Error(NO_URLS, print_exception=False)


async def refuse_file(*_: object) -> Response:
    """Refuses a URL where a file of the server is asked for.

    Raises:
        HTTPException: always.
    """
    raise HTTPException(403, NO_URLS)


def replace_private_names(uploads: str) -> None:
    """Replaces what gradio and uvicorn cannot be told: to fetch no URLs, the temporary folder, the protocol.

    Raises:
        ModelError: One of the names is no longer there, so that the demo would be open where it must not be.
    """
    replace(processing_utils, "async_ssrf_protected_download", refuse_input)
    replace(routes, "secure_url_stream_response", refuse_file)
    replace(routes, "DEFAULT_TEMP_DIR", uploads)  # gradio creates a folder in it, which another user may own
    replace(config, "HTTP_PROTOCOLS", config.HTTP_PROTOCOLS | {"auto": f"{TimedProtocol.__module__}:TimedProtocol"})


def replace(module: ModuleType, name: str, value: object) -> None:
    """Replaces a name of a module.

    Raises:
        ModelError: The module has no such name.
    """
    if name not in vars(module):
        words = "the demo is not safe with this version: install those of requirements.txt."
        raise ModelError(f"{module.__name__} has no {name} to replace; {words}")
    setattr(module, name, value)


def end_on_signals() -> None:
    """Lets `kill` and a closed terminal end the demo as Ctrl-C does, so that they delete the uploads, too."""

    def end(number: int, frame: FrameType | None) -> None:
        leave_terminal()
        signal.default_int_handler(number, frame)

    for number in end_signals():
        signal.signal(number, end)


def launch_settings() -> dict[str, Any]:
    """The settings of the server, for `launch`."""
    states = VisitorStates()

    @asynccontextmanager
    async def with_states(app: App) -> AsyncIterator[None]:
        app.state_holder = states
        states.set_blocks(app.get_blocks())
        yield

    closed = dict.fromkeys(("openapi_url", "docs_url", "redoc_url"))
    return {
        "max_file_size": MAX_BYTES,
        "show_error": False,
        "enable_monitoring": False,
        "run_history": False,
        "mcp_server": False,
        "ssr_mode": False,
        "state_session_capacity": 200,
        "max_threads": MOST_IN_HAND,
        "footer_links": [],
        "app_kwargs": {"middleware": all_middleware(states), "lifespan": with_states} | closed,
    }
