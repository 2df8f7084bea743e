"""What a picture file may cost, in memory and time, found out before its pixels are decoded."""

import math
import re
import struct
import zlib
from io import BytesIO
from typing import IO

from PIL import Image, TiffImagePlugin

from carmask.errors import PictureError
from carmask.files.refusals import DAMAGED, TOO_MANY_PIXELS

MAX_PIXELS = 89_478_485
MAX_WEBP_PIXELS = 60_000_000  # its decoder holds a picture four times
MAX_SIDE = 65_535
MAX_FILE_BYTES = 20 * 2**20
MAX_SCANS = 100
MANY_PIXELS = 2**26  # whose memory is worth a look beforehand at whether they are there
MAX_SCANNED_PIXELS = 2**31  # each scan of a JPEG goes over all pixels again: some two seconds
MAX_EXIF_PARTS = 100  # of a JPEG, which are joined one by one
MAX_READS = 10_000  # until a file says how large its picture is: chunks, comments and directory entries
BYTE = 0.1  # of a read, where it is of a single byte
METADATA = "This picture carries too much beside its pixels; save it again without metadata and use that copy."

JPEG_FORMATS = ("JPEG", "MPO")
# The whole head of a scan, not only its marker: a phone appends a video to a photo, which holds FF DA by chance.
SCAN_HEAD = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG, by colour type
PIECE = 2**20  # bytes inflated at a time


class MeteredFile(BytesIO):
    """Content that can be read only so often, and only some times over, until it is unmetered.

    Metadata can be of so many parts that joining them takes minutes, or name one block of bytes so often that the
    copies take gigabytes.
    """

    def __init__(self, content: bytes):
        super().__init__(content)
        self.reads: float = MAX_READS
        self.bytes: float = 4 * len(content) + 2**16

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file; PictureError beyond what may be read."""
        part = super().read(size)
        self.reads -= 1 if len(part) > 1 else BYTE  # JPEGs may be filled up with single bytes
        self.bytes -= len(part)
        if min(self.reads, self.bytes) < 0:
            raise PictureError(METADATA)
        return part

    def unmeter(self) -> None:
        """Ends all limits, for the pixels."""
        self.reads = self.bytes = math.inf


class MeteredDirectory(TiffImagePlugin.ImageFileDirectory_v2):
    """A directory of TIFF or EXIF whose entries are read from a `MeteredFile`."""

    def load(self, fp: IO[bytes]) -> None:
        """Reads the directory at the place where `fp` is; PictureError if its entries name too much.

        A file that somebody else has opened on the disk is read as ever: all that is opened here is in memory.
        """
        if not isinstance(fp, BytesIO):
            super().load(fp)
            return
        start = fp.tell()
        fp.seek(0)
        metered = MeteredFile(fp.read())
        metered.seek(start)
        super().load(metered)
        fp.seek(metered.tell())


# Pillow has no setting for it, and reads EXIF while it opens some formats, and for each orientation.
TiffImagePlugin.ImageFileDirectory_v2 = MeteredDirectory  # type: ignore[misc]


def check_parts(content: bytes) -> None:
    """Refuses a JPEG whose EXIF is in too many parts (PictureError), before it is opened."""
    if content.startswith(b"\xff\xd8") and content.count(b"Exif\0\0") > MAX_EXIF_PARTS:
        raise PictureError(METADATA)


def check_cost(picture: Image.Image, content: bytes) -> None:
    """Refuses a picture whose pixels would take too much memory or time (PictureError)."""
    if picture.width * picture.height > MAX_PIXELS:
        raise PictureError(TOO_MANY_PIXELS)
    if picture.format == "WEBP" and picture.width * picture.height > MAX_WEBP_PIXELS:
        raise PictureError("This WebP has more than 60 megapixels; save it as a JPEG or make it smaller.")
    if max(picture.size) > MAX_SIDE:
        raise PictureError("This picture is longer than 65535 pixels; cut it into shorter pieces and try again.")
    scans = len(SCAN_HEAD.findall(content)) if picture.format in JPEG_FORMATS else 0
    if scans > MAX_SCANS or scans * picture.width * picture.height > MAX_SCANNED_PIXELS:
        raise PictureError("This JPEG is built of too many scans to be decoded safely; save it again as a plain JPEG.")
    if picture.format == "PNG" and picture.width * picture.height > MANY_PIXELS and not holds_its_pixels(content):
        raise PictureError(DAMAGED)


def holds_its_pixels(content: bytes) -> bool:
    """Whether a PNG holds as many pixels as it claims: inflates them chunk by chunk, keeping none of them.

    The filter byte of each row is left out of the count, so a file that lacks some last pixels may pass.

    Args:
        content: a PNG file that begins with its header, as the format asks (W3C PNG, 5.6).

    Raises:
        zlib.error: the pixels are not packed as they must be.
    """
    width, height, depth, colour = struct.unpack_from(">IIBB", content, 16)
    lacking = width * height * depth * CHANNELS[colour] // 8
    inflater, at = zlib.decompressobj(), 8
    while lacking > 0 and at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        packed = content[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        while packed and lacking > 0:
            lacking -= len(inflater.decompress(packed, PIECE))
            packed = inflater.unconsumed_tail
        at += 12 + length
    return lacking <= 0
