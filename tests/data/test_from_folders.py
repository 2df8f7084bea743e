import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from made_up import CAR_BOX, SIZE, car_mask, folders, import_folders, picture, rows, written_mask
from PIL import Image

from carmask.data.folder import staged_folder
from carmask.errors import DataError


def palette_mask(colours):
    mask = car_mask(1, "P")
    mask.putpalette([channel for colour in colours for channel in colour])
    return mask


def opaque_where_car():
    mask = Image.new("RGBA", SIZE, (0, 0, 0, 0))
    mask.paste((0, 0, 0, 255), CAR_BOX)
    return mask


def with_alpha():
    mask = car_mask().convert("RGBA")
    mask.putalpha(255)
    return mask


ENCODINGS = {
    "0 and 255": lambda: car_mask(255),
    "0 and 1": lambda: car_mask(1),
    "1 bit": lambda: car_mask(1, "1"),
    "palette": lambda: palette_mask([(0, 0, 0), (128, 0, 0)]),
    "palette of one colour": lambda: palette_mask([(0, 0, 0), (0, 0, 0)]),
    "colours": lambda: car_mask((200, 30, 30), "RGB"),
    "16 bit": lambda: Image.fromarray(np.asarray(car_mask()).astype(np.uint16) * 257),
    "with alpha": with_alpha,
    "only alpha": opaque_where_car,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_of_a_mask_becomes_the_same_mask(tmp_path, encoding):
    images, masks, out = folders(tmp_path, ["a"])
    ENCODINGS[encoding]().save(masks / "a.png")
    assert import_folders(images, masks, out) == 0
    assert np.array_equal(written_mask(out), np.asarray(car_mask()))


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (1, 255), (255, 255)])
def test_a_constant_mask_is_all_background_or_all_car(tmp_path, value, expected):
    images, masks, out = folders(tmp_path, ["a"])
    Image.new("L", SIZE, value).save(masks / "a.png")
    assert import_folders(images, masks, out) == 0
    assert set(np.unique(written_mask(out))) == {expected}


def test_pictures_and_masks_may_share_a_folder(tmp_path):
    images, _, out = folders(tmp_path, ["a"])
    car_mask().save(images / "a_mask.png")
    assert import_folders(images, images, out) == 0
    assert [row["file_name"] for row in rows(out)] == ["images/a.jpg"]


@pytest.mark.parametrize("inner", ["images", "masks"])
def test_one_of_the_two_folders_may_lie_in_the_other(tmp_path, inner):
    images, masks, out = folders(tmp_path)
    outer = masks if inner == "images" else images
    (tmp_path / inner).rename(outer / inner)
    assert import_folders(*(outer / inner if name == inner else outer for name in ("images", "masks")), out) == 0
    assert len(rows(out)) == 2


def test_greys_that_a_lossy_file_has_coloured_are_compared_with_the_threshold_by_their_brightness(tmp_path):
    images, masks, out = folders(tmp_path, ["a"])
    (masks / "a.png").unlink()
    car_mask((255, 250, 240), "RGB").save(masks / "a.webp", quality=90)
    assert import_folders(images, masks, out, "--threshold", "128") == 0
    assert np.array_equal(written_mask(out), np.asarray(car_mask()))


def test_the_word_none_means_no_car_in_any_picture(tmp_path):
    images, _, out = folders(tmp_path)
    assert import_folders(images, "none", out) == 0
    assert not written_mask(out).any()


