"""Mutates files that say what pictures show, and has each program read them: COCO, tables, exports, rows of a set.

    python tests/soak_labels.py --count 2000

A program must end with exit code 0, 1 or 2 and a few words, without a traceback, within a minute and little memory,
and open no file outside the folder that it was given. What fails is named with its seed: `--only from_csv --seed 17`
tries it again.
"""

import argparse
import contextlib
import functools
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import tool_exports
from conftest import write_data
from PIL import Image

from carmask.command_line import exit_code
from carmask.data.rows import check_split
from carmask.data.sources import open_data
from data_scripts import doctor, from_coco, from_csv, from_tool, merge, split

SECONDS, GIGABYTES, MOST_WORDS = 60, 2, 6000
OUTLINE = {"image_id": 1, "category_id": 1, "iscrowd": 0, "area": 400, "segmentation": [[5, 5, 25, 5, 25, 25, 5, 25]]}
COCO = {
    "images": [{"id": n, "file_name": f"{n}.png", "width": 96, "height": 64} for n in range(4)],
    "categories": [{"id": 1, "name": "car", "keypoints": ["nose", "ear"]}],
    "annotations": [{**OUTLINE, "id": n, "image_id": n, "keypoints": [9, 9, 2, 0, 0, 0]} for n in range(4)],
}
POINTS = "file,nose_x,nose_y,ear_x,ear_y\n" + "".join(f"{n}.png,10,15,{n},9\n" for n in range(4))
ROWS = "file_name,mask_file_name\n" + "".join(f"images/{n}.png,masks/{n}.png\n" for n in range(4))

# What is mutated, and who reads it: a line for each format. `root` holds pictures in images, a data set in set, one
# with a metadata.csv in table, and in each a link to what is outside.
FORMATS = {
    "from_coco": ("coco.json", lambda root, out: from_coco.main([f"{root}/coco.json", f"{root}/images", *out])),
    "coco_keypoints": ("coco.json", lambda root, out: from_coco.main(
        [f"{root}/coco.json", f"{root}/images", *out, "--keypoints", "car"])),
    "from_csv": ("points.csv", lambda root, out: from_csv.main([f"{root}/points.csv", f"{root}/images", *out])),
    "merge": ("set/train/metadata.jsonl", lambda root, out: merge.main([out[0], f"{root}/set"])),
    "split": ("set/train/metadata.jsonl", lambda root, out: split.main([f"{root}/set", out[0]])),
    "doctor": ("set/train/metadata.jsonl", lambda root, out: doctor.main([f"{root}/set", "--out", out[0]])),
    "training": ("set/train/metadata.jsonl", lambda root, out: read_all(root / "set")),
    "metadata_csv": ("table/train/metadata.csv", lambda root, out: read_all(root / "table")),
}  # fmt: skip
TOOLS = {  # an export of each, as tests/tool_exports.py writes it, in a folder of its name
    "yolo": "labels/train/a.txt",
    "labelme": "a.json",
    "cvat": "annotations.xml",
    "label_studio": "project-1.json",
    "via": "via.json",
    "supervisely_bitmap": "ds/ann/a.jpg.json",
}


def read_tool(tool, root, out):
    """Reads the export of a labelling tool."""
    return from_tool.main([f"{root}/{tool}", *out, "--object", "car"])


FORMATS |= {tool: (f"{tool}/{file}", functools.partial(read_tool, tool)) for tool, file in TOOLS.items()}


def read_all(data):
    """Opens a data set as training does, and reads each row."""
    return exit_code(lambda: [check_split(rows) for rows in open_data(str(data)).values()] and 0)


def lay_out(root):
    """Draws what the formats read, beside a secret.png."""
    write_data(root / "set", {"train": 6})
    shutil.copytree(root / "set/train/images", root / "images")
    shutil.copytree(root / "set", root / "table")
    (root / "table/train/metadata.jsonl").unlink()
    (root / "table/train/metadata.csv").write_text(ROWS)
    (root / "coco.json").write_text(json.dumps(COCO))
    (root / "points.csv").write_text(POINTS)
    Image.new("L", (96, 64)).save(root.parent / "secret.png")
    for tool in TOOLS:
        getattr(tool_exports, tool)(root / tool)
    for folder in (root / "images", root / "set/train", root / "table/train", *(root / tool for tool in TOOLS)):
        (folder / "link.png").symlink_to(root.parent / "secret.png")


def strange_values(outside):
    """Values and names that nobody expects; some lead to the secret.png in the folder `outside`."""
    names = ["link.png", "/etc/passwd", f"{outside}/secret.png", *("../" * up + "secret.png" for up in range(1, 5))]
    numbers = [None, True, -1, 0, 2, 0.5, 1e308, 10**30, 10**400, float("nan"), float("inf"), -(2**63)]
    texts = ["", "x", "\ud800", "a\0b", "a" * 5000, "7", "line\nline"]
    return [*names, *numbers, *texts, [], {}, [[]], [None], {"a": 1}, [[1, 2]]]


