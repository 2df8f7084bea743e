"""Whose state the server drops when there are too many."""

from types import SimpleNamespace

import pytest

from carmask.demo.server.states import VisitorStates


@pytest.fixture
def states(monkeypatch):
    monkeypatch.setattr("gradio.state_holder.SessionState", lambda page: SimpleNamespace())
    states = VisitorStates()
    states.set_blocks(SimpleNamespace(state_session_capacity=3))
    return states


def flood(states, count=205):
    for number in range(count):
        states[f"nobody{number}"]


def test_a_flood_of_posts_without_a_page_drops_no_visitor(states):
    with states.open_page("a"), states.open_page("b"):
        kept = states["a"], states["b"]
        flood(states)
        assert (states["a"], states["b"]) == kept
        assert len(states.session_data) == 3


def test_of_open_pages_the_one_idle_longest_goes_first(states):
    with states.open_page("a"), states.open_page("b"), states.open_page("c"), states.open_page("d"):
        for session in "abcad":
            states[session]
        assert list(states.session_data) == ["c", "a", "d"]
    assert states.was_forgotten("b")


def test_a_state_that_was_just_made_is_never_the_one_that_goes(states):
    with states.open_page("a"), states.open_page("b"), states.open_page("c"):
        for session in "abc":
            states[session]
        assert states["nobody"] is states.session_data["nobody"]


def test_a_closed_page_is_dropped_before_an_open_one(states):
    with states.open_page("a"):
        states["a"]
        with states.open_page("b"), states.open_page("b"):
            states["b"]
        states["c"], states["d"]
        assert list(states.session_data) == ["a", "c", "d"]


def test_that_a_state_was_dropped_is_said_once(states):
    states["a"]
    flood(states, 3)
    assert [states.was_forgotten(session) for session in ("a", "a", "never")] == [True, False, False]
