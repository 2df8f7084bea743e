"""Load test of the page: many visitors at once, abandoned work, large and refused pictures, deletion of old files.

    python tests/soak_page.py

Prints what it measures and exits with 1 where a limit is broken.
"""

import asyncio
import contextlib
import json
import os
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
from conftest import drawn_car, save_balanced, tiny_network
from files.test_pictures import encoded, png_header
from page_memory import SIDE, check_growth, check_page_memory, check_seven_at_once, megabytes, reset_peak
from PIL import Image
from serving import ROOT, ask, running_demo

from carmask.demo.server.open_routes import open_routes

VISITORS, QUEUE = 60, 20
ABANDONED, MOST_SECONDS = 20, 15
LIFETIME = 4  # seconds
SHORT_LIVED = ("-c", f"""
from carmask.demo import uploads
uploads.LIFETIME_SECONDS, uploads.SWEEP_SECONDS = {LIFETIME}, 1
import app
app.main()
""")  # fmt: skip
broken = []


def check_limit(words: str, value: float, most: float) -> None:
    """Prints a measured value and notes it if it is above what it may be."""
    print(f"{'ok' if value <= most else 'BROKEN':7} {words}: {value:.2f}, at most {most:g}", flush=True)
    if value > most:
        broken.append(words)


async def ask_as_page(browser: httpx.AsyncClient, path: str, function: int) -> str:
    """Asks for one mask as the page does, and returns how it ended: masked, or what the visitor was told."""
    session = os.urandom(6).hex()
    given = {"path": path, "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}}
    question = {"data": [given, None, False], "fn_index": function, "session_hash": session}
    joined = await browser.post("queue/join", json=question)
    if joined.status_code != 200:
        return joined.json()["detail"].split(".")[0]
    async with browser.stream("GET", "queue/data", params={"session_hash": session}) as told:
        async for line in told.aiter_lines():
            message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
            if message.get("msg") == "process_completed":
                return "masked" if message["success"] else str(message["output"])
    return "left without an answer"


async def check_flood(address: str) -> None:
    """Sixty visitors ask at once: the queue's twenty are answered, the others told at once, and nobody hangs."""
    page = httpx.get(f"{address}/config").json()
    function = next(one["id"] for one in page["dependencies"] if one["api_name"] == "mask")
    limits = httpx.Limits(max_connections=VISITORS)
    async with httpx.AsyncClient(base_url=f"{address}/gradio_api/", timeout=120, limits=limits) as browser:
        files = {"files": ("a.png", encoded(drawn_car((600, 900))[0], "PNG"))}
        (path,) = (await browser.post("upload", files=files)).json()
        began = time.monotonic()
        ends = await asyncio.gather(*(ask_as_page(browser, path, function) for _ in range(VISITORS)))
    print(f"{time.monotonic() - began:.1f} s for {VISITORS} visitors; told: {set(ends)}")
    masked, busy = ends.count("masked"), sum("busy" in end or "Queue is full" in end for end in ends)
    check_limit("visitors who were neither answered nor told that the page is busy", VISITORS - masked - busy, 0)
    check_limit("places of the queue that were left empty", QUEUE - masked, 0)
    check_limit("visitors who were let in", VISITORS - busy, 2 * QUEUE)


def refused_pictures() -> dict[str, bytes]:
    """Files that must be refused before they take much."""
    noise = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 900), np.uint8)), "JPEG")
    scans = encoded(Image.new("L", (4000, 4000)), "JPEG", progressive=True)
    head, scan = scans.split(b"\xff\xda", 1)
    odd = np.arange(SIDE + 1)  # such a JPEG is decoded at full size
    ramp = Image.fromarray(np.add.outer(odd, odd).astype(np.uint8))
    rows = zlib.compress(bytes(3 * 9000 * 100))
    chunk = struct.pack(">I", len(rows)) + b"IDAT" + rows + struct.pack(">I", zlib.crc32(b"IDAT" + rows))
    return {
        "20000 x 20000 pixels": png_header(20000, 20000),
        "little behind a header of 9000 x 9000 pixels": png_header(9000, 9000)[:33] + chunk,
        "JPEG of 400 scans": head + (b"\xff\xda" + scan) * 400,
        "cut JPEG": noise[: len(noise) // 2],
        **{f"half of a {kind} of 88 megapixels": half(ramp, kind) for kind in ("PNG", "JPEG", "GIF")},
        "20 MB of nothing": bytes(20 << 20),
        "21 MB": bytes(21 << 20),
    }


def half(picture: Image.Image, kind: str) -> bytes:
    """The first half of a picture's file."""
    content = encoded(picture, kind)
    return content[: len(content) // 2]


def check_abandoned(address: str) -> None:
    """Twenty requests for a sliding window over a large picture, whose answers nobody reads, are in nobody's way."""
    uploads = f"{address}/gradio_api/upload"
    large = encoded(Image.new("RGB", (SIDE, SIDE)), "PNG")
    path = httpx.post(uploads, files={"files": ("a.png", large)}, timeout=60).json()[0]
    given = {"path": path, "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}}
    for index in range(ABANDONED):
        question = {"data": [given, None, True]} | ({"session_hash": os.urandom(6).hex()} if index % 2 else {})
        httpx.post(f"{address}/gradio_api/call/mask", json=question).raise_for_status()
    began = time.monotonic()
    kind, answer = ask(address, encoded(drawn_car((1224, 1632))[0], "JPEG"))
    assert kind == "complete", answer
    words = f"seconds for 2 megapixels behind {ABANDONED} abandoned sliding windows over 88"
    check_limit(words, time.monotonic() - began, MOST_SECONDS)


def check_refused(address: str, process: int) -> None:
    """Asks for pictures that are refused, and looks at the time and the memory."""
    for name, content in refused_pictures().items():
        idle, began = reset_peak(process), time.monotonic()
        kind, answer = ask(address, content)
        assert kind == "error", answer
        check_limit(f"seconds to refuse {name}", time.monotonic() - began, 2)
        check_limit(f"MB above idle to refuse {name}", megabytes(process, "VmHWM") - idle, 300)


def check_deletion(model: Path, folder: Path) -> None:
    """Whatever came in or went out is deleted after its time, and all of it when the demo ends."""
    with running_demo(model, program=SHORT_LIVED, TMPDIR=str(folder)) as (address, _, _):
        ask(address, encoded(drawn_car()[0], "PNG"))
        ask(address, b"GIF8")
        ask(address, encoded(drawn_car()[0], "PNG"), route="batch")
        abort_upload(address)
        assert files_in(folder), "Nothing was there to be deleted."
        end = time.monotonic() + LIFETIME + 20
        while files_in(folder) and time.monotonic() < end:
            time.sleep(0.5)
        check_limit("files left after their time", len(files_in(folder)), 0)
        ask(address, encoded(drawn_car()[0], "PNG"))
    check_limit("files left after the end", len(files_in(folder)), 0)
    with running_demo(model, program=SHORT_LIVED, TMPDIR=str(folder)) as (address, process, _):
        ask(address, encoded(drawn_car()[0], "PNG"))
        process.kill()
    killed = len(files_in(folder))
    with running_demo(model, program=SHORT_LIVED, TMPDIR=str(folder)):
        check_limit(f"files left at the restart of a killed demo, which left {killed}", len(files_in(folder)), 0)


def abort_upload(address: str) -> None:
    """Sends half of an upload and goes away."""

    def half() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + bytes(3 << 20)
        raise ConnectionAbortedError

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with contextlib.suppress(ConnectionAbortedError, httpx.HTTPError):
        httpx.post(f"{address}/gradio_api/upload", headers=headers, content=half())


def files_in(folder: Path) -> list[Path]:
    """The files of visitors below a folder."""
    names = ("*.png", "*.gif", "*.zip", "*.csv", "*.npy", "*.jpg", "tmp*")
    examples = [path.name for path in (ROOT / "examples").iterdir()]
    found = (path for name in names for path in folder.glob(f"carmask-*/**/{name}"))
    return [path for path in found if path.is_file() and path.name not in examples]


def main() -> None:
    """Runs all of them."""
    with tempfile.TemporaryDirectory() as folder:
        model = save_balanced(tiny_network(), Path(folder) / "model")
        with running_demo() as (address, process, _):
            asyncio.run(check_flood(address))
            check_abandoned(address)
            check_page_memory(address, process.pid, Path(folder), check_limit)
            check_seven_at_once(address, process.pid, check_limit)
            check_refused(address, process.pid)
            check_growth(address, process.pid, check_limit)
        (Path(folder) / "files").mkdir()
        check_deletion(model, Path(folder) / "files")
    print("open routes:", ", ".join(f"{method} {path}" for method, path in open_routes()))
    if broken:
        sys.exit(f"Broken: {'; '.join(broken)}.")
    print("The page held.")


if __name__ == "__main__":
    main()
