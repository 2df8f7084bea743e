"""The laws on the tool for language models, asked for by the protocol's own client."""

import asyncio
import base64
import io
import os
import subprocess
import sys

import httpx
import numpy as np
import pytest
from conftest import drawn_car
from mcp import Client
from PIL import Image
from serving import ROOT, served_demo
from test_pictures import encoded

from carmask import Predictor
from carmask.doors import MAX_TOOL_BYTES
from carmask.tool_server import NOT_INSTALLED


@pytest.fixture(scope="module")
def demo(tiny_mask_model):
    with served_demo(tiny_mask_model, CARMASK_MCP="1") as address:
        yield address


def called(demo, **arguments):
    async def call():
        async with Client(f"{demo}/mcp") as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["mask"]
            return await client.call_tool("mask", arguments)

    return asyncio.run(call())


def test_the_tool_gives_the_predictors_mask_bit_for_bit(demo, tiny_mask_model):
    picture, _ = drawn_car()
    answer = called(demo, picture=base64.b64encode(encoded(picture, "PNG")).decode())
    assert not answer.is_error
    mask, line = answer.content
    assert mask.mime_type == "image/png"
    opened = Image.open(io.BytesIO(base64.b64decode(mask.data)))
    assert (opened.format, opened.mode, opened.info) == ("PNG", "L", {})
    assert np.array_equal(opened, Predictor.from_pretrained(tiny_mask_model)(picture))
    assert "96 × 64 pixels" in line.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"picture": base64.b64encode(b"GIF8").decode()}, "damaged or incomplete"),
        ({"picture": "/etc/hostname"}, "not base64"),
        ({"picture": "https://example.com/a.png"}, "not base64"),
        ({"picture": "data:image/png;base64,AAAA"}, "not base64"),
        ({"picture": ""}, "empty"),
        ({"picture": "AAAA", "model": "none"}, "no such model"),
    ],
)
def test_what_is_refused_says_why_and_no_file_or_address_is_opened(demo, arguments, words):
    answer = called(demo, **arguments)
    assert answer.is_error
    assert words in answer.content[0].text


def test_the_tools_door_is_as_narrow_as_the_others(demo):
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    body = b'{"picture": "' + bytes(MAX_TOOL_BYTES) + b'"}'
    assert httpx.post(f"{demo}/mcp", content=body, headers=headers, timeout=60).status_code == 413
    foreign = headers | {"Origin": "https://evil.example"}
    assert httpx.post(f"{demo}/mcp", json={}, headers=foreign).status_code == 403


def test_without_its_package_the_demo_ends_in_one_sentence(tiny_mask_model, tmp_path):
    (tmp_path / "mcp.py").write_text("raise ModuleNotFoundError('No module named mcp')")
    settings = {"CARMASK_MODEL": str(tiny_mask_model), "CARMASK_MCP": "1", "PYTHONPATH": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=os.environ | settings, capture_output=True, text=True
    )
    assert (run.returncode, run.stderr) == (1, f"{NOT_INSTALLED}\n")
