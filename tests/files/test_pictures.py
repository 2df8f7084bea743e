import io
import os
import struct
import zlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from soak_reader import end_of, mutant

from carmask.errors import PictureError
from carmask.files import picture_limits
from carmask.files.picture_limits import MAX_FILE_BYTES
from carmask.files.pictures import FORMATS, UPRIGHT_TURNS, grey_rgb, open_picture, open_reduced, upright_rgb

STORED_AS = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # the turn that undoes the upright turn


@pytest.fixture
def scene():
    colours = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(colours.repeat(8, axis=0).repeat(8, axis=1))


@pytest.fixture
def save(tmp_path):
    def save_file(content, name="picture.jpg"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return save_file


def encoded(picture, file_format, **options):
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def png_chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_header(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"")


def refusal(path):
    with pytest.raises(PictureError) as error:
        open_picture(path)
    sentence = str(error.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert path.name not in sentence
    return sentence


def same(picture, other, tolerance=0):
    difference = np.abs(np.asarray(picture, dtype=int) - np.asarray(other, dtype=int))
    return picture.mode == other.mode == "RGB" and difference.max() <= tolerance


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "WEBP", "AVIF", "JPEG", "GIF"])
def test_content_decides_and_the_name_does_not(scene, save, file_format):
    lossy = {
        "WEBP": {"lossless": True},
        "JPEG": {"quality": 95, "subsampling": 0},
        "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    }
    path = save(encoded(scene, file_format, **lossy.get(file_format, {})), "picture.txt")
    assert same(open_picture(path), scene, tolerance=16)


@pytest.mark.parametrize("orientation", UPRIGHT_TURNS)
@pytest.mark.parametrize(
    ("file_format", "options"),
    [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {"lossless": True})],
)
def test_orientation_is_applied_exactly_once(scene, save, orientation, file_format, options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = scene.transpose(UPRIGHT_TURNS[STORED_AS[orientation]])
    path = save(encoded(stored, file_format, exif=exif, **options))
    upright = open_picture(path)
    assert same(upright, scene)
    assert same(upright_rgb(upright), scene)


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0", b"Exif\0\0nonsense"])
def test_broken_exif_means_upright(scene, save, exif):
    path = save(encoded(scene, "JPEG", quality=95, subsampling=0, exif=exif))
    assert same(open_picture(path), scene, tolerance=16)


def test_metadata_is_never_passed_on(scene, save):
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    path = save(encoded(scene, "JPEG", exif=exif, comment=b"secret", dpi=(72, 72), icc_profile=b"profile"))
    picture = open_picture(path)
    assert picture.info == {}
    assert not picture.getexif()
    assert b"secret" not in encoded(picture, "PNG")


@pytest.mark.parametrize(
    "mode", ["L", "P", "RGBA", "LA", "PA", "La", "RGBa", "CMYK", "YCbCr", "HSV", "I", "F", "RGBX"]
)
def test_every_mode_shows_the_same_grey_scene(scene, mode):
    grey = scene.convert("L")
    via = {"La": "LA", "PA": "P", "RGBa": "RGBA", "YCbCr": "RGB", "CMYK": "RGB", "HSV": "RGB"}.get(mode, "L")
    picture = grey.convert(via).convert(mode)
    before = picture.tobytes()
    assert same(upright_rgb(picture), grey.convert("RGB"), tolerance=1)
    assert picture.tobytes() == before


@pytest.mark.parametrize(("mode", "order"), [("I;16", "<u2"), ("I;16B", ">u2")])
def test_grey_of_16_bits_is_scaled(scene, mode, order):
    grey = scene.convert("L")
    values = np.asarray(grey).astype(np.uint16) * 257
    picture = Image.frombytes(mode, grey.size, values.astype(order).tobytes())
    assert same(upright_rgb(picture), grey.convert("RGB"))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_grey_of_as_many_bits_as_a_camera_has_shows_the_same_as_8_bits(save, bits, dtype):
    grey = np.arange(256, dtype=np.uint8).reshape(8, 32)
    deep = (grey.astype(dtype) * 2 ** (bits - 8)).astype(dtype)
    path = save(encoded(Image.fromarray(deep), "TIFF"))
    assert same(open_picture(path), Image.fromarray(grey).convert("RGB"), tolerance=1)


@pytest.mark.parametrize("depth", ["u1", "u2"])
def test_a_tiff_whose_white_is_0_shows_the_same(save, depth):
    grey = np.arange(256, dtype=np.uint8).reshape(8, 32)
    stored = (255 - grey).astype(depth) * (257 if depth == "u2" else 1)
    content = bytearray(encoded(Image.fromarray(stored.astype(depth)), "TIFF"))
    entry = content.index(struct.pack("<HHL", 262, 3, 1))  # the photometric interpretation
    content[entry + 8 : entry + 10] = struct.pack("<H", 0)
    assert same(open_picture(save(bytes(content))), Image.fromarray(grey).convert("RGB"))


def exif_of_one_block(entries, size):
    """EXIF whose entries all name the same block of bytes."""
    named = b"".join(struct.pack("<HHLL", 1000 + number, 7, size, 0) for number in range(entries))
    return b"II*\0" + struct.pack("<LH", 8, entries) + named + bytes(4 + size)


def gif_of_many_comments(scene, blocks):
    gif = encoded(scene.convert("P"), "GIF")
    at = gif.index(b",", 13 + 3 * (2 << (gif[10] & 7)))
    return gif[:at] + b"\x21\xfe" + b"\x01a" * blocks + b"\0" + gif[at:]


def jpeg_of_many_exif_parts(scene, parts):
    jpeg = encoded(scene, "JPEG")
    return jpeg[:2] + (b"\xff\xe1\0\x12Exif\0\0" + bytes(10)) * parts + jpeg[2:]


def tiff_of_one_block(scene, entries):
    tiff = encoded(scene, "TIFF")
    at = struct.unpack_from("<L", tiff, 4)[0]
    count = struct.unpack_from("<H", tiff, at)[0]
    named = b"".join(struct.pack("<HHLL", 40_000 + number, 7, len(tiff), 0) for number in range(entries))
    directory = struct.pack("<H", count + entries) + tiff[at + 2 : at + 2 + 12 * count] + named + bytes(4)
    return tiff[:4] + struct.pack("<L", len(tiff)) + tiff[8:] + directory


@pytest.mark.parametrize(
    ("make", "parts"), [(gif_of_many_comments, 60_000), (jpeg_of_many_exif_parts, 200), (tiff_of_one_block, 20_000)]
)
def test_metadata_that_takes_minutes_or_gigabytes_to_read_is_refused(scene, save, make, parts):
    assert "beside its pixels" in refusal(save(make(scene, parts)))
    assert same(open_picture(save(make(scene, 2))), scene, tolerance=255)


def test_what_the_formats_allow_beside_the_pixels_is_read(scene, save):
    jpeg = encoded(scene, "JPEG")
    filled = jpeg[:2] + b"\xff" * 2**16 + jpeg[2:]  # fill bytes before a marker
    parts = jpeg[:2] + (b"\xff\xec\0\x12" + bytes(16)) * 2000 + jpeg[2:]
    store = io.BytesIO()
    scene.save(store, "TIFF", save_all=True, append_images=[scene] * 300)
    for content, expected in ((filled, jpeg), (parts, jpeg), (store.getvalue(), encoded(scene, "PNG"))):
        assert same(open_picture(save(content)), Image.open(io.BytesIO(expected)))


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "JPEG"])
def test_exif_that_names_one_block_over_and_over_is_not_read(scene, save, monkeypatch, file_format):
    path, copied = save(encoded(scene, file_format, exif=b"Exif\0\0" + exif_of_one_block(2000, 30_000))), []
    read = picture_limits.MeteredFile.read

    def counted(file, size=-1):
        copied.append(len(part := read(file, size)))
        return part

    monkeypatch.setattr(picture_limits.MeteredFile, "read", counted)
    assert open_picture(path).size == scene.size
    assert sum(copied) < 20 * path.stat().st_size


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 1.05), (0, 4.7), (0, 65535), (-5, 3), (1e-30, 1e30)])
def test_float_grey_of_any_range_keeps_its_contrast(low, high):
    ramp = np.linspace(low, high, 64, dtype=np.float32).reshape(8, 8)
    shown = np.asarray(upright_rgb(Image.fromarray(ramp)))[..., 0]
    assert shown.min() == 0
    assert shown.max() == 255


