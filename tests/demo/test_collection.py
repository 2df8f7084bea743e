"""The collected data set: valid after every addition, and ready for training and for the doctor."""

import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import drawn_car
from PIL import Image
from serving import ROOT

import train_segformer
from carmask.data.sources import open_data
from carmask.demo import collection
from carmask.demo.collection import add_example, collected_rows, open_collection, zip_collection
from carmask.errors import DataError
from carmask.files.pictures import open_picture
from data_scripts import doctor

SIZE = (96, 128)  # (height, width)


@pytest.fixture
def folder(tmp_path):
    return open_collection(tmp_path / "set")


def car(seed):
    return drawn_car(SIZE, seed)


def png(folder, picture):
    """A PNG file of a picture, beside the data set."""
    picture.save(folder.with_name("mine.png"))
    return folder.with_name("mine.png")


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_accepted(folder, pictures):
    """The doctor finds no fault, and training opens it with a car in each of its two parts."""
    assert doctor.main([str(folder)]) == 0
    splits = open_data(str(folder))
    assert sum(map(len, splits.values())) == pictures
    for split in splits.values():
        assert any(np.asarray(row["mask"]).any() for row in split)


def test_it_is_accepted_by_training_and_doctor_whatever_is_added(folder):
    add_example(folder, "a", *car(0))
    no_car = np.zeros(SIZE, np.uint8)
    for seed in (1, 2, 3, 4):
        add_example(folder, "a", car(seed)[0], no_car)
    assert add_example(folder, "a", *car(5), png(folder, car(5)[0])) == 6
    assert_accepted(folder, 6)


def test_the_mask_is_kept_bit_for_bit_and_so_is_a_lossless_picture(folder):
    picture, mask = car(0)
    add_example(folder, "mine", picture, mask, png(folder, picture))
    (row,) = collected_rows(folder)
    assert row["file_name"].startswith("images/mine-")
    with Image.open(folder / "train" / row["mask_file_name"]) as kept:
        assert (kept.format, kept.mode) == ("PNG", "L")
        assert np.array_equal(np.asarray(kept), mask)
    with Image.open(folder / "train" / row["file_name"]) as kept:
        assert np.array_equal(np.asarray(kept), np.asarray(picture))


def test_the_same_picture_again_never_overwrites_and_stays_in_its_group(folder):
    picture, mask = car(0)
    add_example(folder, "a", picture, mask)
    before = files(folder)
    assert add_example(folder, "a", picture, np.roll(mask, 3)) == 2
    after = files(folder)
    table = next(path for path in before if path.name == "metadata.jsonl")
    assert all(after[path] == content for path, content in before.items() if path != table)
    assert after[table].startswith(before[table])
    assert len({row["group"] for row in collected_rows(folder)}) == 1


def test_where_a_person_corrects_again_the_new_mask_takes_the_place_of_the_old(folder):
    picture, mask = car(0)
    add_example(folder, "a", picture, mask)
    add_example(folder, "a", *car(1))
    assert add_example(folder, "a", picture, np.roll(mask, 3), keep_all=False) == 2
    assert len(files(folder)) == 2 * 2 + 3  # the table, the README and the lock
    with Image.open(folder / "train" / collected_rows(folder)[-1]["mask_file_name"]) as kept:
        assert np.array_equal(np.asarray(kept), np.roll(mask, 3))
    assert_accepted(folder, 2)


@pytest.mark.parametrize("keep_all", [True, False])
def test_the_same_picture_with_the_same_mask_is_stored_once(folder, keep_all):
    picture, mask = car(0)
    add_example(folder, "a", picture, mask)
    before = files(folder)
    assert add_example(folder, "other", picture, mask, keep_all=keep_all) == 1
    assert files(folder) == before


SECRET = b"taken at home"
KINDS = [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}, {"keep_rgb": True}, {"mode": "L"}]


@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_keeps_its_pixels_bytes_and_loses_everything_else(folder, kind):
    picture, mask = car(0)
    exif, source = Image.Exif(), folder.with_name("mine.jpg")
    exif[0x010F] = SECRET.decode()
    given = picture.convert(kind.get("mode", "RGB"))
    given.save(source, "JPEG", quality=80, exif=exif, comment=SECRET, icc_profile=SECRET * 9999, xmp=SECRET, **kind)
    source.write_bytes(source.read_bytes() + SECRET)  # as a phone appends a film
    with Image.open(source) as opened:
        add_example(folder, "a", opened.convert("RGB"), mask, source)
    (row,) = collected_rows(folder)
    kept = folder / "train" / row["file_name"]
    assert kept.suffix == ".jpg"
    assert SECRET not in kept.read_bytes()
    with Image.open(kept) as opened, Image.open(source) as original:
        assert np.array_equal(np.asarray(opened), np.asarray(original))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_with_broken_exif_is_added_as_it_lies(folder, kind):
    picture, mask = car(0)
    source = folder.with_name("mine.pic")
    picture.save(source, kind, exif=b"Exif\0\0broken")
    add_example(folder, "a", picture, mask, source)
    assert len(collected_rows(folder)) == 1


