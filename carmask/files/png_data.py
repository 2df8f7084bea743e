"""Whether a PNG holds as many pixels as it claims, found out in little memory."""

import struct
import zlib

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
PIECE = 2**20  # bytes inflated at a time


def holds_its_pixels(content: bytes) -> bool:
    """Inflates the pixels of a PNG chunk by chunk, keeping none of them, and compares with the size in its header.

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
