"""Small made-up pictures, masks and folders of them for the tests of the data scripts."""

import json
import struct
import zlib

import numpy as np
from PIL import Image

from data_scripts import from_folders

SIZE = (40, 30)  # (width, height)
CAR_BOX = (10, 12, 30, 24)  # left, top, right, bottom


def picture(seed=0, size=SIZE):
    small = np.random.default_rng(seed).integers(0, 255, (4, 5, 3), np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def car_mask(value=255, mode="L"):
    mask = Image.new(mode, SIZE)
    mask.paste(value, CAR_BOX)
    return mask


def folders(root, names=("a", "b")):
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for seed, name in enumerate(names):
        picture(seed).save(root / "images" / f"{name}.jpg")
        car_mask().save(root / "masks" / f"{name}.png")
    return root / "images", root / "masks", root / "out"


def import_folders(images, masks, out, *options):
    return from_folders.main([str(images), str(masks), str(out), *options])


def rows(out, split="train"):
    return [json.loads(line) for line in (out / split / "metadata.jsonl").read_text().splitlines()]


def written_mask(out, name="a", split="train"):
    return np.asarray(Image.open(out / split / "masks" / f"{name}.png"))


def huge_png(path):
    """Writes a tiny file that claims to be a picture of 200 megapixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 20000, 10000, 8, 0, 0, 0, 0)
    chunks = [header, b"IDAT", b"IEND"]
    packed = [struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
