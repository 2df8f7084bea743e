"""The laws of names: a mask finds its picture whatever its tool has made of them, and two that fit are asked about."""

import os
import unicodedata

import pytest
from made_up import car_mask, picture

from carmask.data.pairing import match_names
from carmask.errors import DataError


def write(root, pictures, masks):
    for folder, names, draw in ((root / "images", pictures, picture), (root / "masks", masks, car_mask)):
        folder.mkdir()
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            draw().save(folder / name)
    return root / "images", root / "masks"


def names(matches, images, masks):
    return {
        match.picture.relative_to(images).as_posix(): [mask.relative_to(masks).as_posix() for mask in match.masks]
        for match in matches
    }


@pytest.mark.parametrize(
    ("pairs", "template"),
    [
        ({"a.jpg": ["a.png"]}, None),
        ({"a.jpg": ["A.PNG"]}, None),
        ({unicodedata.normalize("NFD", "ä.jpg"): [unicodedata.normalize("NFC", "ä.png")]}, None),
        ({"a.jpg": ["a.jpg.png"]}, None),
        ({"a.jpg": ["a_mask.gif"], "a_b.jpg": ["a_b_mask.gif"]}, None),
        ({"a.jpg": ["mask_a.png"]}, None),
        ({"image_1.jpg": ["mask_1.png"], "image_2.jpg": ["mask_2.png"]}, None),
        ({"img-10.jpg": ["lbl-10.png"], "img-11.jpg": ["lbl-11.png"]}, None),
        ({"a.jpg": ["a_train_id.png"]}, None),
        ({"x/a_leftImg8bit.png": ["x/a_gtFine_labelTrainIds.png"]}, None),
        ({"val/a.jpg": ["validation/a.png"], "train/a.jpg": ["train/a.png"]}, None),
        ({"a.jpg": ["a_0.png", "a_1.png"], "b.jpg": ["b_0.png"]}, None),
        ({"a.jpg": ["a/0.png", "a/1.png"], "b.jpg": ["b/masks/x.png"]}, None),
        ({"a.b.jpg": ["a.b.png"], "a.c.jpg": ["a.c.png"]}, None),
        ({"frame_001.jpg": ["mask_1.png"], "frame_010.jpg": ["mask_10.png"]}, None),
        ({"train/a.jpg": ["a.png"], "val/b.jpg": ["b.png"]}, None),
        ({"train_images/a.jpg": ["train_masks/a.png"]}, None),
        ({"x1/images/x1.jpg": ["x1/masks/0.png", "x1/masks/1.png"]}, None),
        ({"a.jpg": ["the a of it.png"], "b.jpg": ["the b of it.png"]}, "the {name} of it"),
        ({"a.jpg": ["a/m.png"], "b.jpg": ["b/m.png"]}, "{name}/m.png"),
        ({"1.jpg": ["0001_hair.png"], "2.jpg": ["0002_hair.png"]}, "{name}_hair"),
        ({"a.jpg": ["a (0).png", "a (1).png"], "b.jpg": ["b (0).png"]}, None),
        ({"a.jpg": ["a_car0.png", "a_car1.png"], "b.jpg": ["b_car0.png"]}, "{name}_car"),
        ({"image_0.jpg": ["image_0/0.png", "image_0/1.png"], "image_1.jpg": ["image_1/0.png"]}, None),
        ({"10k/train/a.jpg": ["train/a_train_id.png"], "10k/val/b.jpg": ["val/b_train_id.png"]}, "{name}_train_id"),
        ({"cam0/1.jpg": ["cam0_1.png"], "cam1/1.jpg": ["cam1_1.png"]}, None),
    ],
)
def test_a_mask_finds_its_picture(tmp_path, pairs, template):
    images, masks = write(tmp_path, pairs, [mask for own in pairs.values() for mask in own])
    matches, bad = match_names(images, masks, template)
    assert names(matches, images, masks) == pairs
    assert not bad


@pytest.mark.parametrize("kinds", [("_labelIds", "_labelTrainIds"), ("_mask", "_seg")])
def test_two_kinds_of_masks_are_asked_about_and_the_answer_works(tmp_path, kinds):
    images, masks = write(tmp_path, ["a.jpg", "b.jpg"], [f"{name}{kind}.png" for name in "ab" for kind in kinds])
    with pytest.raises(DataError, match=f"--mask-name '{{name}}{kinds[1]}'"):
        match_names(images, masks)
    matches, bad = match_names(images, masks, f"{{name}}{kinds[1]}")
    assert names(matches, images, masks) == {f"{name}.jpg": [f"{name}{kinds[1]}.png"] for name in "ab"}
    assert not bad


