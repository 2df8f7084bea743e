"""Questions that have not the shape of their function: an answer in a sentence, and a line of log."""

import time

import httpx
import pytest
from conftest import drawn_car
from files.test_pictures import encoded
from serving import running_demo

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tiny_mask_model):
    """A client of the demo's API, and the demo's log."""
    with running_demo(tiny_mask_model) as (address, _, log), httpx.Client(timeout=300) as browser:
        browser.base_url = f"{address}/gradio_api/"
        yield browser, log


def functions_of(browser):
    return httpx.get(browser.base_url.join("/config"), timeout=300).json()["dependencies"]


FILE = {"path": "/x", "meta": {"_type": "gradio.FileData"}}
ODD = [
    5,
    "x",
    [],
    {},
    [[]],
    {"path": 5},
    FILE,
    [FILE],
    {"a": FILE},
    FILE | {"path": "x\0y"},
    FILE | {"path": "a" * 5000},
]
ODD += [FILE | {"path": "a" * 5000}, None, True, -1, 1e308, {"key": "x", "strokes": 5}]
ODD_BODIES = ["", "[", "[]", "7", "null", "[" * 100_000, '{"data": 5}', '{"data": []}', '{"data": [null]}']
ODD_FIELDS = [{"trigger_id": 10**6}, {"trigger_id": "x"}, {"batched": True}, {"session_hash": 5}, {"fn_index": 10**30}]
ODD_FIELDS += [{"session_hash": "x" * 5000}, {"fn_index": None}, {"event_id": 5}, {"data": {}}]
NESTED = {"data": [eval("[" * 90 + "]" * 90)] * 3}


def told(browser, question):
    """How the server answers to a question of the page: its status, and what the event says."""
    answer = browser.post("queue/join", json=question)
    if answer.status_code == 200:
        answer = browser.get("queue/data", params={"session_hash": question["session_hash"]})
    return answer.status_code, answer.text


def test_an_odd_question_gets_an_answer_and_at_most_a_line_of_log(running):
    browser, log = running
    functions = functions_of(browser)
    (mask,) = (one["id"] for one in functions if one["api_name"] == "mask")
    before, asked = len(log_of(log)), 0
    for function in functions:
        for value in ODD:
            data = [value] * len(function["inputs"])
            status, words = told(browser, {"data": data, "fn_index": function["id"], "session_hash": f"odd{asked}"})
            asked += 1
            assert status in (200, 400), words
    for change in [*ODD_FIELDS, NESTED]:
        question = {"data": [None, None, False], "fn_index": mask, "session_hash": "odd"} | change
        assert told(browser, question)[0] == 400, change
    for body in ODD_BODIES:
        for route in ("queue/join", "call/mask", "call/nothing"):
            answer = browser.post(route, content=body)
            assert answer.status_code == 400
            assert answer.json()["detail"].endswith(".")
            asked += 1
    lines = log_of(log)[before:]
    assert "Traceback" not in " ".join(lines)
    assert len(lines) <= asked + len(ODD_FIELDS) + 1
    assert max(map(len, lines)) < 400


def log_of(file):
    file.seek(0)
    return file.read().splitlines()


def test_a_flood_of_questions_takes_no_open_pages_answer_and_a_closed_ones_is_told(running):
    browser, _ = running
    functions = {one["api_name"]: one["id"] for one in functions_of(browser)}
    content = encoded(drawn_car()[0], "PNG")
    (path,) = browser.post("upload", files={"files": ("a.png", content)}).json()
    given = {"path": path, "meta": {"_type": "gradio.FileData"}}

    def ask(name, data, session):
        return told(browser, {"data": data, "fn_index": functions[name], "session_hash": session})

    with browser.stream("GET", "heartbeat/open"):
        for session in ("open", "closed"):
            assert '"success":true' in ask("mask", [given, None, False], session)[1]
        for _ in range(205):
            assert browser.post("call/mask", json={"data": [None, None, False]}).status_code == 200
            time.sleep(0.02)  # the queue holds twenty
        assert '"success":true' in ask("apply_threshold", [None, 0.4], "open")[1]
    status, words = ask("apply_threshold", [None, 0.4], "closed")
    assert (status, "give it again" in words) == (410, True)
    assert '"success":true' in ask("mask", [given, None, False], "closed")[1]
    assert '"success":true' in ask("apply_threshold", [None, 0.4], "closed")[1]