def test_flat_float_pictures_are_accepted():
    for value in (0, -7, 1e30):
        assert upright_rgb(Image.fromarray(np.full((2, 3), value, np.float32))).size == (3, 2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_float_pictures_with_values_that_are_no_numbers_are_refused(save, value):
    picture = Image.fromarray(np.array([[0, value]], dtype=np.float32))
    assert "not numbers" in refusal(save(encoded(picture, "TIFF")))


def test_transparent_parts_are_white(save):
    picture = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert np.asarray(open_picture(save(encoded(picture, "PNG")))).min() == 255


def test_only_the_first_frame_counts(scene, save):
    other = Image.new("RGB", scene.size)
    for file_format in ("TIFF", "PNG"):
        assert same(open_picture(save(encoded(scene, file_format, save_all=True, append_images=[other]))), scene)


def test_pictures_over_89_megapixels_are_refused_before_decoding(save):
    for side in (9460, 13000, 20000, 2**31 - 1):
        assert "megapixels" in refusal(save(png_header(side, side)))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
def test_a_png_is_decoded_only_if_all_its_pixels_are_there(save, monkeypatch, mode):
    picture = Image.new(mode, (301, 203))
    whole = encoded(picture, "PNG")
    length = whole.index(b"IDAT") - 4
    packed = zlib.compress(zlib.decompress(whole[length + 8 : whole.index(b"IEND") - 8])[: 203 * 301 // 16])
    cut = whole[:length] + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")
    assert open_picture(save(whole)).size == picture.size
    monkeypatch.setattr("carmask.files.pictures.flat_rgb", lambda picture: pytest.fail("It was decoded."))
    assert "damaged" in refusal(save(cut))


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_claims_more_pixels_than_its_bytes_can_hold_is_refused(save, progressive):
    content = encoded(Image.new("L", (64, 64), 255), "JPEG", optimize=True, quality=1, progressive=progressive)
    assert open_picture(save(content)).size == (64, 64)
    head = content.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    assert "damaged" in refusal(save(content[:head] + struct.pack(">HH", 9000, 9000) + content[head + 4 :]))


def test_a_png_with_hundreds_of_profiles_is_refused(save):
    whole = encoded(Image.new("L", (9, 9)), "PNG")
    start = whole.index(b"IDAT") - 4
    profile = png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1000)))
    assert "without metadata" in refusal(save(whole[:start] + 101 * profile + whole[start:]))


