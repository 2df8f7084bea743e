import shutil
import sys
from io import BytesIO, TextIOWrapper

import numpy as np
import pytest
from made_up import CAR_BOX, SIZE, car_mask, folders, import_folders, picture, rows, written_mask
from made_up_coco import box, coco
from PIL import Image

from data_scripts import build_mixture, compose, from_coco, from_folders, merge


def label_map(mode="L"):
    labels = Image.new("L" if mode == "I;16" else mode, SIZE, 3)
    labels.paste(8, CAR_BOX)
    labels.paste(11, (0, 0, 5, 5))
    if mode == "P":
        labels.putpalette([7, 7, 7] * 256)
    return Image.fromarray(np.asarray(labels).astype(np.uint16)) if mode == "I;16" else labels


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_label_maps_are_read_by_index(tmp_path, mode):
    images, labels, out = folders(tmp_path, ["a"])
    label_map(mode).save(labels / "a.png")
    assert from_folders.main([*map(str, (images, labels, out)), "--object", "8", "--not-judged", "11"]) == 0
    expected = np.array(car_mask())
    expected[:5, :5] = 128
    assert np.array_equal(written_mask(out), expected)


def test_car_above_takes_all_numbered_parts(tmp_path):
    images, labels, out = folders(tmp_path, ["a"])
    parts = car_mask(1)
    parts.paste(4, (12, 14, 16, 18))
    parts.save(labels / "a.png")
    assert from_folders.main([*map(str, (images, labels, out)), "--object-above", "0"]) == 0
    assert np.array_equal(written_mask(out), np.asarray(car_mask()))


def test_a_label_map_in_colours_or_jpeg_is_bad(tmp_path, capsys):
    images, labels, out = folders(tmp_path)
    picture().save(labels / "a.png")
    assert from_folders.main([*map(str, (images, labels, out)), "--object", "8"]) == 1
    assert "with --object-colour, not by a number" in capsys.readouterr().err
    label_map().save(labels / "a.png")
    (labels / "b.png").unlink()
    label_map().save(labels / "b.jpg")
    assert from_folders.main([*map(str, (images, labels, out)), "--object", "8"]) == 1
    assert "JPEG mask" in capsys.readouterr().err


def test_a_set_without_any_car_pixel_says_so(tmp_path, capsys):
    images, masks, out = folders(tmp_path)
    assert from_folders.main([*map(str, (images, masks, out)), "--object", "9"]) == 1
    assert "No mask has 9; they have 0 and 255" in capsys.readouterr().err
    for path in masks.iterdir():
        Image.new("L", SIZE).save(path)
    assert from_folders.main([*map(str, (images, masks, out))]) == 0
    assert "No mask has a single pixel of the object" in capsys.readouterr().err


def test_merged_sets_keep_all_pictures_apart(tmp_path):
    sets = []
    for name in ("one", "two"):
        images, masks, out = folders(tmp_path / name)
        import_folders(images, masks, out, "--source", "drives")
        sets.append(str(out))
    assert merge.main([str(tmp_path / "all"), *sets]) == 0
    merged = rows(tmp_path / "all")
    assert len({row["file_name"] for row in merged}) == 4
    assert {row["group"] for row in merged} == {"drives_a", "drives_b"}
    assert all((tmp_path / "all/train" / row["mask_file_name"]).exists() for row in merged)


@pytest.mark.parametrize(("second", "kept"), [("car", True), ("bus", False)])
def test_dots_survive_a_merge_only_if_all_sets_have_the_same(tmp_path, second, kept):
    sets = []
    for folder, dots in (("one", "car"), ("two", second)):
        (tmp_path / folder).mkdir()
        annotations = [{"category_id": 0, "segmentation": [box(*CAR_BOX)]}]
        from_coco.main([*coco(tmp_path / folder, annotations), "--source", folder, "--dots", dots])
        sets.append(str(tmp_path / folder / "out"))
    assert merge.main([str(tmp_path / "all"), *sets]) == 0
    assert (tmp_path / "all/dot_names.json").exists() == kept
    assert all(("dots" in row) == kept for row in rows(tmp_path / "all"))


def test_a_damaged_list_of_dot_names_stops_a_merge_in_one_sentence(tiny_data, tmp_path, capsys):
    shutil.copytree(tiny_data, tmp_path / "one")
    (tmp_path / "one/dot_names.json").write_text('["nose"')
    assert merge.main([str(tmp_path / "all"), str(tmp_path / "one"), str(tiny_data)]) == 1
    assert "one/dot_names.json is no list of names" in capsys.readouterr().err
    assert not (tmp_path / "all").exists()


def mixed_set(root):
    images, masks, out = folders(root, ["car", "ground"])
    Image.new("L", SIZE).save(masks / "ground.png")
    assert import_folders(images, masks, out, "--split", "train") == 0
    return out


def test_composed_pictures_come_from_the_seed_and_belong_to_train(tmp_path):
    data_set = mixed_set(tmp_path)
    for name in ("x", "y"):
        assert compose.main([str(data_set), str(tmp_path / name), "--count", "4", "--seed", "3"]) == 0
    files = [sorted(path for path in (tmp_path / name).rglob("*.*") if "images" in path.parts) for name in ("x", "y")]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    assert not (tmp_path / "x/test").exists()
    masks = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "x/train/masks").iterdir())]
    assert all(set(np.unique(mask)) <= {0, 255} for mask in masks)
    assert any(mask.any() for mask in masks)


