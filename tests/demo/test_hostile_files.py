"""Odd and hostile files through the running app."""

import hashlib
import os
import re
import struct
import zlib

import numpy as np
import pytest
from conftest import drawn_car
from files.test_pictures import encoded, png_chunk, png_header
from PIL import Image
from serving import ask, mask_of, running_demo

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tiny_mask_model):
    """The address of the demo and its log."""
    with running_demo(tiny_mask_model) as (address, _, log):
        yield address, log


@pytest.fixture(scope="module")
def demo(running):
    return running[0]


def refusal_of(demo, content, name="picture.png", route="mask"):
    kind, answer = ask(demo, content, name, route)
    assert kind == "error"
    return answer["error"]


def png16(picture, colours):
    """A PNG of 16 bits per channel: `colours` is its colour type, 0 for grey, 2 for RGB, 4 and 6 with alpha."""
    channels = {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}[colours]
    rows = np.asarray(picture.convert(channels)).astype(">u2") * 257
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 16, colours, 0, 0, 0)
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")


def turned(picture, file_format, **options):
    """A file that holds the picture on its side, and says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture.transpose(Image.Transpose.ROTATE_90), file_format, exif=exif, **options)


def told(picture):
    """A PNG that says where and by whom it was taken."""
    exif = Image.Exif()
    exif[0x010E], exif[0x013B] = "<script>alert(1)</script>", "secret maker"
    exif.get_ifd(0x8825)[1] = "N"
    return encoded(picture, "PNG", exif=exif)


SAME = {
    "bmp": lambda picture: encoded(picture, "BMP"),
    "gif": lambda picture: encoded(picture.convert("L"), "GIF"),
    "animated gif": lambda picture: encoded(
        picture.convert("L"), "GIF", save_all=True, append_images=[Image.new("L", picture.size)]
    ),
    "tiff": lambda picture: encoded(picture, "TIFF", compression="tiff_lzw"),
    "large tiff": lambda picture: encoded(picture, "TIFF", big_tiff=True),
    "tiff of two pages": lambda picture: encoded(
        picture, "TIFF", save_all=True, append_images=[Image.new("RGB", picture.size)]
    ),
    "webp": lambda picture: encoded(picture, "WEBP", lossless=True),
    "animated webp": lambda picture: encoded(
        picture, "WEBP", lossless=True, save_all=True, append_images=[Image.new("RGB", picture.size)]
    ),
    "animated png": lambda picture: encoded(
        picture, "PNG", save_all=True, append_images=[Image.new("RGB", picture.size)]
    ),
    "grey": lambda picture: encoded(picture.convert("L"), "PNG"),
    "grey and alpha": lambda picture: encoded(picture.convert("LA"), "PNG"),
    "alpha": lambda picture: encoded(picture.convert("RGBA"), "PNG"),
    "palette": lambda picture: encoded(picture.convert("L").quantize(256), "PNG"),
    "grey of 16 bits": lambda picture: png16(picture, 0),
    "colours of 16 bits": lambda picture: png16(picture, 2),
    "grey and alpha of 16 bits": lambda picture: png16(picture, 4),
    "colours and alpha of 16 bits": lambda picture: png16(picture, 6),
    "grey of 32 bits": lambda picture: encoded(
        Image.fromarray(np.asarray(picture.convert("L"), np.int32) * 257), "TIFF"
    ),
    "float": lambda picture: encoded(Image.fromarray(np.asarray(picture.convert("L"), np.float32) / 255), "TIFF"),
    "turned png": lambda picture: turned(picture, "PNG"),
    "turned tiff": lambda picture: turned(picture, "TIFF", compression="tiff_lzw"),
    "turned webp": lambda picture: turned(picture, "WEBP", lossless=True),
    "metadata": told,
    "tail": lambda picture: encoded(picture, "PNG") + b"PK\x03\x04 secret maker",
}


@pytest.mark.parametrize("kind", SAME)
def test_the_same_picture_in_another_wrapping_gives_the_same_mask(demo, kind):
    picture = drawn_car()[0]
    content = SAME[kind](picture)
    mask, _ = mask_of(demo, content, "picture.jpg")
    assert np.array_equal(mask, mask_of(demo, encoded(picture, "PNG"))[0])
    assert 0 < mask.mean() < 255


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "AVIF", "CMYK", "progressive"])
def test_a_lossy_picture_gives_a_mask_of_its_size(demo, kind):
    picture = drawn_car((61, 99))[0]
    content = {
        "CMYK": lambda: encoded(picture.convert("CMYK"), "JPEG"),
        "progressive": lambda: encoded(picture, "JPEG", progressive=True),
        "MPO": lambda: encoded(picture, "MPO", save_all=True, append_images=[picture]),
    }.get(kind, lambda: encoded(picture, kind))()
    assert mask_of(demo, content)[0].shape == (61, 99)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5), (4, 20000), (3000, 1), (21, 33)])
def test_a_picture_of_any_shape_gives_a_mask_of_its_size(demo, size):
    assert mask_of(demo, encoded(Image.new("L", size[::-1]), "PNG"))[0].shape == size


def refused_files():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    png, jpeg, gif, tiff, webp, avif = (
        encoded(picture, kind) for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "AVIF")
    )
    bitmap = encoded(picture, "BMP")
    bomb = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50 << 20)))
    return {
        "empty": (b"", "empty"),
        "eight bytes": (png[:8], "damaged"),
        "header alone": (png_header(10, 10), "damaged"),
        "cut png": (png[: len(png) // 2], "damaged"),
        "cut jpeg": (jpeg[: len(jpeg) * 95 // 100], "damaged"),
        "cut gif": (gif[: len(gif) * 6 // 10], "damaged"),
        "cut tiff": (tiff[:100], "damaged"),
        "cut webp": (webp[: len(webp) // 2], "damaged"),
        "cut avif": (avif[: len(avif) // 2], ""),
        "flipped byte": (png[:200] + bytes([png[200] ^ 255]) + png[201:], "damaged"),
        "no size": (bitmap[:18] + bytes(8) + bitmap[26:], ""),
        "packed comment": (png[:33] + bomb + png[33:], "damaged"),
        "sides of 31 bits": (png_header(2**31 - 1, 2**31 - 1), "megapixels"),
        "one pixel on a huge screen": (gif[:6] + b"\xff\xff\xff\xff" + gif[10:], "megapixels"),
        "little behind a large header": (png_header(9000, 9000), "damaged"),
        "a line of pixels": (png_header(100_000, 1), "longer"),
        "large bitmap": (bitmap[:18] + struct.pack("<ii", 40000, 40000) + bitmap[26:], "megapixels"),
        "html": (b"<html><script>alert(1)</script></html>", "not a picture"),
        "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        "json": (b"{}", "not a picture"),
        "text": ("data:image/png;base64,".encode("utf-16"), "not a picture"),
        "video": (b"\0\0\0\x18ftypmp42" + bytes(100), "not a picture"),
        "array": (b"\x93NUMPY\x01\0", "not a picture"),
        "icon": (encoded(picture, "ICO"), "not a picture"),
        "pdf": (b"%PDF-1.7\n" + jpeg, "not a picture"),
        "other formats": (encoded(picture, "PPM"), "not a picture"),
        "not numbers": (encoded(Image.fromarray(np.array([[0, np.nan]], np.float32)), "TIFF"), "not numbers"),
    }


REFUSED = refused_files()


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refused_file_gets_one_sentence_and_one_line_in_the_log_without_its_name(running, kind):
    demo, log = running
    content, words = REFUSED[kind]
    before = os.fstat(log.fileno()).st_size
    sentence = refusal_of(demo, content, "secret name.png")
    assert words in sentence
    assert re.fullmatch(r"[^.\n/]+(, [^.\n/]+)*\.", sentence)
    (line,) = os.pread(log.fileno(), 2**16, before).decode().splitlines()
    assert hashlib.sha256(content).hexdigest() in line
    assert f"{len(content)} bytes: {sentence}" in line
    assert "secret" not in line


def test_a_refused_zip_and_the_refused_pictures_of_a_batch_are_logged_as_well(running):
    demo, log = running
    before = os.fstat(log.fileno()).st_size
    assert "damaged" in refusal_of(demo, b"PK\x03\x04 secret", "secret name.zip", route="batch")
    kind, _ = ask(demo, b"GIF89a", "secret name.gif", route="batch")
    assert kind == "complete"
    lines = os.pread(log.fileno(), 2**16, before).decode().splitlines()
    assert len(lines) == 2
    assert "GIF, 6 bytes" in lines[1]
    assert "secret" not in "".join(lines)


@pytest.mark.parametrize(
    "name", ["..\\..\\owned.png", "/etc/cron.d/owned", '"><script>.png', "a.png\r\nX: 1", "x" * 300, "CON", "{{7*7}}"]
)
def test_a_hostile_name_gives_the_same_mask_under_a_harmless_name(demo, name):
    content = encoded(drawn_car()[0], "PNG")
    mask, kept = mask_of(demo, content, name)
    assert np.array_equal(mask, mask_of(demo, content)[0])
    assert re.fullmatch(r"[\w-]{1,50}_mask\.png", kept)
