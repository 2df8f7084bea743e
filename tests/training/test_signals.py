import json
import re
import shutil
import subprocess

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from training_runs import options, run

from carmask.data.sources import open_data
from carmask.hub import provenance
from carmask.hub.provenance import fingerprint, versions
from carmask.tasks.mask_task import MaskTask


def infinite_loss(loss, logits):
    return loss * float("inf")


def infinite_gradient(loss, logits):
    return loss + (logits * 0).sqrt().sum()


@pytest.mark.parametrize("fault", [infinite_loss, infinite_gradient])
def test_the_first_number_that_is_none_stops_the_run_names_step_and_files_and_keeps_nothing(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys, fault
):
    output, healthy, batches = tmp_path / "model", MaskTask.loss, []

    def loss(task, logits, target):
        batches.append(target)
        value = healthy(task, logits, target)
        return fault(value, logits) if len(batches) == 1 + 5 else value  # the first one tries whether a batch fits

    monkeypatch.setattr(MaskTask, "loss", loss)
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, output)) == 1
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert "at step 4" in sentence
    assert "--resume" in sentence
    assert len(batches) == 1 + 5
    rows = {int(row) for row in re.findall(r"Row (\d) \(\1.png\)", sentence)}
    drawn_before = 8 - 4  # two batches of four are an epoch of the eight pictures
    assert len(rows) == drawn_before
    assert json.loads((output / "checkpoint-3/state.json").read_text())["step"] == 3
    assert all(value.isfinite().all() for value in load_file(output / "model.safetensors").values())
    assert not (output / "README.md").exists()


def test_the_files_named_are_those_that_the_step_learns_from(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys
):
    monkeypatch.setattr(MaskTask, "loss", lambda task, logits, target: logits.sum() * float("nan"))
    named = []
    for batch in (4, 8):
        output = tmp_path / str(batch)
        assert run(monkeypatch, *options(tiny_data, tiny_mask_model, output, batch_size=batch)) == 1
        named.append(set(re.findall(r"Row \d", capsys.readouterr().err)))
    assert len(named[0]) == 4
    assert named[0] < named[1]
    assert len(named[1]) == 8


def test_a_seed_fixes_every_bit_and_another_seed_does_not(tmp_path, tiny_data, monkeypatch):
    def weights(name, seed):
        start = options(tiny_data, "scratch", tmp_path / name, seed=seed, steps=3)
        assert run(monkeypatch, *start, "--network", "unet", "--settings", "depth=2") == 0
        return load_file(tmp_path / name / "model.safetensors")

    one, again, other = weights("one", 5), weights("again", 5), weights("other", 6)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_the_card_says_what_the_model_was_made_with(tmp_path, tiny_mask_model, tiny_data, monkeypatch):
    monkeypatch.setattr(
        provenance, "git", lambda *arguments: f"{provenance.ROOT}\nabc123" if "HEAD" in arguments else ""
    )
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, tmp_path / "model", steps=1, seed=7)) == 0
    card = (tmp_path / "model/README.md").read_text()
    for words in (
        fingerprint(open_data(str(tiny_data))),
        "git revision abc123",
        f"torch {torch.__version__}",
        "seed 7",
    ):
        assert words in card


def test_the_code_revision_is_that_of_git_and_says_whether_it_was_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.code_revision() == "unknown"
    (tmp_path / "code.py").write_text("1")
    who = ["-c", "user.name=A", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "code.py"], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    assert re.fullmatch("[0-9a-f]{40}", provenance.code_revision())
    (tmp_path / "code.py").write_text("2")
    assert re.fullmatch("[0-9a-f]{40} with changes", provenance.code_revision())
    (tmp_path / "inner").mkdir()
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "inner")
    assert provenance.code_revision() == "unknown"


def test_the_fingerprint_follows_the_pictures_not_the_place(tmp_path, tiny_data):
    print_of = fingerprint(open_data(str(tiny_data)))
    shutil.copytree(tiny_data, tmp_path / "moved")
    assert fingerprint(open_data(str(tmp_path / "moved"))) == print_of
    mask = tmp_path / "moved/test/masks/1.png"
    Image.open(mask).point(lambda value: 255 - value).save(mask)
    assert fingerprint(open_data(str(tmp_path / "moved"))) != print_of


def test_a_run_does_not_go_on_with_other_pictures(tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys):
    data, output = tmp_path / "data", tmp_path / "model"
    shutil.copytree(tiny_data, data)
    monkeypatch.setattr("carmask.training.run.finish", lambda *given: None)
    assert run(monkeypatch, *options(data, tiny_mask_model, output, steps=1)) == 0
    shutil.copy(data / "train/images/1.png", data / "train/images/0.png")
    assert run(monkeypatch, *options(data, tiny_mask_model, output, steps=2), "--resume") == 1
    assert "The data set, an unlabelled picture or the teacher has changed" in capsys.readouterr().err


def test_versions_name_what_decides():
    assert versions().startswith("Python 3.")
    assert all(f"{name} " in versions() for name in provenance.LIBRARIES)
