"""What a Hugging Face Space asks of the head of README.md and of requirements.txt."""

import re

from packaging.requirements import Requirement
from serving import ROOT

ZERO_GPU_TORCH = ("2.8.0", "2.9.1", "2.10.0", "2.11.0")


def head():
    _, lines, _ = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return dict(line.split(": ", 1) for line in lines.splitlines() if ": " in line)


def requirement(name):
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return next(Requirement(line) for line in lines if re.match(rf"{name}\b", line))


def test_the_head_of_the_readme_says_what_a_space_needs():
    said = head()
    assert {"title", "emoji", "colorFrom", "colorTo", "license"} <= set(said)
    assert (said["sdk"], said["python_version"]) == ("gradio", '"3.12"')
    assert (ROOT / said["app_file"]).is_file()
    assert len(said["short_description"]) <= 60


def test_the_versions_of_a_space_and_of_the_requirements_agree():
    assert requirement("gradio").specifier.contains(head()["sdk_version"])
    assert all(requirement("torch").specifier.contains(version) for version in ZERO_GPU_TORCH)


def test_no_file_of_the_demo_needs_large_storage():
    files = [path for folder in ("carmask", "models", "examples") for path in (ROOT / folder).rglob("*")]
    assert all(path.stat().st_size < 10_000_000 for path in files)
