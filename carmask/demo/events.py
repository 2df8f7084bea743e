"""What an event of the page does with uploaded pictures: reads them, answers them, shows them."""

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency
from gradio.helpers import Examples

from carmask.demo.uploads import EMPTY_LINE, PRIVATE, REFUSED_LINE, save_for_page, uploaded_file
from carmask.errors import PictureError
from carmask.files.pictures import open_picture

NOT_SHOWN_BY_BROWSERS = {".tif", ".tiff", ".heic", ".heif"}


def answer_pictures(
    inputs: list[Component],
    chosen: Examples | None,
    answer: Callable[..., tuple],
    outputs: list[Component],
    api_name: str,
    blank: Callable[[str], list],
) -> list[Dependency]:
    """Has `answer` fill the `outputs` of a tab whenever a picture comes, and empties them when it goes or is refused.

    Args:
        inputs: where a person's picture comes in, and what else a person chooses; another choice asks again.
        chosen: the example pictures that fill it too, if there are any.
        answer: the function of an uploaded picture, and of the choices, that gives the outputs.
        outputs: what shows the answer; the first one also shows the progress.
        api_name: the name under which programs call `answer`.
        blank: the outputs without an answer, with a line of text.

    Returns:
        The events that answer, for what else a tab does then.
    """

    def answer_if_any(upload: dict[str, Any] | None, *choices: str) -> Any:  # noqa: ANN401 - or "leave as it is"
        return answer(upload, *choices) if upload else gr.skip()

    picture, *choices = inputs
    # Not `change`: it comes twice when one picture replaces another.
    latest = {"trigger_mode": "always_last", "preprocess": False}
    one_by_one = {"concurrency_id": api_name, "show_progress_on": outputs[0]}
    answered = [picture.upload(answer, inputs, outputs, api_name=api_name, **latest, **one_by_one)]
    picture.upload(as_browsers_show, picture, picture, api_visibility="private", show_progress="hidden", **latest)
    for choice in choices:  # not `input`: it comes twice when an option is clicked
        answered.append(
            choice.select(answer_if_any, inputs, outputs, trigger_mode="always_last", **one_by_one, **PRIVATE)
        )
    if chosen:
        answered.append(chosen.load_input_event.then(answer, inputs, outputs, **one_by_one, **PRIVATE))
    emptied = picture.clear(lambda: blank(EMPTY_LINE), None, outputs, cancels=answered, **PRIVATE)
    # Right behind a picture that is pasted comes a `clear`, which cancels its answer.
    answered.append(emptied.then(answer_if_any, inputs, outputs, **one_by_one, **PRIVATE))
    for event in answered:
        event.failure(lambda: blank(REFUSED_LINE), None, outputs, **PRIVATE)
    return answered


def as_browsers_show(upload: dict[str, Any] | None) -> Any:  # noqa: ANN401 - a path or gradio's "leave as it is"
    """Replaces an uploaded TIFF or HEIC by a PNG, because browsers cannot show those."""
    path = uploaded_file(upload)
    if path.suffix.lower() not in NOT_SHOWN_BY_BROWSERS:
        return gr.skip()
    try:
        return save_for_page(open_picture(path), upload, "")
    except PictureError:
        return gr.skip()
