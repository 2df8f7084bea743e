"""The browser demo: upload a photo of a car, see and download its black and white mask.

Run `python app.py` and open the address it prints. CARMASK_MODEL chooses another model folder or Hub id.
"""

import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder
from PIL import Image

from carmask.pictures import MAX_FILE_BYTES, PictureError, open_picture
from carmask.predictor import ModelError, Predictor

try:
    import spaces
except ImportError:  # exists only on Hugging Face Spaces, where a GPU is lent to functions that ask for it
    spaces = None

HERE = Path(__file__).resolve().parent
KEPT_SECONDS = 600
NOT_SHOWN_BY_BROWSERS = {".tif", ".tiff", ".heic", ".heif"}

CSS = """
.gradio-container {width: 100%; max-width: 1120px !important; margin: 0 auto !important;}
#head h1 {margin-bottom: 0;}
#mask {background: var(--neutral-200);}
.dark #mask {background: var(--neutral-800);}
#mask .image-container {padding-bottom: 40px;}
#actions {align-items: center;}
#line {flex: 1 1 320px;}
#line p {margin: 0; font-size: var(--text-lg);}
#download {flex: 0 1 220px;}
#foot p {color: var(--body-text-color-subdued); font-size: var(--text-sm);}
@media (max-width: 640px) {
  #picture, #mask {height: 300px !important;}
  #download {flex-grow: 1 !important;}
}
"""
HEAD = """
# Car mask
Give it a photo of a car and get back its mask: white where the car is, black everywhere else.
"""
FOOT = "Pictures and masks are deleted from the server after about ten minutes."
EMPTY_LINE = "Upload, paste or take a picture, or try one of the examples."
REFUSED_LINE = "No mask was made; try another picture."


def uploaded_file(upload: dict[str, Any] | None) -> Path:
    """Returns the path of an uploaded file; only files that lie in the upload folder are ever opened.

    Raises:
        gr.Error: There is no upload, or it names anything else.
    """
    if not upload:
        raise gr.Error("Choose a picture first.", print_exception=False)
    path = Path(upload["path"] or "").resolve()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()) or not path.is_file():
        raise gr.Error("This picture is no longer on the server; upload it again.", print_exception=False)
    return path


def save_for_page(picture: Image.Image, upload: dict[str, Any], ending: str) -> str:
    """Saves a picture as PNG under the person's own file name plus `ending`, and returns its path."""
    given_name = re.split(r"[/\\]", upload.get("orig_name") or upload["path"])[-1]
    stem = re.sub(r"[^\w-]+", "_", Path(given_name).stem)[:50].strip("_") or "picture"
    path = Path(tempfile.mkdtemp(dir=get_upload_folder())) / f"{stem}{ending}.png"
    picture.save(path, compress_level=1)
    return str(path)


def sweep() -> None:
    """Deletes what gradio leaves behind: aborted uploads, and folders of masks that nobody can reach any more."""
    for path in Path(get_upload_folder()).glob("tmp*"):
        with contextlib.suppress(FileNotFoundError):  # gradio deletes by the clock as well
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def describe(mask: np.ndarray, seconds: float, model_name: str) -> str:
    """Says in one line how much of a mask, uint8 (H, W), is car, and how the answer came about."""
    share = np.count_nonzero(mask) / mask.size
    found = f"Car: {share:.1%} of the picture" if share >= 0.0005 else "Car: less than 0.1% of the picture"
    height, width = mask.shape
    return f"{found if share else 'No car found.'} · {width} × {height} pixels · {seconds:.1f} s · {model_name}"


def make_answer(find_car: Callable[[Image.Image], np.ndarray], model_name: str) -> Callable[..., tuple[str, str]]:
    """Returns the function behind the page and the API for one predictor."""

    def answer(picture: dict[str, Any] | None) -> tuple[str, str]:
        """Finds the car in a picture.

        Returns the mask, a PNG of the upright picture's size with 255 where the car is and 0 elsewhere, and one line
        of text: the car's share of the picture or "No car found.", size, time and model.
        """
        path = uploaded_file(picture)
        sweep()
        start = time.perf_counter()
        try:
            mask = find_car(open_picture(path))
        except PictureError as refusal:
            raise gr.Error(str(refusal), duration=None, print_exception=False) from None
        line = describe(mask, time.perf_counter() - start, model_name)
        return save_for_page(Image.fromarray(mask), picture, "_mask"), line

    return answer


