"""The events of a tab that answers one uploaded picture."""

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency
from gradio.helpers import Examples

from carmask.demo.uploads import EMPTY_LINE, PRIVATE, REFUSED_LINE, Upload, save_for_page, uploaded_file
from carmask.errors import PictureError
from carmask.files.pictures import open_picture

NOT_SHOWN_BY_BROWSERS = {".tif", ".tiff", ".heic", ".heif"}


def answer_pictures(
    inputs: list,
    chosen: Examples | None,
    answer: Callable[..., tuple],
    outputs: list[Component],
    api_name: str,
    blank: Callable[[str], list],
) -> list[Dependency]:
    """Calls `answer` whenever a picture is uploaded, and clears the outputs when it is removed or refused.

    Args:
        inputs: the picture, then the settings; another setting calls `answer` again.
        chosen: the example pictures, if there are any.
        answer: maps an upload and the settings to the outputs.
        outputs: where the answer is shown; the first one also shows the progress.
        api_name: name of `answer` in the API.
        blank: maps a line of text to the outputs without an answer.

    Returns:
        The events that answer, for what else a tab does then.
    """

    def answer_if_any(upload: Upload | None, *settings: str) -> tuple | dict:
        return answer(upload, *settings) if upload else gr.skip()

    picture, *settings = inputs
    latest, named = dict[str, Any](trigger_mode="always_last"), dict[str, Any](api_name=api_name, preprocess=False)
    queued: dict = {"inputs": inputs, "outputs": outputs, "show_progress_on": outputs[0]}
    answered = [picture.upload(answer, **queued, **named, **latest)]  # `change` fires twice if a picture is replaced
    picture.upload(as_browsers_show, picture, picture, show_progress="hidden", **PRIVATE, **latest)
    # Not `input`, which fires twice when an option is clicked.
    answered += [setting.select(answer_if_any, **queued, **PRIVATE, **latest) for setting in settings]
    if chosen:
        answered.append(chosen.load_input_event.then(answer, **queued, **PRIVATE))
    # Who pastes a picture or drops it on another causes a `clear` just before its upload, and the two overtake each
    # other: whichever comes last, the outputs are of the picture that is there then.
    emptied = picture.clear(lambda: blank(EMPTY_LINE), None, outputs, **PRIVATE)
    answered.append(emptied.then(answer_if_any, **queued, **PRIVATE))
    blank_if_none(answered, picture, outputs, blank)
    return answered


def blank_if_none(answered: list[Dependency], picture: Component, outputs: list, blank: Callable[[str], list]) -> None:
    """Clears the outputs after an answer whose picture is gone, and after a refusal."""
    for event in answered:
        event.success(lambda upload: gr.skip() if upload else blank(EMPTY_LINE), picture, outputs, **PRIVATE)
        event.failure(lambda: blank(REFUSED_LINE), None, outputs, **PRIVATE)


def as_browsers_show(upload: Upload) -> str | dict:
    """Replaces an uploaded TIFF or HEIC by a PNG, because browsers cannot show those."""
    path = uploaded_file(upload)
    if path.suffix.lower() not in NOT_SHOWN_BY_BROWSERS:
        return gr.skip()
    try:
        return save_for_page(open_picture(path), upload, "")
    except PictureError:
        return gr.skip()
