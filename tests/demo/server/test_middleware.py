"""What the running server refuses: other sites, URLs, files of the server, odd questions, large and slow requests."""

import http.client
import socket

import httpx
import pytest
from conftest import drawn_car
from files.test_pictures import encoded
from serving import ROOT, mask_of, running_demo

from carmask.demo.picture_zips import MAX_BYTES

pytestmark = pytest.mark.slow

WATCH = """
import os, sys
def note(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple) or event == "socket.getaddrinfo":
        host = str(arguments[1][0] if event == "socket.connect" else arguments[0])
        if host not in ("127.0.0.1", "localhost", "0.0.0.0", "::1", "::", "None"):
            open(os.environ["OUTGOING"], "a").write(f"{event} {host}\\n")
sys.addaudithook(note)
open(os.environ["OUTGOING"], "a").write("watched\\n")
"""


@pytest.fixture(scope="module")
def running(tiny_mask_model, tmp_path_factory):
    """The demo with a log of its outgoing connections: its address, and the log."""
    folder = tmp_path_factory.mktemp("watch")
    (folder / "sitecustomize.py").write_text(WATCH)
    watch = {"PYTHONPATH": str(folder), "OUTGOING": str(folder / "outgoing"), "HF_HUB_OFFLINE": "0"}
    (folder / "outgoing").touch()
    with running_demo(tiny_mask_model, **watch) as (address, _, _):
        yield address, folder / "outgoing"


@pytest.fixture(scope="module")
def demo(running):
    return running[0]


def test_every_answer_tells_browsers_to_take_it_as_what_it_says(demo):
    for path in ("/", "/config", "/gradio_api/info", "/nothing"):
        headers = httpx.get(demo + path, timeout=300).headers
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "same-origin")


CROSS_SITE = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", CROSS_SITE)
@pytest.mark.parametrize("route", ["upload", "call/mask", "queue/join", "run/predict"])
def test_pages_of_other_sites_cannot_post(demo, route, headers):
    assert httpx.post(f"{demo}/gradio_api/{route}", headers=headers, json={}, timeout=300).status_code == 403


def test_the_pages_own_posts_and_those_of_programs_come_through(demo):
    file = {"files": ("a.png", b"x")}
    own = {"Origin": demo, "Sec-Fetch-Site": "same-origin"}
    behind_a_proxy = {"Origin": "https://owner-name.hf.space", "Sec-Fetch-Site": "same-origin"}
    for headers in (own, behind_a_proxy, {"Origin": demo}, {}):
        assert httpx.post(f"{demo}/gradio_api/upload", headers=headers, files=file, timeout=300).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["docs", "redoc", "openapi.json", "monitoring", "monitoring/summary", "gradio_api/runs", "dev/reload"]
    + ["gradio_api/deep_link?session_hash=x", "gradio_api/openapi.json", "gradio_api/token", "gradio_api/user"],
)
def test_nothing_is_told_about_the_server(demo, path):
    answer = httpx.get(f"{demo}/{path}", timeout=300)
    assert answer.status_code == 404


UNUSED = ["run/mask", "api/mask", "run/batch", "call/v2/mask", "component_server", "process_recording", "vibe-edit"]


@pytest.mark.parametrize("route", UNUSED)
def test_no_route_goes_past_the_queue_or_runs_anything_else(demo, route):
    assert httpx.post(f"{demo}/gradio_api/{route}", json={"data": [None, None]}, timeout=300).status_code == 404


@pytest.mark.parametrize(
    "path",
    ["file=/etc/hostname", f"file={ROOT}/app.py", "file=app.py", "file/etc/hostname", "proxy=https://example.com/", "file=https://example.com/"],
)  # fmt: skip
def test_no_route_gives_a_file_of_the_server_or_of_another_one(demo, path):
    assert httpx.get(f"{demo}/gradio_api/{path}", timeout=300).status_code in (400, 401, 403, 404)


@pytest.mark.parametrize("route", ["mask", "batch"])
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("https://example.com/a.jpg", "not fetched"),
        ("http://[::1]/", "not fetched"),
        ("/etc/hosts", "upload it first"),
    ],
)
def test_addresses_and_files_of_the_server_are_not_opened(demo, route, path, words):
    given = {"path": path, "meta": {"_type": "gradio.FileData"}}
    data = [given, None, False] if route == "mask" else [[given], None]
    address = f"{demo}/gradio_api/call/{route}"
    answer = httpx.post(address, json={"data": data}, timeout=300)
    if answer.status_code == 200:
        answer = httpx.get(f"{address}/{answer.json()['event_id']}", timeout=300)
        assert answer.text.startswith("event: error")
    assert words in answer.text


@pytest.mark.parametrize(
    ("route", "most"), [("queue/join", 2**20), ("call/batch", 2**20), ("upload", MAX_BYTES + 2**20)]
)
def test_a_request_that_is_too_large_is_refused_unread(demo, route, most):
    connection = http.client.HTTPConnection(demo.removeprefix("http://"), timeout=100)
    connection.putrequest("POST", f"/gradio_api/{route}")
    connection.putheader("Content-Length", str(most + 1))
    connection.putheader(
        "Content-Type", "multipart/form-data; boundary=x" if route == "upload" else "application/json"
    )
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_an_upload_may_be_larger_than_other_requests(demo):
    content = encoded(drawn_car(size=(600, 900))[0], "BMP")
    assert len(content) > 2**20
    assert mask_of(demo, content)[0].shape == (600, 900)


def test_the_demo_listens_on_this_machine_alone(demo):
    port = int(demo.rsplit(":", 1)[1])
    with socket.socket() as other:
        assert other.connect_ex(("127.0.0.2", port)) != 0


def test_with_a_model_of_its_own_the_demo_calls_nobody(running):
    demo, calls = running
    mask_of(demo, encoded(drawn_car()[0], "PNG"))
    assert set(calls.read_text().split("\n")) == {"watched", ""}


def test_another_name_for_the_demo_is_refused_with_what_to_do(demo):
    answer = httpx.get(f"{demo}/config", headers={"Host": "evil.example"}, timeout=300)
    assert answer.status_code == 403
    assert "CARMASK_HOST=evil.example" in answer.text