def tiff(entries, pixels=b""):
    """A TIFF of 20 × 20 grey pixels with some other entries: tag, type, count, and value or place."""
    usual = {256: (3, 1, 20), 257: (3, 1, 20), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 277: (3, 1, 1)}
    usual |= {273: (4, 1, 8), 278: (3, 1, 20), 279: (4, 1, 400)}
    listed = [struct.pack("<HHII", tag, *one) for tag, one in sorted((usual | entries).items())]
    body = pixels or bytes(400)
    directory = struct.pack("<H", len(listed)) + b"".join(listed) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory


RGB_IN_PLANES = {262: (3, 1, 2), 277: (3, 1, 3), 284: (3, 1, 2)}


@pytest.mark.parametrize(
    ("entries", "pixels", "words"),
    [
        ({}, b"", None),
        ({273: (1, 400_001, 8), 278: (3, 1, 1)}, bytes(400_001), "too many small pieces"),
        ({257: (3, 1, 40), 278: (3, 1, 20)}, b"", "damaged"),
        ({254: (4, 1, 1)}, b"", None),
        ({254: (4, 1, 1), 330: (4, 1, 8)}, b"", "small preview"),
        ({262: (3, 1, 3), 320: (3, 768, 8)}, struct.pack("<768H", *[*range(256)] * 3), "unusual way"),
        ({**RGB_IN_PLANES, 258: (3, 3, 8)}, struct.pack("<3H", 16, 16, 16) * 500, "unusual way"),
    ],
)
def test_a_tiff_that_would_be_misread_or_takes_minutes_is_refused(save, entries, pixels, words):
    content = tiff(entries, pixels)
    if words:
        assert words in refusal(save(content))
    else:
        assert open_picture(save(content)).size == (20, 20)


