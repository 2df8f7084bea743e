"""The laws of the training program's options."""

import re
import sys

import pytest
from case_folders import indices, saved
from training_runs import options, run

from carmask.training.config import HEADINGS


def test_help_shows_options_with_dashes_under_headings_and_the_ten_most_needed_first(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "--help")
    words = capsys.readouterr().out.partition("-h, --help")[2]
    assert all(f"\n{heading}:\n" in words for heading in HEADINGS.values())
    assert not re.search(r"--[a-z]+_", words)
    first = ["data", "output", "model", "task", "network", "steps", "epochs", "batch-size", "crop", "side"]
    assert re.findall(r"^  --([a-z-]+)", words, re.MULTILINE)[: len(first)] == first


@pytest.mark.parametrize("option", ["--learning_rate", "--learning-rate"])
def test_an_option_is_read_with_underscores_as_well_and_refused_with_dashes(tmp_path, monkeypatch, capsys, option):
    assert run(monkeypatch, "--data", "x", "--output", tmp_path / "model", option, 5) == 1
    assert "--learning-rate is 5.0; it must lie between 0 and 1." in capsys.readouterr().err


ABSURD = {
    "seed": 10**22, "crop": 3200 * 32, "side": 10**9, "steps": 10**30, "batch_size": 10**12, "workers": 10**6,
    "accumulate": -1, "validate_every": 10**20, "learning_rate": "nan", "scale_jitter": "inf", "paste": "nan",
    "stagewise_share": "inf", "data": "x" * 300, "model": "é" * 200, "object": "x" * 5000, "teacher": "a/" * 1000,
    "unlabelled": "x" * 300, "image_column": "x" * 300, "push_to_hub": "anna/" + "x" * 300, "settings": "x" * 5000,
    "not_judged": 10**30, "object_above": 10**30, "epochs": 10**9, "patience": 2, "processes": "0",
}  # fmt: skip


@pytest.mark.parametrize("option", ABSURD)
def test_an_absurd_value_is_refused_in_one_sentence_before_torch_is_imported(tmp_path, monkeypatch, capsys, option):
    monkeypatch.setitem(sys.modules, "carmask.training.run", None)  # an import of it would fail
    name = f"--{option.replace('_', '-')}"
    given = {"data": "x", "output": tmp_path / "model"} | {option: ABSURD[option]}
    assert run(monkeypatch, *(word for key, value in given.items() for word in (f"--{key}", value))) == 1
    said = capsys.readouterr().err
    assert name in said
    assert said.count("\n") == 1
    assert len(said) < 200


def test_a_model_of_the_hub_that_cannot_be_had_is_told_before_torch_is_imported(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "carmask.training.run", None)
    for option in ("--model", "--teacher"):
        assert run(monkeypatch, "--data", "x", "--output", tmp_path / "model", option, "anna/nothing") == 1
        assert "anna/nothing is not in the cache and HF_HUB_OFFLINE is set" in capsys.readouterr().err


def test_an_output_whose_name_is_too_long_is_refused(tmp_path, monkeypatch, capsys):
    assert run(monkeypatch, "--data", "x", "--output", tmp_path / ("x" * 300)) == 1
    assert "--output" in capsys.readouterr().err


def test_the_sentences_about_labels_are_followed_one_after_the_other(tmp_path, tiny_mask_model, monkeypatch, capsys):
    saved(tmp_path, indices(7, 15), ("photo", "shape"))
    given = options(tmp_path / "set", tiny_mask_model, tmp_path / "model", steps=1, validate_every=1)
    for option, value in (("--image-column", "photo"), ("--mask-column", "shape"), ("--object", "7")):
        assert run(monkeypatch, *given) == 1
        assert option in capsys.readouterr().err
        given += [option, value]
    assert run(monkeypatch, *given) == 0
    assert "In the masks 7 is car, 0 and 15 background." in capsys.readouterr().err
