import io
import sys
import types

import pytest

from carmask.files import progress as module
from carmask.files.progress import counted, duration, progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests set forward by hand."""
    now = types.SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: now.seconds)
    monkeypatch.setattr(module, "FIRST", 5)
    return now


def run(clock, seconds_each, number, **options):
    for _ in progress(range(number), "Looking", **options):
        clock.seconds += seconds_each


def test_a_log_gets_a_line_after_five_seconds_and_one_a_minute(clock, capsys):
    run(clock, 2.5, 100)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Looking: 2 of 100, about 4 min left"
    assert [line.split()[1] for line in lines] == ["2", "26", "50", "74", "98"]


def test_what_is_over_soon_says_nothing_and_neither_does_what_is_to_be_quiet(clock, capsys):
    run(clock, 0.01, 100)
    run(clock, 100, 3, quiet=True)
    assert capsys.readouterr().err == ""


def test_of_several_processes_the_first_alone_says_something(clock, capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    run(clock, 100, 3)
    with counted("Training", 500, 0) as tell:
        clock.seconds += 100
        tell(1, "loss=0.5")
    assert capsys.readouterr().err == ""


def test_steps_of_a_resumed_run_get_a_line_a_minute_in_a_log(clock, capsys):
    with counted("Training", 500, 400) as tell:
        for step in range(401, 501):
            clock.seconds += 1
            tell(step, "loss=0.5")
    assert capsys.readouterr().err.splitlines() == [
        "Training: 405 of 500, about 2 min left, loss=0.5",
        "Training: 465 of 500, about 35 s left, loss=0.5",
    ]


def test_items_of_unknown_number_are_counted_without_a_guess(clock, capsys):
    for _ in progress(iter(range(3)), "Looking"):
        clock.seconds += 6
    assert capsys.readouterr().err == "Looking: 1\n"


def test_a_terminal_gets_a_bar_and_every_item_comes_through(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(progress(range(5), "Looking")) == list(range(5))
    assert "Looking: 100%" in terminal.getvalue()


@pytest.mark.parametrize(
    ("seconds", "said"), [(5, "5 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_durations_are_said_as_people_say_them(seconds, said):
    assert duration(seconds) == said
