"""Turns without a server: one at a time, in order of visitors, and only while somebody waits for the answer."""

import asyncio
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.context import LocalContext

import app
from carmask.demo import turns
from carmask.demo.dots_tab import DotsModel
from carmask.demo.turns import Turns, listening, note_listeners


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(turns, "SECONDS_UNHEARD", 0.3)
    monkeypatch.setattr(turns, "POLL_SECONDS", 0.005)
    yield
    listening.clear()


@contextmanager
def somebody_listens(*names):
    listening.update(names)
    yield
    listening.subtract(names)


async def asked(function, *inputs, session="a", address="1.1.1.1", event="event"):
    """Calls a function of the page as gradio does for a session at an address; returns what it gives, or why not."""
    LocalContext.request.set(SimpleNamespace(session_hash=session, client=SimpleNamespace(host=address)))
    LocalContext.event_id.set(event)
    try:
        if not asyncio.iscoroutinefunction(function):
            return [step async for step in function(*inputs)]
        return await function(*inputs)
    except gr.Error as refusal:
        return refusal.message


def run(*calls):
    async def together():
        return await asyncio.gather(*(asyncio.create_task(call) for call in calls))

    return asyncio.run(together())


def working(log, seconds=0.02):
    """A function that logs when it begins and ends."""

    def work(name):
        log.append(f"{name} begins")
        time.sleep(seconds)
        log.append(f"{name} ends")
        return name

    return work


def order_of(log):
    return "".join(line[0] for line in log if line.endswith("begins"))


def test_one_function_works_at_a_time_whichever_it_is():
    log, all_turns = [], Turns()
    functions = [all_turns.in_turn(working(log)) for _ in range(6)]
    with somebody_listens("a"):
        assert run(*(asked(function, str(name)) for name, function in enumerate(functions))) == list("012345")
    assert [line.split()[1] for line in log] == ["begins", "ends"] * 6


def test_the_turn_goes_round_by_address_and_visitor():
    log, all_turns = [], Turns()
    many = [asked(all_turns.in_turn(working(log)), "m", session="m") for _ in range(4)]
    neighbour = asked(all_turns.in_turn(working(log)), "n", session="n")
    other = asked(all_turns.in_turn(working(log)), "o", session="o", address="2.2.2.2")
    with somebody_listens("m", "n", "o"):
        run(*many, neighbour, other)
    assert order_of(log) == "monmmm"


def test_a_batch_takes_a_turn_for_every_picture():
    log, all_turns = [], Turns()

    def batch(name):
        for _ in range(3):
            work(name)
            yield name

    work = working(log)
    singles = [asked(all_turns.in_turn(working(log)), "s", session=f"s{index}") for index in range(2)]
    with somebody_listens("b", "s0", "s1"):
        steps, *_ = run(asked(all_turns.in_turn(batch), "b", session="b"), *singles)
    assert steps == ["b"] * 3
    assert order_of(log) == "bssbb"


def test_what_nobody_waits_for_is_dropped_and_stands_in_nobodys_way(caplog):
    log, all_turns = [], Turns()
    abandoned = [asked(all_turns.in_turn(working(log)), "a", session=f"gone{index}") for index in range(20)]
    with somebody_listens("v"):
        *gone, answer = run(*abandoned, asked(all_turns.in_turn(working(log)), "v", session="v"))
    assert answer == "v"
    assert gone == [turns.UNHEARD] * 20
    assert order_of(log) == "v"
    assert caplog.messages == [f"Refused: {turns.UNHEARD}"] * 20


def test_what_a_visitor_abandoned_does_not_count_against_him():
    log, all_turns = [], Turns()
    function = all_turns.in_turn(working(log))
    abandoned = [asked(function, "a", session=None, event=f"gone{index}") for index in range(20)]
    with somebody_listens("here"):
        *gone, answer = run(*abandoned, asked(function, "v", session=None, event="here"))
    assert (answer, gone, order_of(log)) == ("v", [turns.UNHEARD] * 20, "v")


def test_an_answer_that_is_asked_for_a_moment_later_is_given(monkeypatch):
    monkeypatch.setattr(turns, "SECONDS_UNHEARD", 60)

    async def heard_later():
        asking = asyncio.create_task(asked(Turns().in_turn(working([])), "a", event="later"))
        await asyncio.sleep(0.1)
        with somebody_listens("later"):
            return await asking

    assert asyncio.run(heard_later()) == "a"


def test_two_requests_of_a_visitor_wait_for_a_function_and_no_third():
    gate = threading.Event()
    function = Turns().in_turn(lambda name: gate.wait(60) and name)

    async def four(**who):
        gate.clear()
        tasks = [asyncio.create_task(asked(function, name, **(who | {"event": name}))) for name in "0123"]
        refused = await asyncio.wait_for(tasks.pop(), 60)  # while the first still works
        gate.set()
        return [*await asyncio.gather(*tasks), refused]

    with somebody_listens("a", "0", "1", "2", "3"):
        assert asyncio.run(four(session="a")) == ["0", "1", "2", turns.TOO_MANY_OF_VISITOR]
        assert asyncio.run(four(session=None)) == ["0", "1", "2", turns.TOO_MANY_OF_VISITOR]  # by address


def test_when_twenty_visitors_wait_the_next_is_told():
    function = Turns().in_turn(working([]))
    names = [f"v{index}" for index in range(25)]
    with somebody_listens(*names):
        ends = run(*(asked(function, name, session=name) for name in names))
    assert ends[:20] == names[:20]
    assert turns.BUSY in ends


def test_the_turn_of_a_visitor_who_goes_away_ends_with_the_work():
    log, all_turns = [], Turns()

    async def leave_and_come():
        leaving = asyncio.create_task(asked(all_turns.in_turn(working(log, 0.2)), "l"))
        await asyncio.sleep(0.1)
        leaving.cancel()
        return await asked(all_turns.in_turn(working(log)), "n")

    with somebody_listens("a"):
        assert asyncio.run(leave_and_come()) == "n"
    assert log == ["l begins", "l ends", "n begins", "n ends"]


@pytest.mark.parametrize(
    ("path", "query", "name"),
    [
        ("/gradio_api/queue/data", b"session_hash=abc", "abc"),
        ("/gradio_api/call/mask/0123abc", b"", "0123abc"),
        ("/below/gradio_api/call/v2/mask/0123abc", b"", "0123abc"),
    ],
)
def test_who_reads_answers_is_a_listener_while_the_connection_is_open(path, query, name):
    seen = []

    async def server(scope, receive, send):
        seen.append(dict(listening))

    scope = {"type": "http", "method": "GET", "path": path, "query_string": query}
    asyncio.run(note_listeners(server)(scope, None, None))
    assert seen == [{name: 1}]
    assert not listening
    asyncio.run(note_listeners(server)(scope | {"method": "POST"}, None, None))
    assert seen[1] == {}


def test_every_function_of_the_page_takes_turns_but_the_short_ones():
    page = app.build_page(["one"], lambda name: None, DotsModel("dots", ["wheel"], lambda: None))
    own = {event.fn for event in page.fns.values() if event.fn and event.fn.__module__.startswith("carmask")}
    names = {function.__name__ for function in own if not hasattr(function, "__wrapped__")}
    assert names == {"<lambda>"}
    assert all(event.queue for event in page.fns.values() if event.fn in own)


def test_a_disk_that_fails_is_said_in_one_sentence_without_a_path():
    def fails(name):
        raise OSError(28, "No space left on device", "/secret/place")

    with somebody_listens("a"):
        assert run(asked(Turns().in_turn(fails), "one")) == [turns.DISK]