def spoil(images, masks):
    """Makes one pair of each kind bad; returns the word that its reason must hold, by name."""
    picture().save(images / "alone.jpg")
    car_mask().save(masks / "widow.png")
    car_mask().resize((20, 15), Image.Resampling.NEAREST).save(masks / "small.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().save(images / "turned.jpg", exif=exif)
    exif[0x0112] = 3
    picture().save(images / "upside.jpg", exif=exif)
    Image.linear_gradient("L").resize(SIZE).save(masks / "grey.png")
    (masks / "lossy.png").unlink()
    car_mask().save(masks / "lossy.jpg")
    (images / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (masks / "torn.png").write_bytes((masks / "torn.png").read_bytes()[:60])
    picture().save(images / "twin.png")
    return {
        "alone": "missing partner",
        "widow": "missing partner",
        "small": "size mismatch",
        "turned": "EXIF-turned",
        "upside": "EXIF-turned",
        "grey": "more than two values",
        "lossy": "JPEG mask",
        "broken": "undecodable",
        "torn": "undecodable",
        "twin": "name clash",
    }


SPOILED = ["good", "small", "turned", "upside", "grey", "lossy", "broken", "torn", "twin"]


def test_every_bad_pair_is_named_with_its_reason_and_nothing_is_written(tmp_path, capsys):
    images, masks, out = folders(tmp_path, SPOILED)
    reasons = spoil(images, masks)
    assert import_folders(images, masks, out) == 1
    lines = capsys.readouterr().err.splitlines()
    for name, reason in reasons.items():
        assert any(f"/{name}." in line and reason in line for line in lines), name
    assert not any("/good." in line for line in lines)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "masks"]


def test_skip_bad_leaves_them_out_and_says_how_many(tmp_path, capsys):
    images, masks, out = folders(tmp_path, SPOILED)
    spoil(images, masks)
    assert import_folders(images, masks, out, "--skip-bad") == 0
    assert [row["file_name"] for row in rows(out)] == ["images/good.jpg"]
    assert "12 bad left out" in capsys.readouterr().err  # the twins are two pictures and a mask without its own


def test_a_mask_drawn_on_the_upright_picture_fits(tmp_path):
    images, masks, out = folders(tmp_path, ["a"])
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(size=SIZE[::-1]).save(images / "a.jpg", exif=exif)
    assert import_folders(images, masks, out) == 0
    with Image.open(out / "train/images/a.jpg") as upright:
        assert upright.size == SIZE
        assert not upright.getexif()


def test_lossless_pictures_stay_lossless(tmp_path):
    images, masks, out = folders(tmp_path, ["a"])
    (images / "a.jpg").unlink()
    picture().save(images / "a.png", pnginfo=None)
    assert import_folders(images, masks, out) == 0
    assert np.array_equal(np.asarray(Image.open(out / "train/images/a.png")), np.asarray(picture()))


def test_an_empty_folder_is_refused_in_one_sentence(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert import_folders(tmp_path / "empty", "none", tmp_path / "out") == 1
    assert capsys.readouterr().err == f"{tmp_path / 'empty'} holds no pictures.\n"


def test_an_existing_data_set_is_replaced_only_when_told(tmp_path):
    images, masks, out = folders(tmp_path)
    assert import_folders(images, masks, out) == 0
    (images / "b.jpg").unlink()
    assert import_folders(images, "none", out) == 1
    assert len(rows(out)) == 2
    assert import_folders(images, "none", out, "--overwrite") == 0
    assert len(rows(out)) == 1


def test_overwrite_never_touches_a_folder_that_is_no_data_set(tmp_path):
    images, masks, _ = folders(tmp_path)
    assert import_folders(images, masks, tmp_path, "--overwrite") == 1
    assert (images / "a.jpg").exists()


def test_a_killed_run_leaves_the_old_set_and_the_next_run_clears_up(tmp_path):
    images, masks, out = folders(tmp_path)
    import_folders(images, masks, out)
    child = os.fork()
    if not child:
        try:
            with staged_folder(out, overwrite=True) as folder:
                (folder / "half").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert len(rows(out)) == 2
    assert len(list(tmp_path.glob(".out.*"))) == 1
    with staged_folder(out, overwrite=True) as folder:
        (folder / "new").touch()
    assert [path.name for path in out.iterdir()] == ["new"]
    assert not list(tmp_path.glob(".out.*"))


def test_a_set_moved_aside_by_a_killed_run_comes_back(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".out.{dead.pid}.old").mkdir()
    with pytest.raises(DataError, match="exists already"), staged_folder(tmp_path / "out", overwrite=False):
        pass
    assert (tmp_path / "out").is_dir()


def test_a_failing_run_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), staged_folder(tmp_path / "out", overwrite=False):
        raise KeyError
    assert not os.listdir(tmp_path)


def test_a_group_is_never_cut_in_two_and_each_split_has_its_share(tmp_path):
    images, masks, out = folders(tmp_path, [f"drive{drive}_{frame}" for drive in range(10) for frame in range(3)])
    assert import_folders(images, masks, out, "--group-pattern", "^([^_]+)_") == 0
    groups = {split: {row["group"] for row in rows(out, split)} for split in ("train", "validation", "test")}
    assert [len(groups[split]) for split in groups] == [8, 1, 1]
    assert len(set.union(*groups.values())) == 10


def test_datasets_opens_the_folder_without_code_of_ours(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    images, masks, out = folders(tmp_path, [f"p{index}" for index in range(10)])
    import_folders(images, masks, out, "--source", "made-up")
    opened = datasets.load_dataset("imagefolder", data_dir=str(out), cache_dir=str(tmp_path / "cache"))
    assert {split: len(part) for split, part in opened.items()} == {"train": 8, "validation": 1, "test": 1}
    row = opened["train"][0]
    assert row["image"].size == row["mask"].size == SIZE
    assert (row["mask"].mode, row["source"]) == ("L", "made-up")
    assert (out / "contact_sheet.png").exists()
    assert "| made-up | train | 8 | 8 | 20.0 % | 0.0 % |" in (out / "README.md").read_text()


def test_masks_may_end_on_anything_that_is_said_and_if_none_fits_one_sentence_says_how(tmp_path, capsys):
    images, masks, out = folders(tmp_path)
    for path in list(masks.iterdir()):
        path.rename(path.with_stem(f"{path.stem}_of_{len(path.stem) * 'x'}y"))
    (masks / "a_of_xy.png").rename(masks / "of_a_xz.png")
    assert import_folders(images, masks, out) == 1
    assert "--mask-name 'mask_{name}'" in capsys.readouterr().err
    assert not out.exists()
    assert import_folders(images, masks, out, "--mask-name", "of_{name}_xz", "--skip-bad") == 0
    assert written_mask(out).any()


LISTS = {
    "labelmap.txt": "# label:color_rgb:parts:actions\ncar:200,30,30::\nroad:0,0,255::\n",
    "label_colors.txt": "200 30 30\tCar\n0 0 255\tRoad\n",
    "class_dict.csv": "name,r,g,b\nRoad,0,0,255\nCar,200,30,30\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_colours_says_which_of_them_is_the_object(tmp_path, capsys, name):
    images, masks, out = folders(tmp_path)
    for path in masks.iterdir():
        mask = car_mask((200, 30, 30), "RGB")
        mask.paste((0, 0, 255), (0, 0, 5, 5))
        mask.save(path)
    assert import_folders(images, masks, out) == 1
    (masks / name).write_text(LISTS[name])
    assert import_folders(images, masks, out) == 0
    assert np.array_equal(written_mask(out), np.asarray(car_mask()))
    assert import_folders(images, masks, out, "--object", "thing=car,lorry", "--overwrite") == 0
    assert "has no lorry; it has" in capsys.readouterr().err


def test_a_list_of_colours_holds_for_grey_masks_as_well(tmp_path):
    images, masks, out = folders(tmp_path)
    (masks / "labelmap.txt").write_text("background:255,255,255::\ncar:0,0,0::\n")
    assert import_folders(images, masks, out) == 0
    assert np.array_equal(written_mask(out), 255 - np.asarray(car_mask()))


def test_a_name_beside_numbers_means_nothing_where_no_list_explains_it(tmp_path, capsys):
    images, masks, out = folders(tmp_path)
    assert import_folders(images, masks, out, "--object", "thing=255,person") == 1
    assert "No list beside the masks says which of their values is person" in capsys.readouterr().err