def test_pixels_in_millions_of_pieces_are_refused(save, monkeypatch):
    content = encoded(Image.new("L", (64, 64)), "BMP")
    assert open_picture(save(content)).size == (64, 64)
    monkeypatch.setattr(picture_limits, "MAX_PIXEL_READS", 0)
    assert "too many small pieces" in refusal(save(content))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "photo.png")
    assert "cannot be read" in refusal(tmp_path / "photo.png")


def test_a_webp_whose_decoder_would_take_too_much_memory_is_refused(save, monkeypatch):
    monkeypatch.setattr(picture_limits, "MAX_WEBP_PIXELS", 99)
    assert "save it as a JPEG" in refusal(save(encoded(Image.new("RGB", (10, 10)), "WEBP")))
    assert open_picture(save(encoded(Image.new("RGB", (11, 9)), "WEBP"))).size == (11, 9)


def test_pictures_longer_than_a_tool_can_show_are_refused(save):
    assert "longer" in refusal(save(png_header(100_000, 1)))


def test_files_over_20_megabytes_are_refused(save):
    assert "20 MB" in refusal(save(bytes(MAX_FILE_BYTES + 1)))


def test_jpegs_of_too_many_scans_are_refused_but_a_video_tail_is_not(scene, save):
    jpeg = encoded(scene, "JPEG", progressive=True)
    head, scan = jpeg.split(b"\xff\xda", 1)
    assert "scans" in refusal(save(head + (b"\xff\xda" + scan) * 101))
    assert open_picture(save(jpeg + b"\xff\xda\x99\x99" * 200)).size == scene.size


def test_a_large_jpeg_of_many_scans_is_refused_before_decoding(scene, save):
    jpeg = encoded(scene.convert("L"), "JPEG", progressive=True)
    small, large = (struct.pack(">HH", *size) for size in ((scene.height, scene.width), (9000, 9000)))
    head, scan = jpeg.replace(small, large, 1).split(b"\xff\xda", 1)
    assert "scans" in refusal(save(head + (b"\xff\xda" + scan) * 30))


def test_a_float_picture_is_scaled_alike_however_many_rows_it_has():
    ramp = np.linspace(0, 65535, 1000, dtype=np.float32)
    tall, wide = (upright_rgb(Image.fromarray(values)) for values in (ramp[:, None], ramp[None]))
    assert np.array_equal(np.asarray(tall)[:, 0], np.asarray(wide)[0])


