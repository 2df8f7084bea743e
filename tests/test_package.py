"""The laws of the package: it installs by one line, and its command finds its models."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import drawn_car

from carmask.__main__ import COMMANDS, main

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_says_how_it_is_used(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: carmask {command} ")


def test_a_command_that_is_none_is_refused_with_those_that_are(capsys):
    assert main(["photo.jpg"]) == 2
    assert "choose one of predict, tune" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--editable"]])
def test_an_installed_package_has_its_assets_and_says_where_models_are_looked_for(options, tmp_path):
    python = tmp_path / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", *options, "."]
    copy = tmp_path / "project"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    for name in filter(None, map(os.fsdecode, tracked)):
        if name.startswith(("carmask/", "pyproject", "requirements", "README", "LICENSE")) and (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(pip, cwd=copy, check=True)
    libraries = next(Path(place) for place in sys.path if place.endswith("site-packages"))
    (next(tmp_path.glob("venv/lib/*/site-packages")) / "libraries.pth").write_text(str(libraries))
    drawn_car()[0].save(tmp_path / "car.png")
    command = [tmp_path / "venv/bin/carmask", "predict", "car.png", "--out", "masks"]
    environment = {"HF_HUB_OFFLINE": "1", "PATH": os.environ["PATH"]}
    where = subprocess.run(
        [python, "-c", "import carmask; print(carmask.__file__)"], cwd=tmp_path, capture_output=True, text=True
    )
    assert str(ROOT) not in where.stdout
    assets = Path(where.stdout.strip()).parent / "demo/assets"
    assert {path.suffix for path in assets.iterdir()} == {".css", ".js", ".html"}
    refused = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "CARMASK_MODELS" in refused.stderr
    environment["CARMASK_MODELS"] = str(ROOT / "models")
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "masks/car_mask.png").is_file()
