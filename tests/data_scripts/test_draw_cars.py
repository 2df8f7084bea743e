import json
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image

from data_scripts.draw_cars import main
from data_scripts.drawn_cars.car_painting import DOT_NAMES
from data_scripts.drawn_cars.scene import draw_picture

SIZE = (96, 144)
SMALL = ["--size", "144x96"]


@pytest.fixture(scope="module")
def series():
    return [draw_picture(7, index, SIZE) for index in range(10)]  # number 7 has no car


@pytest.fixture(scope="module")
def ten_pictures(tmp_path_factory):
    out = tmp_path_factory.mktemp("sets") / "ten"
    assert write(out, "--count", "10", "--seed", "7") == 0
    return out


def write(out, *options):
    return main([str(out), *SMALL, *options])


def all_bytes(folder: Path):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows_of(folder: Path):
    return [json.loads(line) for path in sorted(folder.glob("*/metadata.jsonl")) for line in path.open()]


def test_equal_seed_and_index_give_equal_pictures(series):
    again = draw_picture(7, 3, SIZE)
    assert again.picture.tobytes() == series[3].picture.tobytes()
    assert (again.mask == series[3].mask).all()
    assert again.dots == series[3].dots


def test_other_seeds_and_indexes_give_other_pictures(series):
    pictures = {drawn.picture.tobytes() for drawn in [*series, draw_picture(8, 3, SIZE)]}
    assert len(pictures) == len(series) + 1


def test_masks_have_the_size_of_the_picture_and_only_0_and_255(series):
    for drawn in series:
        assert drawn.picture.mode == "RGB"
        assert drawn.picture.size == SIZE[::-1]
        assert drawn.mask.shape == SIZE
        assert drawn.mask.dtype == np.uint8
        assert set(np.unique(drawn.mask)) <= {0, 255}


def test_dots_lie_on_the_car(series):
    seen = 0
    for drawn in series:
        assert len(drawn.dots) == len(DOT_NAMES)
        for x, y in filter(None, drawn.dots):
            assert drawn.mask[int(y * SIZE[0]), int(x * SIZE[1])] == 255
            seen += 1
    assert seen > len(series)


def test_a_picture_without_a_car_has_no_dots(series):
    assert [index for index, drawn in enumerate(series) if not drawn.mask.any()] == [7]
    assert series[7].dots == [None] * len(DOT_NAMES)


def test_one_car_at_most_leaves_out_the_car_behind_and_nothing_else(tmp_path):
    fewer = [draw_picture(7, index, SIZE, most_cars=1) for index in range(30)]
    pairs = list(zip([draw_picture(7, index, SIZE) for index in range(30)], fewer, strict=True))
    changed = [two for two, one in pairs if two.picture.tobytes() != one.picture.tobytes()]
    assert 2 <= len(changed) <= 10
    assert sum(one.mask.any() for one in fewer) == sum(two.mask.any() for two, _ in pairs)
    assert write(tmp_path / "one", "--count", "10", "--seed", "7", "--cars", "1") == 0


def test_truth_does_not_depend_on_the_size_of_the_picture():
    small, large = (draw_picture(7, 5, (side, side * 3 // 2)) for side in (100, 200))
    reduced = np.asarray(Image.fromarray(large.mask).reduce(2)) >= 128
    agree = reduced == (small.mask == 255)
    assert agree.mean() > 0.98


def test_the_same_command_writes_the_same_bytes_and_a_larger_count_extends_a_smaller_one(tmp_path, ten_pictures):
    for name in ("one", "two"):
        write(tmp_path / name, "--count", "2", "--seed", "7")
    one, two, ten = all_bytes(tmp_path / "one"), all_bytes(tmp_path / "two"), all_bytes(ten_pictures)
    assert one == two
    examples = {path: content for path, content in one.items() if path.parent.name in ("images", "masks")}
    assert len(examples) == 4
    assert examples.items() <= ten.items()


def test_the_data_set_has_the_common_layout(ten_pictures):
    rows = rows_of(ten_pictures)
    lines = {path.parent.name: len(path.read_text().splitlines()) for path in ten_pictures.glob("*/metadata.jsonl")}
    assert lines == {"train": 8, "validation": 1, "test": 1}
    assert len({row["group"] for row in rows}) == 10
    assert {row["source"] for row in rows} == {"drawn"}
    assert json.loads((ten_pictures / "dot_names.json").read_text()) == list(DOT_NAMES)
    assert all(len(row["dots"]) == len(DOT_NAMES) for row in rows)
    assert {"README.md", "contact_sheet.png"} <= {path.name for path in ten_pictures.iterdir()}


def test_an_existing_data_set_is_refused_and_untouched_without_overwrite(tmp_path, capsys):
    out = tmp_path / "drawn"
    write(out, "--count", "1")
    before = all_bytes(out)
    assert write(out, "--count", "2") == 1
    assert "--overwrite" in capsys.readouterr().err
    assert all_bytes(out) == before
    assert write(out, "--count", "2", "--overwrite") == 0
    assert len(rows_of(out)) == 2


@pytest.mark.parametrize("options", [["--count", "0"], ["--seed", "-1"], ["--size", "10x10"], ["--size", "big"]])
def test_bad_numbers_are_refused_in_one_sentence_and_nothing_is_written(tmp_path, capsys, options):
    with pytest.raises(SystemExit) as refusal:
        main([str(tmp_path / "drawn"), *options])
    assert refusal.value.code == 2
    assert "must be" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("seed", [3, 4])  # whose validation picture of ten shows no dot
def test_a_small_set_opens_with_load_dataset(tmp_path, seed):
    assert main([str(tmp_path / "drawn"), "--count", "10", "--seed", str(seed), "--size", "96x64"]) == 0
    splits = load_dataset("imagefolder", data_dir=str(tmp_path / "drawn"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(split) for name, split in splits.items()} == {"train": 8, "validation": 1, "test": 1}
