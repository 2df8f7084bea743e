"""Mutates picture files of every format, and reads each as pictures and masks are read.

    python tests/soak_reader.py --count 10000

A mutant gives a picture or a refusal in one sentence, and nothing else: no other error, no more than 20 seconds, no
more than 1.5 GB, no crash. What fails is named by its number: `--only 17` tries it again.
"""

import argparse
import functools
import io
import logging
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from pathlib import Path

from PIL import Image

from carmask.errors import PictureError
from carmask.files.mask_levels import open_mask
from carmask.files.pictures import open_noted, open_reduced

SECONDS, GIGABYTES, BATCH = 20, 1.5, 200
PNG_HEAD = b"\x89PNG\r\n\x1a\n"
EXTREMES = [0, 1, 2, 3, 7, 8, 127, 255, 256, 9000, 32767, 32768, 65535, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
VARIANTS = {  # what each format is saved as, by mode and options
    "JPEG": [("L", {}), ("RGB", {"progressive": True}), ("CMYK", {}), ("RGB", {"exif": True})],
    "PNG": [*((mode, {}) for mode in ("1", "L", "P", "LA", "RGB", "RGBA", "I;16")),
            ("P", {"transparency": 3}), ("RGB", {"exif": True}), ("RGB", {"save_all": True})],
    "WEBP": [("RGB", {}), ("RGBA", {"lossless": True}), ("RGB", {"exif": True}), ("RGB", {"save_all": True})],
    "GIF": [("L", {}), ("P", {"transparency": 3}), ("RGB", {"save_all": True})],
    "BMP": [(mode, {}) for mode in ("1", "L", "P", "RGB", "RGBA")],
    "TIFF": [*((mode, {}) for mode in ("1", "P", "I;16", "I", "F", "CMYK", "LAB", "RGBA")),
             *(("RGB", {"compression": kind, "exif": True})
               for kind in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")),
             ("1", {"compression": "group4"})],
    "AVIF": [("RGB", {}), ("RGBA", {"exif": True})],
}  # fmt: skip


@functools.cache
def sound_files():
    """The content of each variant, by format."""
    exif = Image.Exif()
    exif[0x0112] = 6
    scene = Image.effect_mandelbrot((44, 36), (-2, -1, 1, 1), 40).convert("RGB")
    files = {}
    for kind, variants in VARIANTS.items():
        files[kind] = []
        for mode, options in variants:
            store = io.BytesIO()
            given = options | ({"exif": exif} if "exif" in options else {})
            given |= {"append_images": [scene.rotate(180)]} if "save_all" in options else {}
            (scene.convert("L").convert(mode) if mode == "I;16" else scene.convert(mode)).save(store, kind, **given)
            files[kind].append(store.getvalue())
    return files


def mutant(number):
    """The format and the content of one mutant; the same number is always the same mutant."""
    dice = random.Random(number)
    kind = list(VARIANTS)[number % len(VARIANTS)]
    content = dice.choice(sound_files()[kind])
    for _ in range(dice.randint(1, 4)):
        png = kind == "PNG" and content.startswith(PNG_HEAD) and dice.random() < 0.8
        content = with_changed_chunk(content, dice) if png else changed(content, dice, kind)
    return kind, content


def changed(content, dice, kind):
    """Content with one change: a number, a bit, a piece gone, doubled, or put in the place of another."""
    start = dice.randrange(min(len(content), 200 if dice.random() < 0.7 else len(content)) or 1)
    end = min(len(content), start + int(2 ** dice.uniform(0, 8)))
    what = dice.randrange(6)
    if what < 2:
        size = dice.choice("BHI")
        most = 2 ** (8 * struct.calcsize(size))
        number = struct.pack(dice.choice("<>") + size, dice.choice(EXTREMES) % most)
        return content[:start] + number + content[start + len(number) :]
    if what == 2 and content:
        return content[:start] + bytes([content[start] ^ 1 << dice.randrange(8)]) + content[start + 1 :]
    if what == 3:
        return content[:start] + content[end if dice.random() < 0.7 else len(content) :]
    if what == 4:
        return content[:end] * dice.choice((1, 1, 3)) + content[start:]
    other = dice.choice(sound_files()[kind])
    return content[:start] + other[min(start, dice.randrange(len(other))) :]


def with_changed_chunk(content, dice):
    """A PNG of which one chunk is gone, doubled, changed or elsewhere, with the sums that belong to it."""
    chunks, at = [], len(PNG_HEAD)
    while at + 8 <= len(content):
        length = struct.unpack_from(">I", content, at)[0]
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    if not chunks:
        return content
    place, what = dice.randrange(len(chunks)), dice.randrange(5)
    name, data = chunks.pop(place)
    if what == 1:
        chunks[place:place] = [(name, data)] * 2
    elif what == 2:
        chunks.insert(dice.randrange(len(chunks) + 1), (name, data))
    elif what == 3:
        chunks.insert(place, (name, changed(data or b"\0", dice, "PNG")))
    elif what == 4:
        pixels = bytes(dice.randrange(256) for _ in range(dice.randrange(9000)))
        chunks.insert(place, (b"IDAT", zlib.compress(pixels)) if name == b"IDAT" else (name, b""))
    parts = [(struct.pack(">I", len(data)), name + data) for name, data in chunks]
    return PNG_HEAD + b"".join(length + data + struct.pack(">I", zlib.crc32(data)) for length, data in parts)


def small(size):
    """What a network sees of every picture."""
    return 32, 32


READERS = {"open_picture": open_noted, "open_reduced": lambda path: open_reduced(path, small), "open_mask": open_mask}


def end_of(path):
    """Reads a file in each way: what came of it, "opened" or the refusal, by reader."""
    ends = {}
    for name, reader in READERS.items():
        try:
            reader(path)
            ends[name] = "opened"
        except PictureError as refusal:
            ends[name] = str(refusal)
            assert ends[name].endswith(".")
            assert "\n" not in ends[name]
    return ends


def read_batch(numbers, path, report):
    """In a process of its own with limits: reads mutants, and says of each what came of it, a line each."""
    logging.disable()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders write there what they think of a file
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + int(GIGABYTES * 2**30),) * 2)
    for number in numbers:
        kind, content = mutant(number)
        path.write_bytes(content)
        signal.alarm(SECONDS)
        began = time.monotonic()
        try:
            ends = end_of(path)
            opened = sum(end == "opened" for end in ends.values())
            print(kind, opened, round(time.monotonic() - began, 2), file=report, flush=True)
        except BaseException:  # whatever it is, it is what this looks for
            print("failed", traceback.format_exc().replace("\n", " | "), file=report, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, "MB", file=report, flush=True)


