"""Limits of time and of room, made small."""

import socket
import time

import httpx
import pytest
from serving import running_demo

pytestmark = pytest.mark.slow

LIMITED = ("-c", """
from carmask.demo.server import middleware, time_limits
middleware.MAX_STORED_BYTES, time_limits.SECONDS, time_limits.SLOWEST = 3 * 2**20, 4, 1000
import app
app.main()
""")  # fmt: skip


@pytest.fixture(scope="module")
def demo(tiny_mask_model):
    """The address of the demo with small limits."""
    with running_demo(tiny_mask_model, program=LIMITED) as (address, _, _):
        yield address


def sent(demo, *parts, wait=0.0):
    """Sends parts of a request, one after the other, and returns what came back until the server closed."""
    with socket.create_connection(("127.0.0.1", int(demo.rsplit(":", 1)[1])), timeout=60) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(wait)
        return b"".join(iter(lambda: connection.recv(4096), b""))


def post(route, length, kind=b"application/json"):
    head = f"POST /gradio_api/{route} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nContent-Type: "
    return head.encode() + kind + b"\r\n\r\n"


@pytest.mark.parametrize("part", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_half_sent_head_is_closed(demo, part):
    assert sent(demo, part) == b""


def test_a_half_sent_head_after_a_whole_request_is_closed(demo):
    whole = b"GET /robots.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert sent(demo, whole, b"GET / HT").count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("route", ["upload", "queue/join", "call/mask", "cancel"])
def test_a_half_sent_body_is_told_and_closed(demo, route):
    kind = b"multipart/form-data; boundary=x" if route == "upload" else b"application/json"
    answer = sent(demo, post(route, 100, kind) + b"--x")
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"came too slowly" in answer


def test_a_body_that_trickles_is_closed(demo):
    with pytest.raises(OSError, match="reset|Broken"):  # closed while it goes on
        sent(demo, post("call/mask", 100), *[b"{"] * 90, wait=0.1)


def test_a_slow_answer_is_not_closed(demo):
    with httpx.stream("GET", f"{demo}/gradio_api/heartbeat/slow", timeout=60) as beating:
        time.sleep(6)
        assert next(beating.iter_text()) == "data: ALIVE\n\n"
        assert not beating.is_closed


def upload(demo, content):
    return httpx.post(f"{demo}/gradio_api/upload", files={"files": ("a.png", content)}, timeout=300)


def test_no_more_is_stored_than_there_is_room_for(demo):
    assert [upload(demo, digit * 2**20).status_code for digit in (b"1", b"2")] == [200, 200]
    full = upload(demo, bytes(2**20 + 5))
    assert full.status_code == 503
    assert "busy" in full.text
    assert upload(demo, b"small").status_code == 200
