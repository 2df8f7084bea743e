"""What large pictures cost the running demo in memory, through the page and its functions, for soak_page.py."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
from browsing import downloaded, opened_page, running_browser
from conftest import drawn_car
from files.test_pictures import encoded
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from serving import ROOT, ask

SIDE = 9400  # pixels: 88 megapixels
WEBP_SIDE = 7740  # 60 megapixels
PHOTO = ROOT / "examples" / "avenue.jpg"
MOST, MOST_AT_ONCE, MOST_AFTERWARDS = 1200, 1500, 150  # MB above idle
SEVEN = ("mask", "as_browsers_show", "show_views", "show_canvas", "apply_threshold", "correct", "add_to_own")

CheckLimit = Callable[[str, float, float], None]


def megabytes(process: int, what: str) -> float:
    """VmRSS, what a process holds, or VmHWM, the most it held since `reset_peak`."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) / 1000


def reset_peak(process: int) -> float:
    """Resets the peak memory of a process; returns what it holds now, in MB."""
    Path(f"/proc/{process}/clear_refs").write_text("5")
    return megabytes(process, "VmRSS")


def heavy_pictures() -> dict[str, tuple[str, bytes]]:
    """Accepted files that take the most memory, each with an object to cut out: file name and content by kind."""
    grey = (
        Image.open(PHOTO).convert("L").resize((SIDE, SIDE)).point(lambda value: value // 32 * 32)
    )  # which packs well
    tiff = {"file_format": "TIFF", "compression": "tiff_adobe_deflate"}
    lying, turned = grey.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    turned[0x0112] = 6  # by which it stands again
    kinds = {
        "JPEG": ("a.jpg", lying.convert("RGB"), {"file_format": "JPEG", "quality": 50, "exif": turned}),
        "CMYK JPEG": ("a.jpg", Image.merge("CMYK", [grey] * 4), {"file_format": "JPEG", "quality": 50}),
        "PNG": ("a.png", grey.convert("RGB"), {"file_format": "PNG"}),
        "palette PNG with a transparent colour": (
            "a.png",
            grey.convert("P"),
            {"file_format": "PNG", "transparency": 3},
        ),
        "16-bit PNG": ("a.png", Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), {"file_format": "PNG"}),
        "RGBA PNG": (
            "a.png",
            Image.merge("RGBA", [lying] * 3 + [grey.point(lambda value: 255)]),
            {"file_format": "PNG", "exif": turned},
        ),
        "WebP": ("a.webp", grey.convert("RGBA").resize((WEBP_SIDE,) * 2), {"file_format": "WEBP", "method": 0}),
        "float TIFF": ("a.tif", grey.convert("F"), tiff),
    }
    return {kind: (name, encoded(picture, **how)) for kind, (name, picture, how) in kinds.items()}


def settled(process: int, idle: float) -> float:
    """What a process holds above idle as soon as that is little, or after ten seconds."""
    end = time.monotonic() + 10
    while time.monotonic() < end and megabytes(process, "VmRSS") - idle > MOST_AFTERWARDS:
        time.sleep(0.5)
    return megabytes(process, "VmRSS") - idle


def use_all_of_the_page(page: Page, path: Path) -> None:
    """Gives a picture, moves the threshold, opens the tab Correct, adds the picture to a data set, downloads that."""
    page.set_input_files("#picture input[type=file]", path)
    expect(page.locator("#overlay .over")).to_be_visible()
    page.locator("#threshold input[type=number]").fill("0.4")
    expect(page.locator("#download-cutout")).to_be_enabled()
    page.get_by_role("tab", name="Correct").click()
    expect(page.locator("#corrected img")).to_be_visible()
    page.locator("#add").click()
    expect(page.locator("#collect-line")).to_contain_text("1 picture")
    downloaded(page, "#download-set")


def check_page_memory(address: str, process: int, folder: Path, check_limit: CheckLimit) -> None:
    """Prints the table of memory: peak and rest above idle of every kind, through the page in Chromium."""
    with running_browser() as browser:
        give(browser, address, PHOTO)
        for kind, (name, content) in heavy_pictures().items():
            path = folder / name
            path.write_bytes(content)
            idle = reset_peak(process)
            give(browser, address, path)
            check_limit(f"MB above idle for a large {kind}", megabytes(process, "VmHWM") - idle, MOST)
            check_limit(f"MB above idle after a large {kind}", settled(process, idle), MOST_AFTERWARDS)


def give(browser: Browser, address: str, path: Path) -> None:
    """Does all that the page can with a picture, on a page of its own."""
    with opened_page(browser, address) as page:
        use_all_of_the_page(page, path)


def check_seven_at_once(address: str, process: int, check_limit: CheckLimit) -> None:
    """Asks for one large picture through seven functions at once, as no page does."""
    config = httpx.get(f"{address}/config").json()
    numbers = {one["api_name"]: one["id"] for one in config["dependencies"]}
    name, content = heavy_pictures()["RGBA PNG"]
    session = {"session_hash": os.urandom(6).hex()}
    with httpx.Client(base_url=f"{address}/gradio_api/", timeout=300) as browser:
        (path,) = browser.post("upload", files={"files": (name, content)}).json()
        given = {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
        painted = {"key": path, "strokes": []}
        inputs = {"mask": [given, None, False], "as_browsers_show": [given], "apply_threshold": [None, 0.4]}
        inputs |= {"correct": [painted, None, None], "add_to_own": [painted, None, None]}
        idle = reset_peak(process)
        for asked in (SEVEN[:1], SEVEN):
            for function in asked:
                question = {"data": inputs.get(function, [None]), "fn_index": numbers[function]} | session
                browser.post("queue/join", json=question).raise_for_status()
            ends = []
            with browser.stream("GET", "queue/data", params=session) as told:
                for line in told.iter_lines():
                    message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                    if message.get("msg") == "process_completed":
                        assert message["success"], message
                        ends.append(message["event_id"])
            assert len(ends) == len(asked)
    check_limit("MB above idle for seven functions at once", megabytes(process, "VmHWM") - idle, MOST_AT_ONCE)
    check_limit("MB above idle after seven functions at once", settled(process, idle), MOST_AFTERWARDS)


def check_growth(address: str, process: int, check_limit: CheckLimit) -> None:
    """Asks for two hundred common pictures; what the demo holds must not grow."""
    held = []
    for index in range(200):
        ask(address, encoded(drawn_car((1500, 2000), index)[0], "JPEG"))
        held.append(megabytes(process, "VmRSS"))
    at = {count: round(held[count - 1]) for count in (10, 50, 100, 200)}
    print(f"MB held after so many pictures: {at}")
    check_limit("most by least memory held after 10, 50, 100 and 200", max(at.values()) / min(at.values()), 1.1)