def try_batch(numbers, folder):
    """Reads mutants in a child; returns its lines, one a mutant, a death being one, and a last one of its memory."""
    report = folder / "report"
    report.write_text("")
    child = os.fork()
    if not child:
        with report.open("w") as lines:
            read_batch(numbers, folder / "mutant", lines)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    lines = report.read_text().splitlines()
    if not status:
        return lines
    rest = numbers[len(lines) + 1 :]
    return [*lines, f"failed The child was killed, status {status}.", *(try_batch(rest, folder) if rest else ["0 MB"])]


def main():
    """Tries the mutants; returns 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="how many mutants, of all formats together")
    parser.add_argument("--only", type=int, help="try this mutant alone")
    arguments = parser.parse_args()
    numbers = range(arguments.count) if arguments.only is None else range(arguments.only, arguments.only + 1)
    came, failed, slowest, most = Counter(), 0, (0.0, 0), 0
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, len(numbers), BATCH):
            batch = numbers[first : first + BATCH]
            *lines, memory = try_batch(batch, Path(folder))
            most = max(most, int(memory.split()[0]))
            for number, line in zip(batch, lines, strict=True):
                kind, words = line.split(" ", 1)
                if kind == "failed":
                    failed += 1
                    print(f"--only {number}: {words}", flush=True)
                else:
                    came[kind, "all"] += 1
                    came[kind, "opened"] += words.startswith("3")
                    slowest = max(slowest, (float(words.split()[1]), number))
    for kind in VARIANTS:
        print(f"{kind}: {came[kind, 'all']} mutants ended well, {came[kind, 'opened']} of them opened as pictures.")
    print(f"{failed} failed; the slowest, {slowest[1]}, took {slowest[0]} s; a process took {most} MB at most.")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
