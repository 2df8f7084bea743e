import json
import random
import shutil
from collections import Counter

import pytest
from conftest import write_data, write_dots
from made_up import huge_png, rows

from carmask.data.splits.deal import Group, deal
from data_scripts import merge, split

SHARES = (80, 10, 10)
SPLITS = ("train", "validation", "test")


def made_up_groups(number, largest=1, seed=0):
    rng = random.Random(seed)
    cars = (0.0, 0.03, 0.1, 0.3, 0.7)
    return {
        f"group{index}": Group(rng.choice("abc"), rng.choice(cars), rng.randint(1, largest)) for index in range(number)
    }


def run(data, out, *options):
    return split.main([str(data), str(out), *map(str, options)])


def table(out):
    """The split of each group; it fails if one is in two."""
    places = {}
    for name in SPLITS:
        for row in rows(out, name) if (out / name).exists() else []:
            assert places.setdefault(row["group"], name) == name
    return places


@pytest.fixture
def data(tmp_path):
    """A data set of 24 drawn pictures, all in train, in twelve groups of two."""
    write_data(tmp_path / "data", {"train": 24})
    lines = rows(tmp_path / "data")
    for index, row in enumerate(lines):
        row["group"] = f"car{index // 2}"
    (tmp_path / "data/train/metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path / "data"


def test_each_group_is_whole_in_one_split_and_every_picture_keeps_its_mask(data, tmp_path):
    assert run(data, tmp_path / "out") == 0
    assert set(table(tmp_path / "out").values()) == set(SPLITS)
    pairs = {}
    for folder, names in ((data, ["train"]), (tmp_path / "out", SPLITS)):
        everything = [(folder / name, row) for name in names for row in rows(folder, name)]
        assert len(everything) == 24
        pairs[folder] = {
            (place / row["file_name"]).read_bytes() + (place / row["mask_file_name"]).read_bytes()
            for place, row in everything
        }
    assert pairs[data] == pairs[tmp_path / "out"]


def test_the_split_is_the_same_on_every_machine():
    groups = {name: Group("photos", 0.3, 1) for name in "abcdefghij"}
    found = deal(groups, SHARES, seed=0)
    assert {name: place for name, place in found.items() if place != "train"} == {"j": "validation", "d": "test"}


def test_neither_the_order_of_the_rows_nor_their_old_splits_matter(data, tmp_path):
    run(data, tmp_path / "one")
    run(tmp_path / "one", tmp_path / "other", "--new-test")
    assert table(tmp_path / "one") == table(tmp_path / "other")
    groups = made_up_groups(200, largest=9)
    assert deal(groups, SHARES, 0) == deal(dict(reversed(groups.items())), SHARES, 0)


def test_another_seed_gives_another_split():
    groups = made_up_groups(200)
    assert deal(groups, SHARES, 0) != deal(groups, SHARES, 1)


@pytest.mark.parametrize("shares", [(80, 10, 10), (70, 30, 0), (0, 0, 100), (34, 33, 33)])
def test_each_split_has_its_share_of_every_source_and_size_of_car(shares):
    groups = made_up_groups(500)
    splits = deal(groups, shares, 0)
    totals = Counter((group.source, group.share) for group in groups.values())
    for name, share in zip(SPLITS, shares, strict=True):
        counts = Counter((groups[one].source, groups[one].share) for one, place in splits.items() if place == name)
        for stratum, total in totals.items():
            assert abs(counts[stratum] - total * share / 100) <= 1
        assert abs(counts.total() - len(groups) * share / 100) <= 4  # fifteen strata, whose roundings even out


def test_a_new_picture_moves_at_most_one_group_across_each_border():
    for seed in range(40):
        groups = made_up_groups(60, largest=6, seed=seed)
        before = deal(groups, SHARES, seed)
        after = deal(groups | {"new": Group("a", 0.3, 1)}, SHARES, seed)
        moved = [(before[name], after[name]) for name in groups if before[name] != after[name]]
        assert len({frozenset(pair) for pair in moved}) == len(moved) <= 2


def test_a_split_that_is_due_pictures_has_some_where_there_are_enough_groups():
    groups = {name: Group("photos", 0.3, 100) for name in "abc"}
    assert set(deal(groups, SHARES, 0).values()) == set(SPLITS)
    assert set(deal({"a": groups["a"]}, SHARES, 0).values()) == {"train"}


def test_a_test_split_stays_as_it_is_and_its_groups_are_nowhere_else(tiny_data, tmp_path, capsys):
    data = shutil.copytree(tiny_data, tmp_path / "data")
    lines = rows(data)
    lines[3]["group"] = "test0"
    (data / "train/metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert run(data, tmp_path / "out", "--shares", "50,50,0") == 0
    assert rows(tmp_path / "out", "test") == rows(data, "test")
    counts = Counter(table(tmp_path / "out").values())
    assert (counts["test"], counts["train"] + counts["validation"]) == (2, 9)
    assert "Pictures left out: 1" in capsys.readouterr().err


def test_with_new_test_the_old_test_pictures_are_dealt_out_too(tiny_data, tmp_path):
    assert run(tiny_data, tmp_path / "out", "--new-test", "--shares", "100,0,0") == 0
    assert Counter(table(tmp_path / "out").values()) == {"train": 12}


def test_a_pattern_makes_groups_of_the_names(data, tmp_path):
    assert run(data, tmp_path / "out", "--group-pattern", "^(.)") == 0
    assert set(table(tmp_path / "out")) == set("0123456789")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--group-pattern", "^(x)"], "does not fit the name"),
        (["--group-pattern", "^x"], "needs a group in round brackets"),
        (["--group-pattern", "()"], "does not fit the name"),
        (["--shares", "0,0,100"], "leave nothing for train and validation"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence_and_nothing_is_written(
    tiny_data, tmp_path, capsys, options, said
):
    assert run(tiny_data, tmp_path / "out", *options) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_data_set_itself_is_never_replaced(data, capsys):
    assert run(data, data, "--overwrite") == 1
    assert "give another name" in capsys.readouterr().err
    assert len(rows(data)) == 24


def test_a_mask_that_cannot_be_read_is_named(data, tmp_path, capsys):
    (data / "train/masks/3.png").write_bytes(b"no picture")
    assert run(data, tmp_path / "out") == 1
    assert "masks/3.png" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "said"), [("masks", "masks/3.png cannot be read"), ("images", "179 megapixels")])
def test_a_picture_or_mask_of_200_megapixels_is_one_sentence(data, tmp_path, capsys, kind, said):
    huge_png(data / f"train/{kind}/3.png")
    assert run(data, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("program", [run, lambda data, out: merge.main([str(out), str(data)])])
@pytest.mark.parametrize("change", ["twice", "empty"])
def test_a_row_that_stands_twice_and_an_empty_table_are_one_sentence_and_mended_they_are_read(
    tiny_data, tmp_path, capsys, change, program
):
    data = shutil.copytree(tiny_data, tmp_path / "data")
    path = data / "train/metadata.jsonl"
    text = path.read_text()
    path.write_text(text + text.splitlines()[0] if change == "twice" else "\n")
    assert program(data, tmp_path / "out") == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert ("twice: take one line out" if change == "twice" else "is empty: mend it, or delete the folder") in sentence
    if change == "twice":
        path.write_text(text)
    else:
        shutil.rmtree(data / "train")
    assert program(data, tmp_path / "out") == 0


@pytest.mark.parametrize("names", ["[", '{"nose": 1}', "7", '["nose", 7]'])
def test_a_damaged_list_of_dot_names_is_one_sentence(data, tmp_path, capsys, names):
    (data / "dot_names.json").write_text(names)
    assert run(data, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "dot_names.json is no list of names" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_dots_are_split_as_well(tmp_path):
    write_dots(tmp_path / "dots", {"train": 20})
    lines = rows(tmp_path / "dots")
    whole = [{**row, "source": "spots", "group": row["file_name"]} for row in lines]
    (tmp_path / "dots/train/metadata.jsonl").write_text("\n".join(map(json.dumps, whole)))
    assert run(tmp_path / "dots", tmp_path / "out") == 0
    dealt = {row["group"]: row["dots"] for name in SPLITS for row in rows(tmp_path / "out", name)}
    assert dealt == {row["file_name"]: row["dots"] for row in lines}
