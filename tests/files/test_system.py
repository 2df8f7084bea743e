"""What a closed terminal does to a program that goes on."""

import os
import pty
import signal
import sys

from serving import ROOT

CODE = """
import signal, sys, time
from pathlib import Path
from carmask.files.system import leave_terminal
closed = []
signal.signal(signal.SIGHUP, lambda number, frame: closed.append(leave_terminal()))
print("ready", flush=True)
while not closed:  # not signal.pause(), which the signal may come before
    time.sleep(0.01)
print("to nobody", flush=True)
print("to nobody", file=sys.stderr, flush=True)
Path(sys.argv[1]).write_text("kept")
"""


def test_a_program_whose_terminal_was_closed_saves_what_it_has(tmp_path):
    process, terminal = pty.fork()
    if process == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-c", CODE, str(tmp_path / "work")])
    assert b"ready" in os.read(terminal, 100)
    os.close(terminal)
    assert os.waitpid(process, 0)[1] == 0
    assert (tmp_path / "work").read_text() == "kept"
