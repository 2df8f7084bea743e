"""The file of a collected picture: without metadata, and for a JPEG with the very bytes of its pixels."""

import contextlib
import io
import re
from pathlib import Path

from PIL import Image

from carmask.files.pictures import orientation

LONGEST_JPEG = 65_500  # pixels
QUALITY = 95  # of a JPEG that is encoded anew
END, SCAN, COMMENT, APPLICATION = 0xD9, 0xDA, 0xFE, range(0xE0, 0xF0)
PLAIN_JFIF = bytes.fromhex("ffe000104a46494600010100000100010000")  # says that the colours are YCbCr, and no more
ADOBE = re.compile(rb"\xff\xee..(Adobe.{7})", re.DOTALL)  # may say that they are not
# In a scan, FF 00 stands for FF, and FF D0 to FF D7 are its restart marks.
NEXT_MARK = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)


def without_metadata(content: bytes) -> bytes:
    """The first picture of a JPEG file, without metadata and without whatever else is in the file; nothing is decoded.

    Raises:
        ValueError: It has no end.
    """
    kept, place, kind = [content[:2]], 2, 0
    while kind != END and (found := NEXT_MARK.search(content, place)):
        begin = found.end() - 2
        if kind == SCAN:
            kept.append(content[place:begin])
        kind = found[1][0]
        place = begin + 2 + (int.from_bytes(content[begin + 2 : begin + 4]) if kind != END else 0)
        segment = content[begin:place]
        if kind not in (COMMENT, *APPLICATION):
            kept.append(segment)
        elif segment[4:9] == b"JFIF\0":
            kept.append(PLAIN_JFIF)
        elif adobe := ADOBE.match(segment):
            kept.append(b"\xff\xee\x00\x0e" + adobe[1])
    if kind != END:
        raise ValueError("a JPEG without an end")
    return b"".join(kept)


def collected_file(picture: Image.Image, source: Path | None) -> tuple[str, bytes]:
    """The suffix and content of the file that a collected picture becomes.

    An upright JPEG keeps its pixels' bytes, a PNG becomes a PNG, and all else a JPEG of quality 95.

    Args:
        picture: upright RGB, as read from `source`.
        source: the file that it was; None if there is none.
    """
    kind = ""
    if source:
        content = source.read_bytes()
        with Image.open(io.BytesIO(content)) as opened:
            kind, mode = opened.format or "", opened.mode
            upright = orientation(opened) == 1
        if kind in ("JPEG", "MPO") and upright and mode in ("L", "RGB"):
            with contextlib.suppress(ValueError):
                return ".jpg", without_metadata(content)
    lossless = kind == "PNG" or max(picture.size) > LONGEST_JPEG
    encoded = io.BytesIO()
    picture.save(encoded, "PNG" if lossless else "JPEG", quality=QUALITY)
    return ".png" if lossless else ".jpg", encoded.getvalue()