def as_browsers_show(upload: dict[str, Any] | None) -> Any:  # noqa: ANN401 - a path or gradio's "leave as it is"
    """Replaces an uploaded TIFF or HEIC by a PNG, because browsers cannot show those."""
    path = uploaded_file(upload)
    if path.suffix.lower() not in NOT_SHOWN_BY_BROWSERS:
        return gr.skip()
    try:
        return save_for_page(open_picture(path), upload, "")
    except PictureError:
        return gr.skip()


def download_of(mask: dict[str, Any] | None) -> gr.DownloadButton:
    """Lets the download button follow the shown mask."""
    return gr.DownloadButton(value=str(uploaded_file(mask)) if mask else None, interactive=bool(mask))


def build_page(answer: Callable[..., tuple[str, str]]) -> gr.Blocks:
    """Lays out the page and connects it with `answer`, which the API offers as `/mask`."""
    with gr.Blocks(title="Car mask", analytics_enabled=False, delete_cache=(60, KEPT_SECONDS)) as page:
        gr.Markdown(HEAD, elem_id="head")
        with gr.Row(equal_height=True):
            picture = gr.Image(label="Picture", height=420, buttons=["fullscreen"], format="png", elem_id="picture")
            mask = gr.Image(
                label="Mask", height=420, buttons=["fullscreen"], format="png", elem_id="mask", interactive=False
            )
        with gr.Row(elem_id="actions"):
            line = gr.Markdown(EMPTY_LINE, label="Result", elem_id="line")
            download = gr.DownloadButton(
                "Download mask", variant="primary", interactive=False, scale=0, min_width=220, elem_id="download"
            )
        examples = sorted(map(str, (HERE / "examples").glob("*.[jp][pn]g")))
        private = {"preprocess": False, "api_visibility": "private"}
        if examples:
            chosen = gr.Examples(examples, picture, cache_examples=False, api_visibility="private")
            chosen.load_input_event.then(answer, picture, [mask, line], **private)
        gr.Markdown(FOOT, elem_id="foot")

        # Not `change`: it comes twice when one picture replaces another.
        latest = {"trigger_mode": "always_last", "preprocess": False}
        answered = picture.upload(answer, picture, [mask, line], api_name="mask", show_progress_on=mask, **latest)
        answered.failure(lambda: (None, REFUSED_LINE), None, [mask, line], **private)
        picture.upload(as_browsers_show, picture, picture, api_visibility="private", show_progress="hidden", **latest)
        picture.clear(lambda: (None, EMPTY_LINE), None, [mask, line], cancels=answered, **private)
        mask.change(download_of, mask, download, show_progress="hidden", **private)
    return page.queue(max_size=20, default_concurrency_limit=1, api_open=False)


def main() -> None:
    """Loads the model and serves the page until it is stopped."""
    model = os.environ.get("CARMASK_MODEL") or str(HERE / "models" / "car-mask-b0")
    try:
        predictor = Predictor.from_pretrained(model)
    except ModelError as error:
        sys.exit(str(error))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a stopped server, too, deletes its uploads
    find_car = spaces.GPU(predictor.__call__) if spaces else predictor
    with tempfile.TemporaryDirectory(prefix="carmask-") as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads  # own folder, gone at the end; components read it when they are made
        build_page(make_answer(find_car, predictor.name)).launch(
            theme=gr.themes.Soft(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            css=CSS,
            max_file_size=MAX_FILE_BYTES,
            show_error=False,
            enable_monitoring=False,
            run_history=False,
            mcp_server=False,
            ssr_mode=False,
            state_session_capacity=200,
            max_threads=8,
            footer_links=[],
            app_kwargs={"max_body_size": MAX_FILE_BYTES + 2**16}
            | dict.fromkeys(("openapi_url", "docs_url", "redoc_url")),
        )


if __name__ == "__main__":
    main()
