"""The laws of the documentation: its commands are understood as they stand, and none gives away what is private."""

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from carmask.__main__ import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TABLES = {"README.md", "your-own-data.md", "data.md"}  # whose tables name programs without their folder
FILES = [path for folder in ("data_scripts", "benchmarks", ".") for path in (ROOT / folder).glob("*.py")]
PROGRAMS = {path.name: path for path in FILES}


def commands(page):
    """The commands of a page, each as its words: lines of sh blocks, and programs called by their name alone."""
    text = page.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)).replace("\\\n", " ")
    inline = [found for found in re.findall(r"`(\.venv/bin/[^`…]*)`", text) if " " in found]
    short = re.findall(r"`(\w+\.py [^`…]*)`", text) if page.name in TABLES else []
    lines = [*blocks.splitlines(), *short, *inline]
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


ALL = {f"{page.name}: {' '.join(words)}": words for page in PAGES for words in commands(page)}
OURS = {
    line: words
    for line, words in ALL.items()
    if any(word.endswith(".py") and Path(word).name in PROGRAMS and Path(word).name != "app.py" for word in words)
    or any(Path(word).name == "carmask" and word != words[-1] and words[0] != "docker" for word in words)
}


class UnderstoodError(Exception):
    """The command line was read without a complaint."""


@pytest.mark.parametrize("line", OURS)
def test_every_command_of_the_documentation_is_understood_as_it_stands(line, monkeypatch):
    read = argparse.ArgumentParser.parse_known_args

    def understood(parser, *arguments, **named):
        _, unknown = read(parser, *arguments, **named)
        assert not unknown
        raise UnderstoodError

    words = OURS[line]
    place = next(place for place, word in enumerate(words) if Path(word).name in {"carmask", *PROGRAMS})
    name, rest = Path(words[place]).name, words[place + 1 :]
    if name == "carmask":
        assert rest[0] in COMMANDS
        module, rest = importlib.import_module(f"carmask.commands.{rest[0]}"), rest[1:]
    else:
        module = importlib.import_module(".".join(PROGRAMS[name].relative_to(ROOT).with_suffix("").parts))
    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", understood)
    monkeypatch.setattr(sys, "argv", [name, *rest])
    if rest != ["--help"]:
        with pytest.raises(UnderstoodError):
            module.main()
    for word in words:
        assert not word.startswith(("models/", "examples/")) or (ROOT / word).exists(), f"there is no {word}"


def test_every_make_target_of_the_documentation_exists():
    targets = re.findall(r"^([\w -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    known = {name for line in targets for name in line.split()}
    for line, words in ALL.items():
        assert "make" not in words[:1] or words[1] in known, line


def test_what_git_does_not_hold_never_goes_up_by_the_lines_that_publish_a_space(tmp_path):
    project = tmp_path / "project"
    for name in ("app.py", "my-set/train/images/anna.jpg", "data/ben.jpg", "photo.jpg"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("private")
    (project / ".gitignore").write_text("/data/\n")
    settings = ["-c", "user.name=anna", "-c", "user.email=anna@example.org"]
    for words in (["init", "-q"], ["add", "app.py", ".gitignore"], [*settings, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], cwd=project, check=True)
    lines = (ROOT / "docs/spaces.md").read_text().splitlines()
    place = next(index for index, line in enumerate(lines) if "git archive" in line)
    copy, upload = lines[place : place + 2]
    assert "hf upload" in upload
    subprocess.run(copy, cwd=project, shell=True, check=True)
    folder = project / shlex.split(upload)[3]
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {"app.py", ".gitignore"}


def test_folders_that_the_documentation_fills_are_not_committed_by_accident():
    folders = [
        "my-set", "my-model", "my-points", "data", "runs", "masks", "photos", "to-label", "findings", "corrected",
    ]  # fmt: skip
    asked = ["git", "check-ignore", *(f"{one}/" for one in folders)]
    ignored = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    assert {line.strip("/") for line in ignored} == set(folders)