def test_a_composed_picture_differs_from_its_ground_where_the_mask_says_car(tmp_path):
    data_set = mixed_set(tmp_path)
    compose.main([str(data_set), str(tmp_path / "x"), "--count", "6"])
    ground = np.asarray(Image.open(data_set / "train/images/ground.jpg").convert("L"), int)
    for path in sorted((tmp_path / "x/train/images").iterdir()):
        mask = np.asarray(Image.open(tmp_path / "x/train/masks" / f"{path.stem}.png")) > 0
        change = np.abs(np.asarray(Image.open(path).convert("L"), int) - ground)
        assert not mask.any() or change[mask].mean() > change[~mask].mean()


def test_composing_without_a_background_is_refused(tmp_path, capsys):
    images, masks, out = folders(tmp_path)
    import_folders(images, masks, out)
    assert compose.main([str(out), str(tmp_path / "x")]) == 1
    assert "no picture without the object" in capsys.readouterr().err


def real_data(root):
    """Makes up the folder of real data with a few pictures of each kind."""
    for split in ("train", "val", "test"):
        folders(root / "camvid" / split, [f"drive_{split}"])
        (root / "camvid" / split / "masks").rename(root / "camvid" / f"{split}annot")
        (root / "camvid" / split / "images").rename(root / "camvid" / "images")
        (root / "camvid" / split).rmdir()
        (root / "camvid" / "images").rename(root / "camvid" / split)
        labels = label_map()
        labels.paste(9, (30, 4, 36, 28))
        labels.save(root / "camvid" / f"{split}annot" / f"drive_{split}.png")
    for split, long in (("train", "trainingset"), ("test", "testset")):
        images, masks, _ = folders(root / "intelecai" / split)
        masks.rename(images.with_name("labels"))
        (root / "car_parts" / long).mkdir(parents=True)
        coco(root / "car_parts" / long, [{"category_id": 0, "segmentation": [box(*CAR_BOX)]}], ("door",))
        (root / "car_parts" / long / "images").rename(root / "car_parts" / long / "JPEGImages")
    for long in ("train2017", "val2017"):
        (root / "coco_tiny" / "annotations").mkdir(parents=True, exist_ok=True)
        coco(root / "coco_tiny", [], ("car", "bus", "truck", *build_mixture.EVERYDAY_THINGS.split(",")))
        (root / "coco_tiny/images").rename(root / "coco_tiny" / long)
        (root / "coco_tiny/annotations.json").rename(root / f"coco_tiny/annotations/instances_{long}.json")
    images, _, _ = folders(root / "plain")
    images.rename(root / "no_cars")
    return root


def test_the_mixture_keeps_published_splits_and_adds_composed_pictures_to_train_only(tmp_path):
    data = real_data(tmp_path / "data")
    arguments = [str(data), str(tmp_path / "out"), "--drawn", "3", "--composed", "2", "--covered", "2"]
    assert build_mixture.main(arguments) == 0
    sources = {split: [row["source"] for row in rows(tmp_path / "out", split)] for split in ("train", "test")}
    real = {"camvid", "intelecai", "car_parts", "coco_tiny", "no_cars"}
    assert set(sources["train"]) == real | {"composed", "covered", "drawn", "flat", "plain"}
    assert sources["test"] == ["camvid", "intelecai", "intelecai", "car_parts"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]


def test_a_name_that_no_table_can_hold_is_refused(tmp_path, monkeypatch):
    images, masks, out = folders(tmp_path)
    for place, ending in ((images, "jpg"), (masks, "png")):
        (place / f"a.{ending}").rename(place / f"M\udce4rz.{ending}")
    said = BytesIO()
    monkeypatch.setattr(sys, "stderr", TextIOWrapper(said, errors="backslashreplace", write_through=True))
    assert from_folders.main([*map(str, (images, masks, out))]) == 1
    assert b"rename the file" in said.getvalue()
    assert from_folders.main([*map(str, (images, masks, out)), "--skip-bad"]) == 0
    assert [row["group"] for row in rows(out)] == ["b"]


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_no_picture_is_written_that_is_a_larger_file_than_we_open(tmp_path, monkeypatch, ending):
    images, masks, out = folders(tmp_path, ["a"])
    picture(size=(300, 200)).save((images / "a.jpg").with_suffix(f".{ending}"))
    car_mask().resize((300, 200), Image.Resampling.NEAREST).save(masks / "a.png")
    if ending == "png":
        (images / "a.jpg").unlink()
    written = {quality: BytesIO() for quality in (95, 85, 70)}
    for quality, file in written.items():
        picture(size=(300, 200)).save(file, "JPEG", quality=quality)
    most = len(written[85].getvalue()) + 500
    monkeypatch.setattr("carmask.data.folder.MAX_FILE_BYTES", most)
    assert from_folders.main([*map(str, (images, masks, out))]) == 0
    assert [row["file_name"] for row in rows(out)] == ["images/a.jpg"]
    assert (out / "train/images/a.jpg").stat().st_size <= most


def test_a_link_that_leads_out_is_said_where_pictures_have_no_masks(tmp_path, capsys):
    images, _, out = folders(tmp_path / "here")
    (tmp_path / "more").mkdir()
    picture().save(tmp_path / "more/c.jpg")
    (images / "more").symlink_to(tmp_path / "more")
    assert from_folders.main([str(images), "none", str(out)]) == 0
    assert f"1 links in {images} lead out of it, such as {images}/more" in capsys.readouterr().err
    assert len(rows(out)) == 2
