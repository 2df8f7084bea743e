"""The laws of dealing out: what belongs together is found and stays together, in every program alike."""

import json

import numpy as np
import pytest
from made_up import car_mask, folders, import_folders, picture, rows
from PIL import Image

from carmask.data.splits.deal import Picture, deal_out
from carmask.data.splits.grouping import find_groups, group_by_pattern
from carmask.data.splits.look_alikes import perceptual_hash
from data_scripts import split

SHARES = (80, 10, 10)
SPLITS = ("train", "validation", "test")
SIZE = (40, 30)


def film(seed, frames, step=2):
    """Frames of a camera that moves along a made-up wall."""
    wall = picture(seed, (SIZE[0] + step * frames, SIZE[1]))
    noise = np.random.default_rng(seed).integers(0, 255, (8, wall.width // 4, 3), np.uint8)
    wall = Image.blend(wall, Image.fromarray(noise).resize(wall.size, Image.Resampling.BICUBIC), 0.7)
    return [wall.crop((step * start, 0, step * start + SIZE[0], SIZE[1])) for start in range(frames)]


def films(number, frames, template="film{}_{:04}"):
    return {
        template.format(one, index * 30): view for one in range(number) for index, view in enumerate(film(one, frames))
    }


def photos(number, template="IMG_{:04}", seed=1000):
    return {template.format(index): picture(seed + index) for index in range(number)}


def groups_of(pictures):
    """The names that share a group, as sets, and by what they were found."""
    found = find_groups(list(pictures), np.stack([perceptual_hash(one) for one in pictures.values()]))
    together = {}
    for name, group in zip(pictures, found.groups, strict=True):
        together.setdefault(group, set()).add(name)
    return {frozenset(names) for names in together.values()}, found.by


def saved(root, pictures):
    """Folders with these pictures and masks of them."""
    images, masks, out = folders(root, [])
    for name, one in pictures.items():
        one.save(images / f"{name}.png")
        car_mask().save(masks / f"{name}.png")
    return images, masks, out


def placed(out):
    """The split of each picture of a data set."""
    splits = [name for name in SPLITS if (out / name).exists()]
    return {row["file_name"]: name for name in splits for row in rows(out, name)}


@pytest.mark.parametrize("template", ["film{}_{:04}", "drive{}_000_{:06}_left8bit", "{}/frame-{}", "{}_{:03}.x"])
def test_frames_of_a_film_are_found_by_their_numbers_and_looks_and_are_one_group(template):
    pictures = films(4, 20, template)
    found, by = groups_of(pictures)
    names = list(pictures)
    assert found == {frozenset(names[start : start + 20]) for start in range(0, 80, 20)}
    assert by == "4 films of numbered names"


@pytest.mark.parametrize("seconds", [1, 30, 60])
def test_a_film_whose_frames_are_named_by_the_time_is_one_group(seconds):
    times = [
        f"cam_2024-01-01_{12 + t // 3600}-{t // 60 % 60:02}-{t % 60:02}" for t in range(0, 660 * seconds, seconds)
    ]
    pictures = dict(zip(times, film(0, 40 if seconds > 1 else 660), strict=False))
    assert groups_of(pictures)[0] == {frozenset(pictures)}


def test_photos_that_are_only_numbered_are_each_a_group_of_their_own():
    found, by = groups_of(photos(60))
    assert (len(found), by) == (60, "")


def test_photos_beside_films_stay_single():
    found, by = groups_of(films(3, 20) | photos(30))
    assert sorted(map(len, found)) == [1] * 30 + [20] * 3
    assert by == "3 films of numbered names"


def test_numbered_views_of_many_things_are_a_group_for_each_thing():
    views = {f"tree{thing}_{view}": picture(10 * thing + view) for thing in range(8) for view in range(3)}
    found, by = groups_of(views)
    assert found == {frozenset(f"tree{thing}_{view}" for view in range(3)) for thing in range(8)}
    assert by == "8 sets of numbered names"


def test_copies_that_a_tool_has_made_of_one_picture_share_its_group():
    copies = {
        f"{name}_jpg.rf.{seed}{index}e9": picture(seed)
        for index, name in enumerate("abcd")
        for seed in (index, 90 + index)
    }
    found, by = groups_of(copies)
    assert sorted(map(len, found)) == [2] * 4
    assert by == "copies of one picture"


def test_pictures_that_look_alike_share_a_group_also_through_one_between_them():
    pictures = photos(12, "{}")
    first = next(iter(pictures.values()))
    pictures |= {"light": first.point(lambda value: value // 2 + 60), "small": first.resize((20, 15))}
    found, by = groups_of(pictures)
    assert frozenset({"0", "light", "small"}) in found
    assert (len(found), by) == (12, "looks")


def test_before_one_ground_where_all_look_alike_looks_tell_nothing():
    ground = picture(5, (200, 150))
    rng = np.random.default_rng(0)
    pictures = {}
    for index in range(40):
        view = ground.copy()
        left, top = rng.integers(0, 100, 2).tolist()
        view.paste(tuple(rng.integers(0, 255, 3).tolist()), (left, top, left + 40, top + 40))
        pictures[f"{index}"] = view
    found, _ = groups_of(pictures)
    assert max(map(len, found)) < 10


@pytest.mark.parametrize(("shares", "number"), [(SHARES, 1), (SHARES, 2), ((70, 10, 20), 2), ((50, 50, 0), 1)])
def test_too_few_films_are_cut_into_stretches_with_a_gap_between(shares, number):
    frames = 100
    names = [f"film{one}_{index}" for one in range(number) for index in range(frames)]
    pictures = [Picture(name, name.split("_")[0], "films", 0.2) for name in reversed(names)]
    dealt = deal_out(pictures, shares)
    by_name = dict(zip(reversed(names), dealt.splits, strict=True))
    for one in range(number):
        order = [by_name[f"film{one}_{index}"] for index in range(frames)]
        runs = [name for name, before in zip(order, [""] + order, strict=False) if name != before]
        due = [name for name, share in zip(SPLITS, shares, strict=True) if share]
        assert runs == [step for name in due for step in (None, name)][1:]
        assert order.count(None) == 2 * (len(due) - 1)
        for name, share in zip(SPLITS, shares, strict=True):
            assert share - 2 <= order.count(name) <= share
    groups = {(group, place) for group, place in zip(dealt.groups, dealt.splits, strict=True) if place}
    assert len(groups) == len({group for group, _ in groups})


def test_a_film_that_is_nearly_all_there_is_is_cut_and_single_pictures_are_dealt_beside_it():
    pictures = [Picture(f"film_{index}", "film", "x", 0.2) for index in range(190)]
    pictures += [Picture(f"photo{index}", f"photo{index}", "x", 0.2) for index in range(10)]
    dealt = deal_out(pictures, SHARES)
    assert dealt.cut == ["film"]
    assert [12 <= dealt.splits.count(name) <= 25 for name in SPLITS[1:]] == [True, True]
    assert deal_out(pictures, SHARES, cut=False).cut == []


@pytest.mark.parametrize("films_of", [(60, 60, 80), (20, 30, 40, 110), (100, 5, 5, 5)])
def test_whole_films_are_never_cut_where_they_fill_the_splits(films_of):
    pictures = [
        Picture(f"{one}_{index}", str(one), "x", 0.2) for one, size in enumerate(films_of) for index in range(size)
    ]
    dealt = deal_out(pictures, SHARES)
    assert set(dealt.splits) == set(SPLITS)
    assert (dealt.cut, dealt.groups) == ([], [picture.group for picture in pictures])
    assert dealt.splits.count("train") == max(map(dealt.splits.count, SPLITS))


@pytest.mark.parametrize("pictures", [films(12, 10), films(1, 40), photos(40), films(4, 20) | photos(20)])
def test_an_import_and_a_new_split_deal_alike_and_say_by_what(tmp_path, capsys, pictures):
    images, masks, out = saved(tmp_path, pictures)
    assert import_folders(images, masks, out) == 0
    said = capsys.readouterr().err
    head = (out / "README.md").read_text().split("---")[1]
    assert ("grouped_by: " in head) == ("Grouped by" in said) != ("Nothing tells which belong together" in said)
    assert split.main([str(out), str(tmp_path / "again"), "--new-test"]) == 0
    if "cut" not in head:  # the stretches are groups, of which each split gets one
        assert placed(tmp_path / "again") == placed(out)
    assert (tmp_path / "again/README.md").read_text().split("---")[1] == head
    assert set(placed(out).values()) == set(placed(tmp_path / "again").values()) == set(SPLITS)


def test_a_film_that_folders_have_put_into_two_splits_is_found_and_told(tmp_path, capsys):
    pictures = films(5, 20)
    images, masks, out = saved(tmp_path, {})
    for index, (name, one) in enumerate(pictures.items()):
        place = "train" if index % 4 else "test"
        for root, picture_of in ((images, one), (masks, car_mask())):
            (root / place).mkdir(exist_ok=True)
            picture_of.save(root / place / f"{name}.png")
    assert import_folders(images, masks, out) == 0
    said = capsys.readouterr().err
    assert "Grouped by 5 films of numbered names: 5 groups" in said
    assert "Groups in more than one split, as the folders have them: 5" in said
    assert "though 5 of these groups are in more than one split" in (out / "README.md").read_text()
    assert split.main([str(out), str(tmp_path / "kept")]) == 1  # no film is left for train
    assert "--new-test" in capsys.readouterr().err
    assert split.main([str(out), str(tmp_path / "new"), "--new-test"]) == 0
    assert "more than one split" not in (tmp_path / "new/README.md").read_text()


def test_an_old_test_split_of_frames_dealt_singly_takes_the_rest_of_its_films_out_of_train(tmp_path, capsys):
    images, masks, out = saved(tmp_path, films(6, 20))
    assert import_folders(images, masks, out, "--group-pattern", "(.+)") == 0
    tested = {row["group"][:5] for row in rows(out, "test")}
    assert len(tested) == 5
    assert split.main([str(out), str(tmp_path / "new")]) == 0
    assert {row["file_name"].split("/")[1][:5] for row in rows(tmp_path / "new", "train")}.isdisjoint(tested)


def test_one_film_is_imported_in_stretches_and_nothing_that_is_left_out_stays_behind(tmp_path, capsys):
    images, masks, out = saved(tmp_path, films(1, 60))
    assert import_folders(images, masks, out) == 0
    assert "2 between are left out: the scores hold for no other film" in capsys.readouterr().err
    places = placed(out)
    assert list(places) == sorted(places)
    assert len(places) == len(list(out.rglob("masks/*.png"))) == len(list(out.rglob("images/*.png"))) == 58


@pytest.mark.parametrize("pattern", ["^(film)", "^(film[01])"])
def test_a_pattern_that_leaves_a_split_empty_is_refused_and_nothing_is_written(tmp_path, capsys, pattern):
    images, masks, out = saved(tmp_path, films(2, 12))
    assert import_folders(images, masks, out, "--group-pattern", pattern) == 1
    assert f"--group-pattern {pattern} makes" in capsys.readouterr().err
    assert not out.exists()
    assert import_folders(images, masks, out, "--group-pattern", pattern, "--split", "train") == 0
    assert split.main([str(out), str(tmp_path / "again"), "--group-pattern", pattern]) == 1
    assert f"--group-pattern {pattern} makes" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


def test_groups_that_a_person_wrote_are_never_cut(tmp_path, capsys):
    images, masks, out = saved(tmp_path, films(2, 20))
    assert import_folders(images, masks, out, "--split", "train", "--group-pattern", "^(film.)") == 0
    assert split.main([str(out), str(tmp_path / "again")]) == 1
    assert "makes 2 groups of 40 pictures, which leaves test empty" in capsys.readouterr().err
    assert split.main([str(out), str(tmp_path / "again"), "--shares", "50,50,0"]) == 0
    assert [len({row["group"] for row in rows(tmp_path / "again", name)}) for name in SPLITS[:2]] == [1, 1]


def test_a_pattern_that_makes_each_picture_a_group_deals_films_singly(tmp_path):
    images, masks, out = saved(tmp_path, films(3, 12))
    assert import_folders(images, masks, out, "--group-pattern", "(.+)") == 0
    lines = [json.loads(line) for name in SPLITS for line in (out / name / "metadata.jsonl").read_text().splitlines()]
    assert len({row["group"] for row in lines}) == 36


def test_fewer_than_ten_pictures_all_go_to_train(tmp_path):
    images, masks, out = saved(tmp_path, photos(9))
    assert import_folders(images, masks, out) == 0
    assert set(placed(out).values()) == {"train"}


def test_a_group_is_what_the_brackets_find():
    assert group_by_pattern(["a_1", "a_2", "b_1"], [None] * 3, "^([^_]+)_").groups == ["a", "a", "b"]


def test_each_picture_is_a_group_where_the_brackets_find_the_whole_name_whatever_its_folder(tmp_path):
    images, masks, out = folders(tmp_path, [])
    for place in ("train", "val"):
        for kind, draw, ending in ((images, picture, "jpg"), (masks, car_mask, "png")):
            (kind / place).mkdir()
            draw().save(kind / place / f"0.{ending}")
    assert import_folders(images, masks, out, "--group-pattern", "(.+)") == 0
    assert "more than one split" not in (out / "README.md").read_text()
    assert {row["group"] for place in ("train", "validation") for row in rows(out, place)} == {"train_0", "val_0"}


def test_a_group_stays_one_where_a_name_is_nothing_but_the_group():
    names, splits = ["train_p1", "val_p1-2", "val_p2"], ["train", "validation", "validation"]
    assert group_by_pattern(names, splits, r"^(p\d+)").groups == ["p1", "p1", "p2"]
