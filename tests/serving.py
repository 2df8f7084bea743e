"""Starts the demo the way a person does, for the tests that talk to it."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from carmask.files.system import free_port

ROOT = Path(__file__).resolve().parent.parent
SECONDS_TO_START = 300


@contextmanager
def served_demo(model="", dots_model="", root=ROOT, program=("app.py",), **environment):
    """Gives the address of the `python app.py` in `root` with these models, and stops it afterwards."""
    with running_demo(model, dots_model, root, program, **environment) as (address, _, _):
        yield address


@contextmanager
def running_demo(model="", dots_model="", root=ROOT, program=("app.py",), **environment):
    """Gives the address of the demo, its process, and the file that it logs to."""
    port = free_port()
    settings = os.environ | {"GRADIO_SERVER_PORT": str(port)} | environment
    settings |= {"CARMASK_MODEL": str(model), "CARMASK_DOTS_MODEL": str(dots_model)}
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen([sys.executable, *program], cwd=root, env=settings, stdout=log, stderr=log) as process,
    ):
        try:
            wait_for(port, process, log)
            yield f"http://127.0.0.1:{port}", process, log
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(300)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def wait_for(port, process, log):
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    log.seek(0)
    raise AssertionError(f"The demo did not start:\n{log.read()}")


def ask(demo, content, name="picture.png", route="mask"):
    """Uploads a file under a name and asks for its answer: the name of the last event, and what came with it."""
    uploaded = httpx.post(f"{demo}/gradio_api/upload", files={"files": (name, content)}, timeout=300)
    path = uploaded.raise_for_status().json()[0]
    return answer_to(demo, {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}, route)


def answer_to(demo, given, route="mask"):
    """Asks for the answer to a file that is named as an uploaded one would be."""
    data = {"mask": [given, None, False], "batch": [[given], None]}[route]
    with httpx.Client(base_url=f"{demo}/gradio_api", timeout=300) as browser:
        event = browser.post(f"call/{route}", json={"data": data}).raise_for_status().json()["event_id"]
        kind, answer = browser.get(f"call/{route}/{event}").text.strip().split("\n")[-2:]
    return kind.removeprefix("event: "), json.loads(answer.removeprefix("data: "))


def mask_of(demo, content, name="picture.png"):
    """The mask that the running demo answers with, and its name."""
    kind, answer = ask(demo, content, name)
    assert kind == "complete", answer
    opened = Image.open(io.BytesIO(httpx.get(answer[0]["url"], timeout=300).content))
    assert (opened.format, opened.mode, opened.info) == ("PNG", "L", {})
    mask = np.asarray(opened)
    assert set(np.unique(mask)) <= {0, 255}
    return mask, answer[0]["orig_name"]
