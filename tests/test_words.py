"""The laws of the words and of the sizes: the field's word for a thing, and nothing too long to be read at once."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIST = ["git", "ls-files", "-co", "--exclude-standard"]
LISTED = subprocess.run(LIST, cwd=ROOT, capture_output=True, text=True, check=True)
FILES = [ROOT / name for name in sorted(LISTED.stdout.split("\n")) if name and (ROOT / name).is_file()]
TEXTS = [
    path
    for path in FILES
    if path.suffix in (".py", ".md", ".toml", ".js", ".css", ".html", ".mk", "") and path.name != "LICENSE"
]
CODE = [path for path in FILES if path.suffix == ".py"]
# What this code once said, and what the field says.
PRIVATE = {
    r"at one blow": "atomically",
    r"to the (very )?bits": "bit-exact",
    r"piece by piece|look(s|ed|ing)? closer|--tiles": "sliding-window inference",
    r"largest[ _]zoom": "scale jitter",
    r"random_light": "photometric augmentation",
    r"rate_factor|\bdescend\b": "lr_multiplier, optimizer_step",
    r"\bAVERAGE\b|\baveraged\b": "EMA",
    r"way_on": "resume_hint",
    r"\bowed\b|\bowes\b": "validation_due",
    r"\bforced(_share)?\b": "stage-wise",
    r"\bLesson\b|\bmake_lesson\b": "DistillationLoss",
    r"\bmaterial\b": "setup",
    r"carmask[./](doors|starts|material|supply|teaching|tiles)\b": "the room's own name",
}
MEANT_HERE = {"test_words.py", "CHANGELOG.md"}  # they tell of the old words


@pytest.mark.parametrize("word", PRIVATE)
def test_the_field_s_word_is_used(word):
    found = []
    for path in TEXTS:
        if path.name not in MEANT_HERE and "models" not in path.relative_to(ROOT).parts[:1]:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            found += [
                f"{path.name}:{place} {line.strip()}" for place, line in enumerate(lines, 1) if re.search(word, line)
            ]
    assert not found, f"say {PRIVATE[word]}"


def test_no_file_is_longer_than_250_lines():
    own = [path for path in CODE if "tests" not in path.relative_to(ROOT).parts]
    assert not [path for path in own if len(path.read_text(encoding="utf-8").splitlines()) > 250]


def test_no_function_is_longer_than_40_lines_and_no_main_than_60():
    long = []
    for path in (path for path in CODE if "tests" not in path.relative_to(ROOT).parts):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = node.end_lineno - node.lineno + 1
                if lines > (60 if node.name == "main" else 40):
                    long.append(f"{path.name}: {node.name} has {lines}")
    assert not long


def test_the_readme_is_read_in_a_few_minutes():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130
    assert len(text.split()) <= 1200


def test_no_program_reaches_for_the_path_of_modules():
    assert not [path for path in CODE if "sys.path." + "insert" in path.read_text(encoding="utf-8")]
