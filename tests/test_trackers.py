import json
import os
import subprocess
import sys
from pathlib import Path

from training import options, run

ROOT = Path(__file__).parent.parent
STAND_IN = """
import json
from pathlib import Path

lines = Path(__file__).parent.parent / "lines.jsonl"
config = {}


class Image:
    def __init__(self, pixels):
        self.shape = list(pixels.shape)


class Run:
    def log(self, values, step=None):
        plain = {name: value.shape if isinstance(value, Image) else value for name, value in values.items()}
        with lines.open("a") as file:
            file.write(json.dumps({"step": step} | plain) + "\\n")

    def finish(self):
        pass


def init(project, name, resume):
    with lines.open("a") as file:
        file.write(json.dumps({"project": project, "name": name, "resume": resume}) + "\\n")
    return Run()
"""


def test_a_tracker_hears_loss_rates_scores_pace_memory_and_samples_at_each_validation(
    tmp_path, tiny_mask_model, tiny_data
):
    packages, output = tmp_path / "packages", tmp_path / "model"
    (packages / "trackio").mkdir(parents=True)
    (packages / "trackio/__init__.py").write_text(STAND_IN)
    (packages / "trackio-1.0.dist-info").mkdir()
    (packages / "trackio-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: trackio\nVersion: 1.0\n")
    command = [sys.executable, ROOT / "train_segformer.py", *options(tiny_data, tiny_mask_model, output)]
    environment = os.environ | {"PYTHONPATH": str(packages)}
    subprocess.run([*map(str, command), "--report_to", "trackio"], env=environment, check=True)
    start, *lines = map(json.loads, (packages / "lines.jsonl").read_text().splitlines())
    assert start == {"project": "carmask", "name": "model", "resume": "never"}
    history = json.loads((output / "scores.json").read_text())["history"]
    told = [line for line in lines if "loss" in line]
    assert [line["step"] for line in told] == [3, 6]
    for line, kept in zip(told, history, strict=True):
        assert line.items() >= kept.items()
        assert line["pictures_per_second"] > 0
        assert line["memory_gb"] > 0
        assert line["learning_rate_0"] > 0
    assert [line["step"] for line in lines if "samples" in line] == [3, 6]
    assert all(len(line["samples"]) == 3 for line in lines if "samples" in line)


def test_a_tracker_that_is_not_installed_is_an_error_before_the_start(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    arguments = options(tiny_data, tiny_mask_model, tmp_path / "model", report_to="wandb")
    assert run(monkeypatch, *arguments) == 1
    assert "wandb is not installed; run pip install wandb" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
