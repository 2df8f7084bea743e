"""Why a file is no picture that can be read here, each in one sentence."""

SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"II*\0", b"II+\0", b"MM\0*", b"MM\0+")
DAMAGED = "This picture file is damaged or incomplete; open it in a picture program, save it again and use that copy."
NOT_A_PICTURE = "This file is not a picture that can be read here; use a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF file."
TOO_MANY_PIXELS = "This picture has more than 89 megapixels; make it smaller and try again."


def why_unidentified(content: bytes) -> str:
    """The sentence that refuses content in which no decoder found a picture."""
    head = content[:1024].lower()
    if b"<svg" in head:
        return "SVG drawings are not supported; export it as PNG and try again."
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"heim", b"hevc", b"mif1"):
        return "HEIC photos cannot be read here; export it as JPEG and try again."
    return DAMAGED if content.startswith(SIGNATURES) else NOT_A_PICTURE
