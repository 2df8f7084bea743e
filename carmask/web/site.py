"""Writes a site that needs no server: a page, a network as ONNX, and ONNX Runtime Web, which runs it in the browser.

Any host of static files serves it. The site takes the run-time from a CDN or brings it along; either way the page
takes no other file than the one whose SHA-384 stands here.
"""

import base64
import hashlib
import html
import json
import math
import urllib.request
from importlib.resources import files
from pathlib import Path

from PIL import Image

from carmask.errors import DataError
from carmask.files.words import capital, one
from carmask.inference.preprocessing import Preprocessing
from carmask.tasks.mask_task import MaskTask

ASSETS = files("carmask.web") / "assets"
COPIED = ("page.js", "worker.js", "saving.js", "page.css", "sw.js")
LICENCE = "onnxruntime-LICENSE.txt"  # goes where the run-time goes
MODEL = "model.onnx"
PACKAGE = "onnxruntime-web@1.30.0"
CDN = f"https://cdn.jsdelivr.net/npm/{PACKAGE}/dist/"
RUNTIME = {  # of dist/ in the npm package: bytes and SHA-384
    "ort.wasm.bundle.min.mjs": (73054, "PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG"),
    "ort-wasm-simd-threaded.wasm": (14239897, "vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM"),
}
SECONDS = 60  # for the CDN to go on sending

README = """---
title: {title}
emoji: ✂️
colorFrom: gray
colorTo: blue
sdk: static
app_file: index.html
pinned: false
license: {licence}
short_description: Picture in, mask out, and nothing is uploaded
custom_headers:
  cross-origin-embedder-policy: require-corp
  cross-origin-opener-policy: same-origin
  cross-origin-resource-policy: cross-origin
---
# {heading}

Give it a picture of {one_object}, get a black and white mask. The pictures never leave the visitor's machine: the
network runs in the page, by ONNX Runtime Web (npm package {package}, MIT licence, © Microsoft).

The network is {model}, written by `carmask export --to web`.{terms}

Any host of static files serves this folder; here it is tried with `python -m http.server --directory .`.
"""


def sha384(content: bytes) -> str:
    """The SHA-384 of a file's content in Base64, as integrity attributes have it."""
    return base64.b64encode(hashlib.sha384(content).digest()).decode()


def page_settings(task: MaskTask, preprocessing: Preprocessing) -> dict:
    """What the page must know to give `Predictor`'s masks.

    Raises:
        DataError: pictures are resized in a way that the page does not know.
    """
    if preprocessing.resample != Image.Resampling.BILINEAR:
        raise DataError(
            "The page resizes bilinearly; set resample to 2 in preprocessor_config.json and tune the model."
        )
    return {
        "name": task.name,
        "object": list(task.object),
        "threshold": task.threshold,
        "mirror": task.mirror,
        "multiple": task.multiple,
        "size": preprocessing.size,
        "scale": preprocessing.scale,
        "mean": preprocessing.mean,
        "std": preprocessing.deviation,
    }


def fetch_runtime(folder: str) -> dict[str, bytes]:
    """The files of ONNX Runtime Web, from a `folder` or, if that is "", from the CDN.

    Raises:
        DataError: they are not to be had, or are others.
    """
    found = {}
    for name, (_, wanted) in RUNTIME.items():
        try:
            if folder:
                found[name] = (Path(folder) / name).read_bytes()
            else:
                with urllib.request.urlopen(CDN + name, timeout=SECONDS) as answer:
                    found[name] = answer.read()
        except OSError as error:
            raise DataError(
                f"{name} is not to be had from {folder or CDN}; run npm pack {PACKAGE}, unpack what it writes, "
                "and give its folder: --self-contained package/dist."
            ) from error
        if sha384(found[name]) != wanted:
            raise DataError(f"The {name} of {folder or CDN} is not that of {PACKAGE}; take that version.")
    return found


def policy(runtime_address: str) -> str:
    """The Content-Security-Policy of the page: it may load its own files and the run-time's, and send nothing."""
    sources = " ".join(filter(None, ("'self'", runtime_address)))
    return (
        f"default-src 'none'; script-src 'self' blob: 'wasm-unsafe-eval'; worker-src 'self' blob:; "
        f"connect-src {sources}; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def write_site(folder: Path, settings: dict, model: str, licence: tuple[str, str], runtime: dict[str, bytes]) -> None:
    """Writes the page and what it needs into `folder`, beside the network, which lies there as `model.onnx`.

    Args:
        folder: the site's, with `model.onnx` in it.
        settings: those of `page_settings`.
        model: what the network is called.
        licence: of the network, as the Hub names it; and what to say about it.
        runtime: content of the files to bring along; without any, the page takes them from the CDN.
    """
    for name in (*COPIED, *([LICENCE] if runtime else ())):
        (folder / name).write_bytes((ASSETS / name).read_bytes())
    for name, content in runtime.items():
        (folder / name).write_bytes(content)
    address = "" if runtime else CDN
    content = (folder / MODEL).read_bytes()
    loaded = {"model": {"url": MODEL, "bytes": len(content), "sha384": sha384(content)}}
    for key, (name, (size, wanted)) in zip(("code", "wasm"), RUNTIME.items(), strict=True):
        loaded[key] = {"url": address + name, "bytes": size, "sha384": wanted}
    megabytes = math.ceil((len(content) + sum(size for size, _ in RUNTIME.values())) / 1e6)
    heading = f"{capital(settings['name'])} mask"
    filled = {
        "policy": policy(address),
        "title": heading,
        "object": settings["name"],
        "footer": f"{model}, {megabytes} MB, loaded once. Run by ONNX Runtime Web (MIT licence, © Microsoft).",
    }
    page = (ASSETS / "index.html").read_text(encoding="utf-8")
    for key, value in filled.items():
        page = page.replace("{{" + key + "}}", html.escape(value))
    stored = json.dumps(settings | loaded).replace("<", "\\u003c")  # or a name could close the element
    (folder / "index.html").write_text(page.replace("{{settings}}", stored), encoding="utf-8")
    words = README.format(
        title=json.dumps(heading), heading=heading, one_object=one(settings["name"]), model=model,
        licence=licence[0], terms=licence[1], package=PACKAGE,
    )  # fmt: skip
    (folder / "README.md").write_text(words, encoding="utf-8")
