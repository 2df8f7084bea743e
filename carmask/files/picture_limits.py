"""What a picture file may cost, in memory and time, found out before its pixels are decoded."""

import math
import re
import struct
import zlib
from io import BytesIO
from typing import IO

from PIL import Image, TiffImagePlugin
from PIL.ExifTags import Base

from carmask.errors import PictureError
from carmask.files.refusals import DAMAGED, TOO_MANY_PIXELS

MAX_PIXELS = 89_478_485
MAX_WEBP_PIXELS = 60_000_000  # its decoder holds a picture four times
MAX_SIDE = 65_535
SMALL = 8  # pixels for each byte of a PNG, from which on it is worth a look whether they are there
MAX_FILE_BYTES = 20 * 2**20
MAX_SCANS = 100
MAX_SCANNED_PIXELS = 2**31  # each scan of a JPEG goes over all pixels again: some two seconds
MAX_PARTS = 100  # of the EXIF of a JPEG, which are joined one by one, or of colour profiles of a PNG
MAX_READS = 10_000  # until a file says how large its picture is: chunks, comments and directory entries
MAX_PIXEL_READS = 2_000_000  # of what the pixels are stored in: some three seconds
MAX_TILES = 400_000  # of a TIFF
BYTE = 0.1  # of a read, where it is of a single byte
METADATA = "This picture carries too much beside its pixels; save it again without metadata and use that copy."
PIECES = "This picture is stored in too many small pieces to be read quickly; save it again as a PNG or a JPEG."
UNUSUAL = "This TIFF stores its pixels in an unusual way; save it again as a PNG."
PREVIEW = "This TIFF begins with a small preview of the picture; save the picture itself as a PNG or a JPEG."

JPEG_FORMATS = ("JPEG", "MPO")
# The whole head of a scan, not only its marker: a phone appends a video to a photo, which holds FF DA by chance.
SCAN_HEAD = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")

ARITHMETIC = re.compile(rb"\xff[\xc9\xca]\x00").search
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG, by colour type
PIECE = 2**20  # bytes inflated at a time


class MeteredFile(BytesIO):
    """Content that can be read only so often, and only some times over, until its limits are widened.

    Metadata can be of so many parts that joining them takes minutes, or name one block of bytes so often that the
    copies take gigabytes.
    """

    def __init__(self, content: bytes):
        super().__init__(content)
        self.reads: float = MAX_READS
        self.bytes: float = 4 * len(content) + 2**16
        self.refusal = METADATA

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file; PictureError beyond what may be read."""
        part = super().read(size)
        self.reads -= 1 if len(part) > 1 else BYTE  # JPEGs may be filled up with single bytes
        self.bytes -= len(part)
        if min(self.reads, self.bytes) < 0:
            raise PictureError(self.refusal)
        return part

    def widen(self) -> None:
        """Widens the limits, for the pixels."""
        self.reads, self.bytes, self.refusal = MAX_PIXEL_READS, math.inf, PIECES


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
        for tag in (Base.StripOffsets, Base.TileOffsets):
            if isinstance(places := self.get(tag), tuple | bytes) and len(places) > MAX_TILES:
                raise PictureError(PIECES)
        fp.seek(metered.tell())


# Pillow has no setting for it, and reads EXIF while it opens some formats, and for each orientation.
TiffImagePlugin.ImageFileDirectory_v2 = MeteredDirectory  # type: ignore[misc]


def check_parts(content: bytes) -> None:
    """Refuses a JPEG whose EXIF, or a PNG whose profile, is in too many parts (PictureError), before it is opened."""
    for start, part in ((b"\xff\xd8", b"Exif\0\0"), (b"\x89PNG", b"iCCP")):
        if content.startswith(start) and content.count(part) > MAX_PARTS:
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
    small = len(content) * SMALL < picture.width * picture.height
    if picture.format == "PNG" and small and not holds_its_pixels(content):
        raise PictureError(DAMAGED)
    # The least of a block of 8 × 8 pixels is a bit, but for arithmetic coding.
    if picture.format == "JPEG" and len(content) * 8 * 64 < picture.width * picture.height and not ARITHMETIC(content):
        raise PictureError(DAMAGED)
    if picture.format == "TIFF":
        check_layout(picture)


def check_layout(picture: Image.Image) -> None:
    """Refuses a TIFF that lacks a part of its pixels, or that Pillow misreads without a word (PictureError)."""
    tags, parts = picture.tag_v2, picture.tile  # type: ignore[attr-defined]  # of a TIFF
    bands, apart, big_endian = len(picture.getbands()), tags.get(Base.PlanarConfiguration) == 2, tags.prefix == b"MM"
    area = sum((right - left) * (bottom - top) for _, (left, top, right, bottom), *_ in parts)
    if area < picture.width * picture.height * (bands if apart and len(parts) > 1 else 1):
        raise PictureError(DAMAGED)
    bits, signed = max(tags.get(Base.BitsPerSample, (1,))), 2 in tags.get(Base.SampleFormat, ())
    swapped = big_endian and tags.get(Base.Compression, 1) != 1 and (bits > 16 or (bits == 16 and signed))
    planes = apart and (bits == 16 or bands == 2 or (bits > 8 and (bands > 1 or big_endian)))
    if planes or swapped:
        raise PictureError(UNUSUAL)
    if tags.get(Base.NewSubfileType, 0) & 1 and (Base.SubIFDs in tags or getattr(picture, "n_frames", 1) > 1):
        raise PictureError(PREVIEW)


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
