"""Runs the line that a person types, and tells whether what came of it is right."""

import argparse
import shlex
import shutil
from pathlib import Path

import numpy as np
from case_folders import TRUTH, photo
from made_up import rows
from PIL import Image
from tool_exports import SIZE

from carmask.data.label_options import add_table_options, label_options
from carmask.data.rows import read_row
from carmask.data.sources import open_data
from carmask.errors import DataError
from data_scripts import doctor, from_coco, from_csv, from_folders, from_tool

PROGRAMS = {
    "from_folders": from_folders, "from_coco": from_coco, "from_csv": from_csv, "from_tool": from_tool,
    "doctor": doctor,
}  # fmt: skip
PHOTOS = [photo(number) for number in range(8)]


def number_of(picture):
    """Which photo a picture of a data set is, however it was stored."""
    small = [np.ravel(one.convert("L").resize((12, 9), Image.Resampling.BOX)) for one in (picture, *PHOTOS)]
    return int(np.argmax(np.corrcoef(small)[0, 1:]))


def written(out):
    """Split, number of the photo, mask and dots in pixels of all rows of a data set."""
    for split in ("train", "validation", "test"):
        for row in rows(out, split) if (out / split).exists() else ():
            mask = row.get("mask_file_name") and np.asarray(Image.open(out / split / row["mask_file_name"]))
            dots = [dot and tuple(np.multiply(dot, SIZE)) for dot in row.get("dots", ())]
            yield split, number_of(Image.open(out / split / row["file_name"])), mask, dots


def opened(*arguments):
    """The same of the rows that the training program would read of a data set of any make."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    add_table_options(parser)
    chosen = parser.parse_args(arguments)
    for split, part in open_data(chosen.data, options=label_options(chosen)).items():
        for grey, mask in map(read_row, part):
            yield split, number_of(Image.fromarray(grey)), mask, []


def follow(line, capsys):
    """Runs a line; returns its exit code, what it said, and the rows that it gave."""
    program, *arguments = shlex.split(line)
    if program == "open_data":
        capsys.readouterr()
        try:
            found = list(opened(*arguments))
            return 0, capsys.readouterr().err, found
        except DataError as error:
            return 1, str(error), []
    if program != "doctor":
        shutil.rmtree("out", ignore_errors=True)
    code = PROGRAMS[program].main(arguments)
    return code, "".join(capsys.readouterr()), list(written(Path("out")))


def says(*words, code=1):
    """Expects this exit code, and sentences that have the words."""

    def check(answer):
        assert answer[0] == code, answer[1]
        assert all(word in answer[1] for word in words), answer[1]

    return check


def right(*words, splits=None, empty=(), void=0.0, least=0.99, photos=(0, 1, 2)):
    """Expects these photos with the masks that were drawn, in these splits, and that the words are said.

    Photos in `empty` have no object; at least the share `void` of each mask is not judged.
    """

    def check(answer):
        says(*words, code=0)(answer)
        assert sorted(number for _, number, *_ in answer[2]) == list(photos)
        for split, number, mask, _ in answer[2]:
            truth = TRUTH[number % 4] & (mask != 128) & (number not in empty)
            both, either = (truth & (mask == 255)).sum(), (truth | (mask == 255)).sum()
            assert both >= least * either, f"photo {number}: {both} of {either}"
            assert (mask == 128).mean() >= void
            assert splits is None or split == splits[number]

    return check


def dots(*expected, say=""):
    """Expects these dots, in pixels, of the photos 0, 1 and 2."""

    def check(answer):
        says(say, code=0)(answer)
        found = {number: found for _, number, _, found in answer[2]}
        assert len(found) == len(answer[2]) == len(expected)
        for number, points in enumerate(expected):
            assert len(found[number]) == len(points)
            for point, (x, y) in zip(found[number], [one or (None, None) for one in points], strict=True):
                assert (point is None) == (x is None)
                assert point is None or np.hypot(point[0] - x, point[1] - y) <= 0.75

    return check
