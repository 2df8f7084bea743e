"""Runs the training program on a tiny network and drawn pictures."""

import sys

import train_segformer


def run(monkeypatch, *arguments):
    """The exit code of the program with these arguments, in this process."""
    monkeypatch.setattr(sys, "argv", ["train_segformer.py", *map(str, arguments)])
    return train_segformer.main()


def options(data, model, path, /, **changes):
    """The arguments of a run of six steps."""
    settings = {
        "data": data, "model": model, "output": path, "steps": 6, "batch_size": 4, "crop": 64, "side": 96,
        "validate_every": 3, "workers": 0, "learning_rate": 1e-3, "processes": 1,
    }  # fmt: skip
    return [part for name, value in (settings | changes).items() for part in (f"--{name.replace('_', '-')}", value)]
