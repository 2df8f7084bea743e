"""The browser demo: upload a photo of a car, see and download its black and white mask, or its named dots.

Run `python app.py` and open the address it prints. CARMASK_MODEL chooses another model folder or Hub id for the mask,
CARMASK_DOTS_MODEL one for the dots; without a model for dots there is no tab for them.
"""

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from carmask.dots_page import dots_and_maps, dots_tab, make_dots_answer
from carmask.pictures import MAX_FILE_BYTES
from carmask.predictor import EMBEDDED, ModelError, Predictor, check_task
from carmask.uploads import (
    EMPTY_LINE,
    IMAGE,
    KEPT_SECONDS,
    PRIVATE,
    answer_pictures,
    open_upload,
    save_for_page,
    sweep_by_the_clock,
    uploaded_file,
)

try:
    import spaces
except ImportError:  # exists only on Hugging Face Spaces, where a GPU is lent to functions that ask for it
    spaces = None

HERE = Path(__file__).resolve().parent

CSS = """
.gradio-container {width: 100%; max-width: 1120px !important; margin: 0 auto !important;}
#head h1 {margin-bottom: 0;}
#mask {background: var(--neutral-200);}
.dark #mask {background: var(--neutral-800);}
#mask .image-container, #dots .image-container {padding-bottom: 40px;}
#actions, #dots-actions {align-items: center;}
#line, #dots-line {flex: 1 1 320px;}
#line p, #dots-line p {margin: 0; font-size: var(--text-lg);}
#download {flex: 0 1 220px;}
#foot p {color: var(--body-text-color-subdued); font-size: var(--text-sm);}
@media (max-width: 640px) {
  #picture, #mask, #dots-picture, #dots, #dots-map {height: 300px !important;}
  #download, #dots-CSV, #dots-JSON {flex-grow: 1 !important;}
}
"""
HEAD = """
# Car mask
Give it a photo of a car and get back its mask: white where the car is, black everywhere else.
"""
DOTS_HEAD = "The tab *Dots* finds named points instead, each with a score."
FOOT = "Pictures and answers are deleted from the server after about ten minutes."


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
        start = time.perf_counter()
        mask = find_car(open_upload(picture))
        line = describe(mask, time.perf_counter() - start, model_name)
        return save_for_page(Image.fromarray(mask), picture, "_mask"), line

    return answer


def download_of(mask: dict[str, Any] | None) -> gr.DownloadButton:
    """Lets the download button follow the shown mask."""
    return gr.DownloadButton(value=str(uploaded_file(mask)) if mask else None, interactive=bool(mask))


def mask_tab(answer: Callable[..., tuple[str, str]], examples: list[str]) -> None:
    """Lays out the mask's part of the page that is being built; the API offers `answer` as `/mask`."""
    with gr.Row(equal_height=True):
        picture = gr.Image(label="Picture", elem_id="picture", **IMAGE)
        mask = gr.Image(label="Mask", elem_id="mask", interactive=False, **IMAGE)
    with gr.Row(elem_id="actions"):
        line = gr.Markdown(EMPTY_LINE, label="Result", elem_id="line")
        download = gr.DownloadButton(
            "Download mask", variant="primary", interactive=False, scale=0, min_width=220, elem_id="download"
        )
    chosen = gr.Examples(examples, picture, cache_examples=False, api_visibility="private") if examples else None
    answer_pictures(picture, chosen, answer, [mask, line], "mask", lambda words: [None, words])
    mask.change(download_of, mask, download, show_progress="hidden", **PRIVATE)


def build_page(for_masks: Predictor, for_dots: Predictor | None) -> gr.Blocks:
    """Lays out the page: the mask alone, or the mask and the dots as two tabs."""
    examples = sorted(map(str, (HERE / "examples").glob("*.[jp][pn]g")))
    answer = make_answer(on_gpu(for_masks.__call__), for_masks.name)
    with gr.Blocks(title="Car mask", analytics_enabled=False, delete_cache=(60, KEPT_SECONDS)) as page:
        gr.Markdown(HEAD + DOTS_HEAD if for_dots else HEAD, elem_id="head")
        if for_dots is None:
            mask_tab(answer, examples)
        else:
            find_dots = on_gpu(lambda picture: dots_and_maps(for_dots, picture))
            answer_dots = make_dots_answer(find_dots, for_dots.name)
            with gr.Tab("Mask"):
                mask_tab(answer, examples)
            with gr.Tab("Dots"):
                dots_tab(answer_dots, for_dots.task.labels, examples)
        gr.Markdown(FOOT, elem_id="foot")
    return page.queue(max_size=20, default_concurrency_limit=1, api_open=False)


def on_gpu(function: Callable) -> Callable:
    """Lends `function` the GPU of a Space, where there is one."""
    return spaces.GPU(function) if spaces else function


def open_models() -> tuple[Predictor, Predictor | None]:
    """Opens the model for masks, and the one for dots if there is one.

    Raises:
        ModelError: One of them cannot be used, or is made for the other task.
    """
    for_masks = Predictor.from_pretrained(os.environ.get("CARMASK_MODEL") or EMBEDDED["mask"])
    check_task(for_masks, "mask")
    chosen = os.environ.get("CARMASK_DOTS_MODEL")
    if not chosen and not EMBEDDED["dots"].is_dir():
        return for_masks, None
    for_dots = Predictor.from_pretrained(chosen or EMBEDDED["dots"])
    check_task(for_dots, "dots")
    return for_masks, for_dots


def main() -> None:
    """Loads the models and serves the page until it is stopped."""
    try:
        predictors = open_models()
    except ModelError as error:
        sys.exit(str(error))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a stopped server, too, deletes its uploads
    with tempfile.TemporaryDirectory(prefix="carmask-") as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads  # own folder, gone at the end; components read it when they are made
        threading.Thread(target=sweep_by_the_clock, daemon=True).start()
        build_page(*predictors).launch(
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