def mutated(content, name, dice, values):
    """The bytes of a file, changed in one to four places: as what it says, or as bytes."""
    pieces = [b",", b"\n", b'"', b"\0", b"\xff", b"[", b"}", b"nan", b"-", b"9" * 400, b"../", b"\\", b";", b"\t"]
    for _ in range(dice.randint(1, 4)):
        try:
            said = [json.loads(line) for line in content.decode().splitlines()] if "json" in name else None
        except ValueError:
            said = None
        if said and dice.random() < 0.8:
            change_value(said, dice, values)
            content = "\n".join(map(json.dumps, said)).encode()
        elif name.endswith("csv") and dice.random() < 0.6:
            lines = [line.split(b",") for line in content.split(b"\n")]
            cells = dice.choice(lines)
            cells[dice.randrange(len(cells))] = str(dice.choice(values)).encode("utf-8", "surrogatepass")
            content = b"\n".join(map(b",".join, lines))
        else:
            start = dice.randrange(len(content) + 1)
            content = content[:start] + dice.choice(pieces) + content[start + dice.randrange(5) :]
    return content


def change_value(said, dice, values):
    """Replaces, removes or doubles one thing at a random depth of what a JSON file says."""
    place = said
    while True:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        if not keys:
            return
        key = dice.choice(keys)
        if isinstance(place[key], list | dict) and dice.random() < 0.9:
            place = place[key]
            continue
        kind = dice.random()
        if kind < 0.7:
            place[key] = dice.choice(values)
        elif kind < 0.9:
            del place[key]
        elif isinstance(place, list):
            place.append(place[key])
        return


def end_of(name, root, seed, opened):
    """Runs one program on one mutant in this process; says what is wrong with how it ended, if anything is."""
    words, code = io.StringIO(), None
    out = [str(root.parent / "out"), *["--skip-bad"] * (seed % 2)]
    try:
        with contextlib.redirect_stderr(words), contextlib.redirect_stdout(words):
            code = FORMATS[name][1](root, out)
    except SystemExit as end:
        code = end.code
    except Exception:  # whatever it is, it is what this looks for
        return traceback.format_exc()
    said = words.getvalue()
    if opened:
        return f"It opened {opened}."
    if code not in (0, 1, 2) or not code <= len(said) <= MOST_WORDS or "Traceback" in said:
        return f"It ended with exit code {code} and {len(said)} letters: {said[:500]}"
    left = {path.name for path in root.parent.iterdir()} - {root.name, "secret.png", "out"}
    return f"It left {left}." if left else ""


def limit_and_watch(secrets):
    """Gives this process a minute and little memory; returns the list of those `secrets` that it opens from now on."""
    opened = []

    def note(event, arguments):
        if event in ("open", "os.link") and isinstance(arguments[0], str | os.PathLike):
            path = os.fspath(arguments[0])
            opened.extend([path] if "\0" not in path and os.path.realpath(path) in secrets else [])

    sys.addaudithook(note)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + GIGABYTES * 2**30,) * 2)
    signal.alarm(SECONDS)
    return opened


def try_one(name, root, seed):
    """Writes one mutant and runs its program in a process of its own; says what is wrong, if anything is."""
    file, report = root / FORMATS[name][0], root / "report"
    sound = file.read_bytes()
    file.write_bytes(mutated(sound, file.name, random.Random(f"{name} {seed}"), strange_values(root.parent)))
    child = os.fork()
    if not child:
        opened = limit_and_watch({str(root.parent / "secret.png"), "/etc/passwd"})
        report.write_text(end_of(name, root, seed, opened))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    file.write_bytes(sound)
    for path in root.parent.iterdir():
        if path.name not in (root.name, "secret.png"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return f"It was killed, status {status}." if status else report.read_text()


def main():
    """Tries the mutants; returns 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="how many mutants, of all formats together")
    parser.add_argument("--only", choices=FORMATS, help="try this format alone")
    parser.add_argument("--seed", type=int, help="try this mutant alone")
    arguments = parser.parse_args()
    names = [arguments.only] if arguments.only else list(FORMATS)
    seeds = range(-(-arguments.count // len(names))) if arguments.seed is None else [arguments.seed]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "given"
        root.mkdir()
        lay_out(root)
        for name in names:
            wrong = {seed: words for seed in seeds if (words := try_one(name, root, seed))}
            failed += len(wrong)
            for seed, words in wrong.items():
                print(f"--only {name} --seed {seed}: {words}")
            print(f"{name}: {len(seeds)} mutants, {len(wrong)} failed.", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