@pytest.mark.parametrize(
    ("pictures", "masks", "words"),
    [
        (["a.jpg", "b.jpg"], ["of x.png", "of y.png"], "--mask-name 'mask_{name}'"),
        (["a.jpg", "b.jpg"], ["car/a.png", "car/b.png"], "masks/car"),
        (["a.jpg"], ["task-1-annotation-2-by-1-tag-car-0.png"], "from_tool.py"),
        (["img_10.jpg", "img_11.jpg"], ["mask_20.png", "mask_21.png"], "--mask-name"),
        (["cam2_0.jpg", "cam2_1.jpg"], ["cam1_0.png", "cam1_1.png"], "--mask-name"),
        (["a.jpg", "b.jpg"], ["a/car.png", "a/tree.png", "b/car.png", "b/tree.png"], "--mask-name '{name}/car'"),
        (["a.jpg", "b.jpg"], ["a/car.png", "a/tree.png", "b/car.png"], "--mask-name '{name}/car'"),
        (["a.jpg", "b.jpg"], ["a_car.png", "a_tree.png", "b_car.png", "b_tree.png"], "--mask-name '{name}_car'"),
        (["1.jpg", "2.jpg"], ["001_car.png", "002_car.png", "001_no.png"], "--mask-name '{name}_car'"),
        (["a.jpg", "b.jpg"], ["a_car0.png", "a_car1.png", "b_car0.png"], "--mask-name '{name}_car'"),
        (
            ["a_1_leftImg8bit.png", "a_2_leftImg8bit.png"],
            ["a_001_gtFine_x.png", "a_002_gtFine_x.png"],
            "{name}_gtFine_x",
        ),
        (["um_1.jpg", "uu_2.jpg"], ["um_road_1.png", "uu_road_2.png"], "call masks as their pictures are"),
        ([], ["a.png"], "holds no pictures"),
    ],
)
def test_where_nothing_fits_one_sentence_says_what_to_do(tmp_path, pictures, masks, words):
    with pytest.raises(DataError) as error:
        match_names(*write(tmp_path, pictures, masks))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_other_views_of_a_picture_are_left_aside_and_counted(tmp_path, capsys):
    views = ["a_gtFine_labelIds.png", "a_gtFine_color.png", "a_gtFine_instanceIds.png"]
    images, masks = write(tmp_path, ["a_leftImg8bit.png"], views)
    matches, bad = match_names(images, masks)
    assert names(matches, images, masks) == {"a_leftImg8bit.png": views[:1]}
    assert not bad
    assert "2 other files" in capsys.readouterr().err


def test_in_one_folder_names_or_suffixes_tell_pictures_from_masks(tmp_path):
    for folder, mask in (("a", "x_mask.jpg"), ("b", "x.png")):
        images, _ = write(tmp_path / folder, ["x.jpg"], []) if (tmp_path / folder).mkdir() is None else ()
        car_mask().save(images / mask)
        matches, _ = match_names(images, images)
        assert names(matches, images, images) == {"x.jpg": [mask]}


@pytest.mark.parametrize("masks", [["a_mask.png", "a_mask2.png"], ["a.png", "a_2.png"]])
def test_a_mask_with_a_second_part_beside_it_is_bad_and_not_half_a_mask(tmp_path, masks):
    others = [name.replace("a", "b", 1) for name in masks]
    single = masks[0].replace("a", "c", 1)
    images, folder = write(tmp_path, ["a.jpg", "b.jpg", "c.jpg"], [*masks, *others, single])
    matches, bad = match_names(images, folder)
    assert [match.picture.name for match in matches] == ["c.jpg"]
    assert [(path.name, reason.partition(":")[0]) for path, reason in bad] == [
        (f"{one}.jpg", "undecided") for one in "ab"
    ]


def test_a_mask_whose_picture_is_missing_is_no_second_part(tmp_path):
    images, folder = write(tmp_path, ["car.jpg", "van.jpg"], ["car.png", "car_1.png", "van.png"])
    matches, bad = match_names(images, folder)
    assert [match.picture.name for match in matches] == ["car.jpg", "van.jpg"]
    assert [path.name for path, _ in bad] == ["car_1.png"]


def test_in_folders_of_a_picture_each_the_words_tell_it_from_its_mask(tmp_path):
    images, _ = write(tmp_path, [f"{one}/{name}.png" for one in "ab" for name in ("img", "label", "label_viz")], [])
    matches, bad = match_names(images, images)
    assert names(matches, images, images) == {f"{one}/img.png": [f"{one}/label.png"] for one in "ab"}
    assert not bad


def test_of_one_folder_with_folders_of_pictures_and_masks_both_are_found(tmp_path):
    images, _ = write(tmp_path, ["train/images/a.png", "val/images/a.png"], [])
    for split in ("train", "val"):
        (images / split / "masks").mkdir()
        car_mask().save(images / split / "masks/a.png")
    matches, bad = match_names(images, images)
    assert names(matches, images, images) == {
        f"{split}/images/a.png": [f"{split}/masks/a.png"] for split in ("train", "val")
    }
    assert not bad


def test_links_are_followed_inside_the_folder_and_named_where_they_lead_out(tmp_path):
    images, masks = write(tmp_path, ["z/a.jpg"], ["z/a.png"])
    for folder in (images, masks):
        os.symlink(folder / "z", folder / "y")
        (tmp_path / f"elsewhere-{folder.name}").mkdir()
        os.symlink(tmp_path / f"elsewhere-{folder.name}", folder / "out")
    matches, bad = match_names(images, masks)
    assert len(matches) == 1
    assert {path.name for path, _ in bad} == {"out"}
    assert all("leads out of the folder" in reason for _, reason in bad)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_of_one_folder_whose_names_tell_no_mask_from_a_picture_it_says_so(tmp_path, ending):
    images, _ = write(tmp_path, [f"a.{ending}", f"b.{ending}"], [])
    with pytest.raises(DataError, match="Nothing tells which files of .* are pictures and which are masks"):
        match_names(images, images)


def test_folders_with_numbers_behind_the_split_are_two(tmp_path):
    pairs = {f"{folder}/0.jpg": [f"{folder}/0.png"] for folder in ("train1", "train2", "test_01", "test_02")}
    images, masks = write(tmp_path, pairs, [mask for own in pairs.values() for mask in own])
    matches, bad = match_names(images, masks)
    assert names(matches, images, masks) == pairs
    assert not bad


def test_folders_of_one_split_meet_whatever_their_size_is_called(tmp_path):
    pairs = {"train_512/a.jpg": ["train/a.png"]}
    images, masks = write(tmp_path, pairs, [mask for own in pairs.values() for mask in own])
    assert names(match_names(images, masks)[0], images, masks) == pairs
