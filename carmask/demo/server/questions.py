"""Whether a question, the JSON that asks for an answer, has the shape that its function takes.

gradio finds that out while it works on the question, and answers with an error of the server and pages of log.
"""

import json
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.components import Component
from gradio.components.dataset import Dataset
from gradio.utils import get_upload_folder
from pydantic import ValidationError

JOIN, CALL = "/gradio_api/queue/join", "/gradio_api/call/"
MOST_SESSION = 100  # letters of a session's name
MOST_DEPTH = 20  # lists and objects in each other
FIELDS = {"session_hash": str, "trigger_id": int, "event_id": str}  # besides data and what names the function


class QuestionError(Exception):
    """What is wrong with a question, in one sentence."""


def read_question(content: bytes) -> dict[str, Any]:
    """Reads a question's JSON.

    Raises:
        QuestionError: It is no JSON object.
    """
    try:
        question = json.loads(content)
    except (ValueError, RecursionError):
        raise QuestionError("This is no JSON.") from None
    if not isinstance(question, dict):
        raise QuestionError("Send a JSON object.")
    return question


def check_question(page: gr.Blocks, path: str, question: dict[str, Any]) -> BlockFunction:
    """Checks that a question to `path` has the shape that its function takes; returns the function.

    Raises:
        QuestionError: It has not.
    """
    function = _function(page, path, question)
    for field, kind in FIELDS.items():
        value = question.get(field)
        if value is not None and type(value) is not kind or isinstance(value, str) and len(value) > MOST_SESSION:
            raise QuestionError(f"{field} is not what the page sends.")
    if question.get("batched") or question.get("trigger_id") not in (None, *page.blocks):
        raise QuestionError("The page sends no such question.")
    data = question.get("data")
    fields = [block for block in function.inputs if isinstance(block, Component)]
    inputs = [block for block in fields if path == JOIN or not block.skip_api]
    if not isinstance(data, list) or len(data) != len(inputs):
        raise QuestionError(f"data must be a list of {len(inputs)}; the page's API says of what.")
    check_files(data)
    for place, (block, value) in enumerate(zip(inputs, data, strict=True), 1):
        if not fits(block, value):
            raise QuestionError(f"Value {place} in data is not what its field takes; the page's API says what it is.")
    return function


def _function(page: gr.Blocks, path: str, question: dict[str, Any]) -> BlockFunction:
    """The function of the page that a question asks."""
    number = question.get("fn_index")
    if path == JOIN:
        found = page.fns.get(number) if type(number) is int else None
    else:
        found = next((one for one in page.fns.values() if one.api_name == path.removeprefix(CALL)), None)
    if not found or not found.fn:  # some events run in the browser alone
        raise QuestionError("There is no such function; the page's API lists them all.")
    return found


def check_files(value: Any, depth: int = 0) -> None:  # noqa: ANN401 - any JSON
    """Checks that all files that a JSON value names are uploads, or URLs, which are refused later in their own words.

    Raises:
        QuestionError: One lies elsewhere, or the value is nested deeper than MOST_DEPTH.
    """
    if depth > MOST_DEPTH:
        raise QuestionError("data is nested too deeply.")
    path = value.get("path") if isinstance(value, dict) else None
    if isinstance(path, str) and not path.startswith(("http://", "https://")) and not is_upload(path):
        raise QuestionError("A file in data is none that was uploaded here; upload it first.")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        check_files(inner, depth + 1)


def is_upload(path: str) -> bool:
    """Whether a path lies in the upload folder; its file may have been deleted meanwhile."""
    try:
        file = Path(path).resolve()
        return file.is_relative_to(Path(get_upload_folder()).resolve()) and not file.is_dir()
    except (OSError, ValueError):  # too long, or no path at all
        return False


def fits(block: Component, value: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether a field of the page could send this value; what only names something is looked at by its function."""
    if isinstance(block, gr.Slider):
        return type(value) in (int, float) and block.minimum <= value <= block.maximum
    if isinstance(block, Dataset):
        return type(value) is int and 0 <= value < len(block.samples)
    if block.data_model and value is not None:
        try:
            block.data_model.model_validate(value, context={"validate_meta": True})
        except ValidationError:
            return False
    return True
