"""Untrusted zips: what is opened, what is refused, and with which message."""

import struct
import zipfile

import numpy as np
import pytest
from conftest import drawn_car, png

from carmask.demo import picture_zips
from carmask.demo.picture_zips import mask_name, open_zip, open_zipped, zipped_pictures
from carmask.errors import PictureError
from carmask.files.picture_limits import MAX_FILE_BYTES

FLAGS_AT = 8  # where the flags stand in an entry of a zip's list


@pytest.fixture
def make(tmp_path):
    """Returns the function that writes a zip of entries, each a name or a ZipInfo with its content."""

    def write(*entries, compression=zipfile.ZIP_DEFLATED):
        path = tmp_path / "given.zip"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in entries:
                archive.writestr(name, content)
        return path

    return write


def opened(path, folder):
    with open_zip(path) as archive:
        return [open_zipped(archive, info) for info in zipped_pictures(archive)]


def refusal(path, folder="/nowhere"):
    with pytest.raises(PictureError) as refused:
        opened(path, folder)
    return str(refused.value)


def test_the_pictures_of_a_zip_are_those_that_were_put_into_it_and_nothing_stays_unpacked(make, tmp_path):
    folder = tmp_path / "uploads"
    folder.mkdir()
    pictures = opened(make(("a.png", png(1)), ("b/c.png", png(2))), folder)
    for seed, picture in enumerate(pictures, start=1):
        assert np.array_equal(picture, drawn_car(seed=seed)[0])
    assert len(pictures) == 2
    assert not list(folder.iterdir())


def test_folders_and_what_systems_hide_do_not_count(make, tmp_path):
    hidden = [(name, b"x") for name in ("b/", ".DS_Store", "__MACOSX/b/._a.png", "b/.thumbs/a.png")]
    assert len(opened(make(*hidden, ("b/a.png", png())), tmp_path)) == 1
    assert "no picture in this zip" in refusal(make(*hidden))


def test_a_zip_of_too_many_pictures_is_refused(make, monkeypatch):
    monkeypatch.setattr(picture_zips, "MAX_PICTURES", 2)
    assert "more than" in refusal(make(*((f"{index}.png", b"") for index in range(3))))


def test_a_zip_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(make, monkeypatch):
    monkeypatch.setattr(picture_zips, "MAX_BYTES", 2**20)
    bomb = make(("a.png", bytes(2**19)), ("b.png", bytes(2**19 + 1)))
    assert bomb.stat().st_size < 10_000
    assert "larger than 200 MB together" in refusal(bomb)


def test_no_file_is_read_beyond_the_size_that_it_claims(make, tmp_path):
    path = make(("a.png", png()))
    content = path.read_bytes()
    size = struct.pack("<L", len(png()))
    path.write_bytes(content.replace(size, struct.pack("<L", 10)))
    assert "damaged or incomplete" in refusal(path, tmp_path)


def test_a_list_of_too_many_files_is_refused_unread(make, monkeypatch):
    monkeypatch.setattr(picture_zips, "MAX_DIRECTORY_BYTES", 100)
    monkeypatch.setattr(picture_zips, "ZipFile", None)
    assert "give fewer" in refusal(make(*((f"{index}.png", b"") for index in range(3))))


def test_a_longer_list_elsewhere_does_not_slip_through(make, monkeypatch):
    path = make(("a.png", png()))
    content = path.read_bytes()
    end = content.rindex(b"PK\x05\x06")
    for comment in (b"", bytes(2**16 - 1)):
        last = content[end:-2] + struct.pack("<H", len(comment)) + comment
        path.write_bytes(content[:end] + b"PK\x06\x07" + bytes(16) + last)
        assert "damaged or of an unusual kind" in refusal(path)


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"PK\x05\x06", b"PK\x03\x04" + bytes(100)])
def test_a_damaged_zip_is_refused(tmp_path, content):
    (tmp_path / "given.zip").write_bytes(content)
    assert "This zip is damaged" in refusal(tmp_path / "given.zip")


def test_a_link_is_not_followed(make):
    link = zipfile.ZipInfo("a.png")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    assert "a link to another file" in refusal(make((link, b"/etc/hostname")))


def test_an_encrypted_file_is_refused(make):
    path = make(("a.png", png()))
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + FLAGS_AT] |= 1
    path.write_bytes(content)
    assert "without a password" in refusal(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_an_unusual_packing_is_refused(make, compression):
    assert "unusual way" in refusal(make(("a.png", png()), compression=compression))


def test_a_zip_in_a_zip_is_not_opened(make):
    inner = make(("a.png", png())).read_bytes()
    assert "zip inside a zip" in refusal(make(("inner.zip", inner)))


def test_a_damaged_file_and_one_that_is_too_large_are_refused_as_any_other_picture(make, tmp_path):
    path = make(("a.png", png()), compression=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[100] ^= 255  # the checksum tells
    path.write_bytes(content)
    assert "damaged or incomplete" in refusal(path)
    assert "larger than 20 MB" in refusal(make(("a.png", bytes(MAX_FILE_BYTES + 1))), tmp_path)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a.jpg", "a_mask.png"),
        ("b/c/a b.ä.jpg", "b/c/a b.ä_mask.png"),
        ("b\\a.jpg", "b/a_mask.png"),
        ("./b//a", "b/a_mask.png"),
        ('<a>\n"?.jpg', "_a_____mask.png"),
        ("b/c:d.jpg", "b/c_d_mask.png"),
    ],
)
def test_a_mask_keeps_name_and_sub_folder_of_its_picture(name, kept):
    assert mask_name(name) == kept


@pytest.mark.parametrize(
    "name", ["/a.png", "../a.png", "b/../../a.png", "..\\a.png", "\\a.png", "C:\\a.png", "c:a.png", "", ".", "a" * 251]
)
def test_a_name_that_leads_out_of_its_folder_or_is_none_is_refused(name):
    with pytest.raises(PictureError, match="leads out of its folder"):
        mask_name(name)
