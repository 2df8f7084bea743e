import numpy as np
import pytest
from made_up import SIZE, folders, import_folders, rows
from PIL import Image

from data_scripts import cover

LARGE = (160, 120)
PERSON = (60, 30, 90, 100)  # left, top, right, bottom


def data_set(root, grey, box, size=LARGE):
    """A data set of one even picture, whose mask says car in a box."""
    images, masks, out = folders(root, ["one"])
    Image.new("L", size, grey).convert("RGB").save(images / "one.jpg")
    mask = Image.new("L", size)
    mask.paste(255, box)
    mask.save(masks / "one.png")
    assert import_folders(images, masks, out, "--split", "train") == 0
    return out


@pytest.fixture
def ground(tmp_path):
    """A grey picture, all of it car."""
    return data_set(tmp_path / "ground", 120, (0, 0, *LARGE))


@pytest.fixture
def people(tmp_path):
    return data_set(tmp_path / "people", 255, PERSON)


def covered(ground, people, out, *options):
    assert cover.main([str(ground), str(people), str(out), "--count", "6", *options]) == 0
    pictures = [Image.open(path).convert("L") for path in sorted((out / "train/images").iterdir())]
    masks = [Image.open(path) for path in sorted((out / "train/masks").iterdir())]
    return [np.asarray(one) for one in pictures], [np.asarray(one) for one in masks]


def test_what_covers_a_car_is_background_and_the_rest_stays_car(ground, people, tmp_path):
    for picture, mask in zip(*covered(ground, people, tmp_path / "x"), strict=True):
        assert set(np.unique(mask)) == {0, 255}
        bright = picture > 150  # light and shadow move; a person stays brighter than the ground
        assert (mask[bright] == 0).mean() > 0.9
        assert picture[mask == 0].mean() > picture[mask == 255].mean() + 20


def test_covered_pictures_come_from_the_seed_and_belong_to_train(ground, people, tmp_path):
    first, second = (covered(ground, people, tmp_path / name, "--seed", "3")[0] for name in ("x", "y"))
    assert all(map(np.array_equal, first, second))
    assert {row["source"] for row in rows(tmp_path / "x")} == {"covered"}
    assert sorted(path.name for path in (tmp_path / "x").iterdir() if path.is_dir()) == ["train"]


def test_pixels_that_hang_together_are_one_thing(tmp_path):
    mask = Image.new("L", LARGE, 128)
    boxes = [(5, 5, 15, 40), (50, 20, 70, 60), (100, 10, 101, 11)]
    for box in boxes:
        mask.paste(255, box)
    pieces = cover.pieces_of(mask)
    assert sorted(piece.getbbox() for piece in pieces) == boxes
    assert all(set(np.unique(piece)) == {0, 255} for piece in pieces)


def test_things_too_small_to_cut_out_are_refused_in_one_sentence(ground, tmp_path, capsys):
    small = data_set(tmp_path / "small", 255, (3, 3, 9, 9), SIZE)
    assert cover.main([str(ground), str(small), str(tmp_path / "x")]) == 1
    assert "marks nothing as high as 20 pixels" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_data_set_without_training_pictures_is_refused_in_one_sentence(people, tmp_path, capsys):
    images, masks, out = folders(tmp_path / "tests")
    assert import_folders(images, masks, out, "--split", "test") == 0
    assert cover.main([str(out), str(people), str(tmp_path / "x")]) == 1
    assert "no picture with a mask to cover" in capsys.readouterr().err
