"""Folders of pictures in, one answer a picture out."""

import struct
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unicodedata import normalize
from zlib import crc32

import numpy as np

from carmask.errors import PictureError
from carmask.files.disk import write_whole
from carmask.files.picture_folders import ENDINGS, pictures_below
from carmask.files.pictures import open_reduced
from carmask.files.progress import progress
from carmask.inference.predictor import Predictor
from carmask.tasks.dot_files import dots_as_csv, dots_as_json
from carmask.tasks.dots_task import Dot

ANSWERS = {"mask": "_mask.png", "dots": "_dots.json"}  # what the name of an answer's file ends on
MOST_WORKERS = 8  # pictures in memory at a time


def pictures_and_answers(inputs: list[Path], out: Path) -> Iterator[tuple[Path, Path]]:
    """Pairs each picture with its answer's path, without the ending: in `out`, in the sub-folders of its input."""
    for given in inputs:
        if not given.is_dir():
            yield given, out / given.stem
            continue
        for path in pictures_below(given):
            if not is_own_answer(path, given, out):
                yield path, out / path.relative_to(given).with_name(path.stem)


def is_own_answer(path: Path, given: Path, out: Path) -> bool:
    """Whether `path` below the input folder `given` is a mask that an earlier run wrote to `out`."""
    if given.resolve() in out.resolve().parents:
        return out.resolve() in path.resolve().parents
    partner = path.name.removesuffix(ANSWERS["mask"])
    beside = partner != path.name and out.exists() and given.samefile(out)
    return beside and any(path.with_name(partner + ending).exists() for ending in ENDINGS)


def plan_answers(inputs: list[Path], out: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Lists each picture with its answer's path, once; and says which pictures would replace another one's answer."""
    planned: dict[str, tuple[Path, Path]] = {}
    refused = []
    for picture, target in pictures_and_answers(inputs, out):
        first, _ = planned.setdefault(one_name(str(target)), (picture, target))
        if first.resolve() != picture.resolve():
            refused.append(f"{picture}: its answer would replace that of {first}; rename one of the two.")
    return [*planned.values()], refused


def one_name(path: str) -> str:
    """The same text for all paths that are one file: macOS and Windows do not tell letters by case or composition."""
    return normalize("NFC", normalize("NFC", path).casefold()) if sys.platform in ("darwin", "win32") else path


def write_answer(predictor: Predictor, picture: Path, target: Path) -> list[Dot]:
    """Writes the answer for one picture file to `target` and an ending: a mask as PNG or dots as JSON.

    Returns:
        The dots, if the model places dots.

    Raises:
        PictureError: the picture is refused.
        OSError: the answer cannot be written.
    """
    opened, size = open_reduced(picture, predictor.seen_size)
    answer = predictor(opened, size)
    target.parent.mkdir(parents=True, exist_ok=True)
    target = target.with_name(target.name + ANSWERS[predictor.task.kind])
    if predictor.task.kind == "dots":
        text = dots_as_json(picture.name, size, answer)
        write_whole(target, text.encode(errors="replace"))
        return answer
    write_whole(target, mask_as_png(answer))
    return []


def mask_as_png(mask: np.ndarray) -> bytes:
    """The content of a PNG file of a mask, uint8 (height, width).

    Its rows are not filtered, and runs of equal pixels are all that is looked for: Pillow would try five filters for
    every row, which takes twice the time and makes a mask larger.
    """
    height, width = mask.shape
    rows = np.zeros((height, 1 + width), np.uint8)  # each begins with the number of its filter
    rows[:, 1:] = mask
    packer = zlib.compressobj(strategy=zlib.Z_RLE)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)  # 8 bits, grey
    content = ((b"IHDR", header), (b"IDAT", packer.compress(rows.data) + packer.flush()), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data)) for kind, data in content
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def write_answers(
    predictor: Predictor, planned: list[tuple[Path, Path]], workers: int, quiet: bool
) -> tuple[list[tuple[Path, list[Dot]]], list[str]]:
    """Writes answers in several threads, each with one picture at a time from file to file.

    Returns:
        The path and the dots of each answer written, and what failed, in sentences.
    """

    def answer(picture: Path, target: Path) -> tuple[Path, list[Dot]] | str:
        try:
            return target.with_name(picture.name), write_answer(predictor, picture, target)
        except PictureError as error:
            return f"{picture}: {error}"
        except OSError as error:
            return f"{picture}: its answer cannot be written to {target.parent} ({error.strerror})."

    with ThreadPoolExecutor(workers) as pool:
        answers = pool.map(answer, *zip(*planned, strict=True)) if planned else ()
        try:
            results = [*progress(answers, "Pictures", len(planned), quiet=quiet)]
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    return [result for result in results if not isinstance(result, str)], [
        result for result in results if isinstance(result, str)
    ]


def write_table(predictor: Predictor, written: list[tuple[Path, list[Dot]]], out: Path) -> list[str]:
    """Writes the dots of all pictures to one dots.csv, if the model places dots; returns what failed."""
    if predictor.task.kind != "dots" or not written:
        return []
    lines = [(path.relative_to(out).as_posix(), dots) for path, dots in written]
    try:
        write_whole(out / "dots.csv", dots_as_csv(sorted(lines)).encode(errors="replace"))
    except OSError as error:
        return [f"{out / 'dots.csv'} cannot be written ({error.strerror})."]
    return []