def test_damaged_files_are_refused(scene, save):
    png, jpeg = encoded(scene, "PNG"), encoded(scene, "JPEG")
    for content in (png[: len(png) // 2], jpeg[:-40], png[:8], png_header(10, 10), b"GIF89a", b"BM" + bytes(60)):
        assert "damaged" in refusal(save(content))


def test_files_that_are_no_pictures_are_refused(scene, save):
    icon = encoded(scene, "ICO")
    for content in (b"<html>", b"{}", b"\0" * 100, b"%PDF-1.7\n" + encoded(scene, "JPEG"), icon):
        assert "not a picture" in refusal(save(content))
    assert "empty" in refusal(save(b""))
    assert "SVG" in refusal(save(b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "drawing.png"))


def test_heic_photos_are_refused_with_a_hint_where_its_package_is_missing(save, monkeypatch):
    monkeypatch.setattr("carmask.files.pictures._formats", lambda: FORMATS)
    assert "HEIC" in refusal(save(b"\0\0\0\x18ftypheic" + bytes(100)))


def test_missing_files_are_refused(tmp_path):
    assert "cannot be read" in refusal(tmp_path / "nothing.png")
    assert "cannot be read" in refusal(tmp_path)


def test_a_palette_picture_without_its_palette_is_refused(save):
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 3, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0\0"))
    assert "damaged" in refusal(save(b"\x89PNG\r\n\x1a\n" + header + pixels + png_chunk(b"IEND", b"")))


def test_a_changed_file_of_any_format_gives_a_picture_or_a_refusal_and_nothing_else(save):
    ends = Counter()
    for number in range(210):
        kind, content = mutant(number)
        ends[kind] += end_of(save(content))["open_picture"] == "opened"
    assert {*ends} == {*FORMATS}
    assert min(ends.values()) > 0


def test_grey_rgb_repeats_the_luminance(scene):
    red, green, blue = grey_rgb(scene).split()
    assert red.tobytes() == green.tobytes() == blue.tobytes() == scene.convert("L").tobytes()


def smooth(size):
    """A picture without sharp edges, of `size` (width, height)."""
    colours = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("size", "seen", "factor"),
    [((640, 480), 64, 2), ((640, 480), 30, 8), ((640, 480), 200, 1), ((644, 484), 30, 4), ((641, 480), 30, 1)],
)
def test_a_jpeg_is_decoded_at_least_twice_as_fine_as_the_network_sees_it_and_never_shifted(save, size, seen, factor):
    path = save(encoded(smooth(size), "JPEG", quality=95))
    picture, full = open_reduced(path, lambda size: (seen, seen))
    assert full == size[::-1]
    assert picture.size == (size[0] // factor, size[1] // factor)
    assert min(picture.size) >= min(2 * seen, *size)
    assert same(picture, open_picture(path).reduce(factor), tolerance=4)


@pytest.mark.parametrize("orientation", STORED_AS)
def test_a_reduced_photo_is_upright_and_tells_its_upright_size(save, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(encoded(smooth((640, 480)), "JPEG", quality=95, exif=exif))
    picture, full = open_reduced(path, lambda size: (size[0] // 9, size[1] // 9))
    whole = open_picture(path)
    assert full == (whole.height, whole.width)
    assert picture.size == (whole.width // 4, whole.height // 4)
    assert same(picture, whole.reduce(4), tolerance=4)


def test_the_first_of_several_photos_in_one_file_is_reduced_as_well(save):
    path = save(encoded(smooth((640, 480)), "MPO", save_all=True, append_images=[smooth((64, 48))]))
    picture, full = open_reduced(path, lambda size: (30, 40))
    assert full == (480, 640)
    assert same(picture, open_picture(path).reduce(8), tolerance=4)


def test_a_picture_that_is_no_jpeg_is_opened_as_it_is(save):
    path = save(encoded(smooth((640, 480)), "PNG"))
    picture, full = open_reduced(path, lambda size: (32, 32))
    assert same(picture, open_picture(path))
    assert full == (480, 640)


def test_an_opened_picture_carries_nothing_of_its_file(save):
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    path = save(encoded(smooth((64, 48)), "JPEG", exif=exif, comment=b"said"))
    assert not open_picture(path).info
    assert not open_picture(path).getexif()
