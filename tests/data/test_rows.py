import json
import shutil

import numpy as np
import pytest
from case_folders import cut_out, saved
from conftest import drawn_car, write_data, write_dots
from datasets import Dataset, DatasetDict, load_dataset
from made_up import huge_png
from PIL import Image

from carmask.data.dots_column import open_dots
from carmask.data.rows import check_split, grey_rows, read_row, unlabelled_rows
from carmask.data.sources import open_data
from carmask.errors import DataError
from carmask.files.picture_folders import find_pictures
from carmask.tasks.mask_task import IGNORED, MaskTask
from carmask.training.examples import Examples
from carmask.training.setup import open_task


def test_a_folder_and_the_same_set_saved_to_disk_give_the_same_rows(tiny_data, tmp_path):
    load_dataset("imagefolder", data_dir=str(tiny_data)).save_to_disk(tmp_path / "saved")
    folder, saved = (open_data(str(data))["train"] for data in (tiny_data, tmp_path / "saved"))
    for one, other in zip(folder, saved, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(read_row(one), read_row(other), strict=True))


@pytest.mark.parametrize(("task", "write"), [("mask", write_data), ("dots", write_dots)])
def test_a_test_split_alone_can_be_measured_and_is_nothing_to_learn_from(task, write, tmp_path):
    write(tmp_path / "set", {"test": 3})
    splits = open_data(str(tmp_path / "set")) if task == "mask" else open_dots(str(tmp_path / "set"))[0]
    assert {name: len(split) for name, split in splits.items()} == {"test": 3}
    with pytest.raises(DataError, match="has no split train; it has test"):
        open_task(str(tmp_path / "set"), task, streaming=False, settings={})


def test_a_row_gives_grey_and_mask_as_they_were_drawn(tiny_data):
    picture, mask = drawn_car(seed=500)  # the first of train
    grey, truth = read_row(open_data(str(tiny_data))["train"][0])
    assert np.array_equal(grey, np.array(picture.convert("L")))
    assert np.array_equal(truth, mask)


def test_cut_outs_in_place_of_masks_are_said_aloud(tmp_path, capsys):
    saved(tmp_path, cut_out)
    open_data(str(tmp_path / "set"))
    assert "The masks are cut-outs" in capsys.readouterr().err


def test_missing_validation_is_set_aside_from_train_by_group(tmp_path):
    pictures = [drawn_car(seed=seed)[0] for seed in range(12)]
    groups = [f"group {seed // 3}" for seed in range(12)]
    masks = [Image.fromarray(drawn_car(seed=seed)[1]) for seed in range(12)]
    train = Dataset.from_dict({"image": pictures, "mask": masks, "group": groups})
    DatasetDict({"train": train}).save_to_disk(tmp_path / "set")
    splits = open_data(str(tmp_path / "set"))
    assert len(splits["train"]) + len(splits["validation"]) == 12
    assert len(splits["validation"]) > 0
    assert not set(splits["train"]["group"]) & set(splits["validation"]["group"])


def test_missing_files_are_named_before_anything_is_decoded(tiny_data, tmp_path):
    shutil.copytree(tiny_data, tmp_path / "set")
    (tmp_path / "set/train/masks/3.png").unlink()
    with pytest.raises(DataError, match=r"1 files that are missing or outside .*, the first is masks/3\.png"):
        open_data(str(tmp_path / "set"))


@pytest.mark.parametrize("data", ["no/such/folder", "./nothing", "nobody/no-such-data"])
def test_data_that_is_not_there_is_refused_in_one_sentence(data):
    with pytest.raises(DataError, match=r"^[^\n]+\.$"):
        open_data(data)


def test_a_folder_without_metadata_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(DataError, match=r"no train/metadata\.jsonl"):
        open_data(str(tmp_path))


def test_data_without_masks_is_refused_in_one_sentence(tiny_data, tmp_path):
    shutil.copytree(tiny_data, tmp_path / "set")
    for table in tmp_path.glob("set/*/metadata.jsonl"):
        rows = [json.loads(line) for line in table.read_text().splitlines()]
        table.write_text("\n".join(json.dumps({"file_name": row["file_name"]}) for row in rows))
    with pytest.raises(DataError, match=r"no masks in a column mask"):
        open_data(str(tmp_path / "set"))


def test_a_mask_of_another_size_or_with_other_values_is_refused(tiny_data):
    row = open_data(str(tiny_data))["train"][0]
    with pytest.raises(DataError, match="size"):
        read_row({**row, "mask": row["mask"].resize((7, 7))})
    with pytest.raises(DataError, match="values 77"):
        read_row({**row, "mask": Image.fromarray(np.full((64, 96), 77, dtype=np.uint8))})


def test_rows_beyond_the_memory_limit_are_the_same_but_decoded_again(tiny_data, monkeypatch):
    split = open_data(str(tiny_data))["train"]
    kept = grey_rows(split, longest=500)
    monkeypatch.setattr("carmask.data.rows.CACHE_BYTES", 0)
    decoded = grey_rows(split, longest=500)
    assert len(kept.kept) == 8
    assert not decoded.kept
    assert all(np.array_equal(kept[k][part], decoded[k][part]) for k in range(8) for part in (0, 1))


