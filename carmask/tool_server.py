"""The demo as a tool for language models: an MCP server beside the page, with the page's own limits and queue.

Source: Model Context Protocol, https://modelcontextprotocol.io. gradio's own server would keep what callers send
outside the folder that is swept, and asks them for addresses, which the demo fetches for nobody.
"""

import base64
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from anyio import to_thread
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from carmask.doors import MAX_TOOL_BYTES, TOOLS

NOT_INSTALLED = "CARMASK_MCP is set, but the package mcp is not installed; run: pip install mcp"
NOT_BASE64 = "This is not base64; send the bytes of the picture's file as base64, without a data: prefix."


class ToolServerError(ValueError):
    """Says in one sentence why there can be no server for tools."""


def tool_server(address: Callable[[], str]) -> dict:
    """What gradio's `app_kwargs` need for a server with one tool, `mask`, beside the demo at `address()`.

    Raises:
        ToolServerError: the package mcp is not installed.
    """
    try:
        from mcp.server.mcpserver import Image, MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
    except ModuleNotFoundError as error:
        raise ToolServerError(NOT_INSTALLED) from error
    server = MCPServer("car-mask")

    @server.tool(structured_output=False)
    async def mask(picture: str, model: str | None = None) -> list:
        """Finds the car in a picture.

        Takes the picture's file (JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF, at most 20 MB) as base64, and the name of
        one of the demo's models if not the first. Returns the mask, a PNG of the upright picture's size with 255 where
        the car is and 0 elsewhere, and one line of text.
        """
        try:
            png, line = await to_thread.run_sync(ask, address(), picture, model)
        except (AppError, ValueError) as refusal:
            raise ToolError(str(refusal)) from None
        return [Image(data=png, format="png"), line]

    host = os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    app = server.streamable_http_app(
        streamable_http_path=TOOLS,
        stateless_http=True,
        json_response=True,
        max_request_body_size=MAX_TOOL_BYTES,
        host=host,
    )
    return {"routes": app.routes, "lifespan": lambda _: server.session_manager.run()}


def ask(address: str, picture: str, model: str | None) -> tuple[bytes, str]:
    """Asks the demo for a mask as any other program would: the mask as PNG, and the line about it.

    Raises:
        ValueError: the picture is no base64.
        AppError: it is refused, or the demo is busy.
    """
    try:
        content = base64.b64decode(picture, validate=True)
    except ValueError:
        raise ValueError(NOT_BASE64) from None
    with tempfile.TemporaryDirectory(dir=get_upload_folder()) as folder:
        path = Path(folder) / "picture"
        path.write_bytes(content)
        demo = Client(address, verbose=False, download_files=folder)
        try:
            mask, line = demo.predict(handle_file(path), *([model] if model else []), api_name="/mask")
            return Path(mask).read_bytes(), line
        finally:
            demo.close()