def test_a_jpeg_that_lies_on_its_side_is_stored_upright(folder, picture_path):
    picture = open_picture(picture_path)
    mask = np.zeros((picture.height, picture.width), np.uint8)
    mask[20:60, 20:60] = 255
    add_example(folder, "a", picture, mask, picture_path)
    with Image.open(folder / "train" / collected_rows(folder)[0]["file_name"]) as kept:
        assert (kept.format, kept.size, dict(kept.getexif())) == ("JPEG", picture.size, {})


def test_two_visitors_at_once_lose_nothing(folder):
    with ThreadPoolExecutor(4) as pool:
        examples = [(picture, np.roll(mask, seed // 8)) for seed in range(16) for picture, mask in [car(seed % 8)]]
        list(pool.map(lambda example: add_example(folder, "a", *example), examples))
    assert len({row["file_name"] for row in collected_rows(folder)}) == 16
    assert_accepted(folder, 16)


def test_two_programs_at_once_lose_nothing(folder):
    code = (
        "import sys; import numpy as np; from pathlib import Path; from PIL import Image\n"
        "from carmask.demo.collection import add_example\n"
        "for seed in range(int(sys.argv[2]), 12, 2):\n"
        "    picture = np.random.default_rng(seed).integers(0, 255, (96, 128, 3), np.uint8)\n"
        "    mask = np.zeros((96, 128), np.uint8); mask[20:60, 20:80] = 255\n"
        "    add_example(Path(sys.argv[1]), 'a', Image.fromarray(picture), mask)"
    )
    programs = [subprocess.Popen([sys.executable, "-c", code, str(folder), first], cwd=ROOT) for first in "01"]
    assert [program.wait(120) for program in programs] == [0, 0]
    assert_accepted(folder, 12)


@pytest.mark.parametrize("step", ["move_into_place", "write_rows"])
def test_a_program_killed_while_adding_leaves_no_half_pair_after_the_next_start(folder, step, monkeypatch):
    add_example(folder, "collected", *car(0))
    add_example(folder, "collected", *car(1))
    (folder / "train" / "images" / "own.txt").write_text("a person's own file")
    whole = files(folder)
    real = getattr(collection, step)

    def killed(folder, *rest):
        if step == "move_into_place":
            (folder / ".adding-x" / "images").mkdir(parents=True)
            real(folder, *rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(collection, step, killed)
    with pytest.raises(KeyboardInterrupt):
        add_example(folder, "collected", *car(2))
    monkeypatch.undo()
    assert set(files(folder)) > set(whole)
    open_data(str(folder))  # training never sees the half pair
    open_collection(folder)
    assert files(folder) == whole
    assert not (folder / ".adding-x").exists()


@pytest.mark.parametrize(
    ("size", "value", "words"),
    [
        ((96, 128), 255, "every judged pixel is the object"),
        ((96, 128), 0, "The first picture must show a car"),
        ((63, 128), 255, "fewer than 64 pixels"),
    ],
)
def test_what_training_or_doctor_would_refuse_is_not_added(folder, size, value, words):
    before = files(folder)
    with pytest.raises(DataError, match=words):
        add_example(folder, "a", drawn_car(size)[0], np.full(size, value, np.uint8))
    assert files(folder) == before


def test_an_inverted_mask_is_not_added(folder):
    picture, mask = car(0)
    with pytest.raises(DataError, match="of its border and .* of it is the object"):
        add_example(folder, "a", picture, 255 - mask)


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("Dear")
    with pytest.raises(DataError, match="not a data set of these programs"):
        open_collection(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_folder_that_cannot_be_made_is_said_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written to: Not a directory"):
        open_collection(tmp_path / "file" / "set")


@pytest.mark.parametrize("table", ["no json\n", "[]\n", "7\n", '{"file_name": "images/a.png"}\n'])
def test_a_damaged_or_other_kind_of_data_set_is_refused(folder, table):
    (folder / "train" / "metadata.jsonl").write_text(table)
    with pytest.raises(DataError, match="name a new folder"):
        open_collection(folder)
    assert (folder / "train" / "metadata.jsonl").read_text() == table


def test_a_data_set_of_the_data_scripts_grows_on(tiny_data, tmp_path):
    shutil.copytree(tiny_data, tmp_path / "set")
    open_collection(tmp_path / "set")
    assert add_example(tmp_path / "set", "a", *car(20)) == 9
    assert len(open_data(str(tmp_path / "set"))["train"]) == 9


def test_the_zip_unpacks_to_a_data_set_that_a_model_is_trained_on(folder, tmp_path, monkeypatch):
    for seed in (0, 1):
        add_example(folder, "a", *car(seed))
    zip_collection(folder, tmp_path / "car-masks.zip")
    zipfile.ZipFile(tmp_path / "car-masks.zip").extractall(tmp_path / "unpacked")
    data = tmp_path / "unpacked" / "car-masks"
    assert {path.name for path in data.iterdir()} == {"README.md", "contact_sheet.png", "train"}
    assert_accepted(data, 2)
    options = {"data": data, "output": tmp_path / "model", "network": "unet", "steps": 2, "batch_size": 1}
    options |= {"crop": 32, "side": 32, "workers": 0, "processes": 1}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["train_segformer.py", *words, "--settings", "depth=2", "first_width=4"])
    assert train_segformer.main() == 0
    assert (tmp_path / "model" / "model.safetensors").is_file()