def test_pictures_larger_than_crops_can_show_are_kept_smaller(tiny_data):
    grey, mask = grey_rows(open_data(str(tiny_data))["train"], longest=48)[0]
    assert grey.shape == mask.shape == (32, 48)
    assert set(np.unique(mask)) <= {0, 255}


def test_a_row_that_cannot_be_used_is_named(tiny_data, tmp_path):
    shutil.copytree(tiny_data, tmp_path / "set")
    (tmp_path / "set/train/images/3.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"Row 3 \(3\.png\)"):
        grey_rows(open_data(str(tmp_path / "set"))["train"], longest=100)


@pytest.mark.parametrize("line", ["{", "[1]", '"word"'])
def test_a_broken_metadata_line_is_said_in_one_sentence(tiny_data, tmp_path, line):
    shutil.copytree(tiny_data, tmp_path / "set")
    with (tmp_path / "set/train/metadata.jsonl").open("a") as table:
        table.write(line + "\n")
    with pytest.raises(DataError, match="no list of rows"):
        open_data(str(tmp_path / "set"))


def test_a_split_without_a_single_car_is_refused(tmp_path):
    empty = Image.new("L", (40, 30))
    train = Dataset.from_dict({"image": [empty.convert("RGB")] * 3, "mask": [empty] * 3})
    DatasetDict({"train": train, "validation": train}).save_to_disk(tmp_path / "set")
    splits = open_data(str(tmp_path / "set"))
    with pytest.raises(DataError, match="shows the object"):
        grey_rows(splits["train"], longest=100)
    with pytest.raises(DataError, match="shows the object"):
        check_split(splits["validation"])


def test_splits_may_be_saved_each_in_its_folder_and_be_empty(tmp_path):
    pictures, masks = zip(*(drawn_car(seed=seed) for seed in range(4)), strict=True)
    rows = Dataset.from_dict({"image": list(pictures), "mask": list(map(Image.fromarray, masks))})
    one, none = rows.select([0]), rows.select([])
    DatasetDict({"train": rows, "validation": one, "test": none}).save_to_disk(tmp_path / "together")
    rows.save_to_disk(tmp_path / "each" / "train")
    one.save_to_disk(tmp_path / "each" / "val")
    for name in ("together", "each"):
        splits = open_data(str(tmp_path / name))
        assert {split: len(part) for split, part in splits.items()} == {"train": 4, "validation": 1}


def test_a_folder_that_training_wrote_is_no_saved_data_set(tmp_path):
    (tmp_path / "checkpoint-20").mkdir()
    (tmp_path / "checkpoint-20" / "state.json").write_text("{}")
    with pytest.raises(DataError, match="no train/metadata.jsonl"):
        open_data(str(tmp_path))


def test_one_saved_split_is_train_and_gives_its_validation(tmp_path):
    pictures, masks = zip(*(drawn_car(seed=seed) for seed in range(12)), strict=True)
    masks = map(Image.fromarray, masks)
    Dataset.from_dict({"image": list(pictures), "mask": list(masks)}).save_to_disk(tmp_path / "set")
    assert {name: len(split) for name, split in open_data(str(tmp_path / "set")).items()} == {
        "train": 10,
        "validation": 2,
    }


def test_unlabelled_pictures_beyond_the_memory_limit_are_the_same_but_decoded_again(tiny_data, monkeypatch):
    kept = unlabelled_rows(find_pictures(tiny_data / "train/images"), 48)
    monkeypatch.setattr("carmask.data.rows.CACHE_BYTES", 0)
    decoded = unlabelled_rows(find_pictures(tiny_data / "train/images"), 48)
    assert (len(kept.kept), len(decoded.kept)) == (8, 0)
    assert all(np.array_equal(kept[k][part], decoded[k][part]) for k in range(8) for part in (0, 1))


def test_an_unlabelled_picture_is_judged_nowhere_in_any_crop(tmp_path):
    drawn_car()[0].save(tmp_path / "a.png")
    rows = unlabelled_rows(find_pictures(tmp_path), 48)
    assert max(rows[0][0].shape) == 48
    crops = Examples(rows, MaskTask(), 32, 0, range(8))
    assert all((crops[number]["target"] == IGNORED).all() for number in range(8))


def test_an_unreadable_unlabelled_picture_is_named(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="bad.png"):
        unlabelled_rows(find_pictures(tmp_path), 48)


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_picture_or_mask_of_200_megapixels_is_named(tiny_data, tmp_path, kind):
    shutil.copytree(tiny_data, tmp_path / "set")
    huge_png(tmp_path / f"set/train/{kind}/3.png")
    with pytest.raises(DataError, match=r"Row 3 \(3\.png\) of the split train cannot be used: Image size"):
        check_split(open_data(str(tmp_path / "set"))["train"])
