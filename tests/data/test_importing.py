import json
import shutil

import numpy as np
import pytest
from made_up import CAR_BOX, SIZE, car_mask, folders, import_folders, picture, rows, written_mask
from PIL import Image

from data_scripts import build_mixture, compose, from_coco, from_label_maps, merge, outlines


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
    assert from_label_maps.main([*map(str, (images, labels, out)), "--car", "8", "--not-judged", "11"]) == 0
    expected = np.array(car_mask())
    expected[:5, :5] = 128
    assert np.array_equal(written_mask(out), expected)


def test_car_above_takes_all_numbered_parts(tmp_path):
    images, labels, out = folders(tmp_path, ["a"])
    parts = car_mask(1)
    parts.paste(4, (12, 14, 16, 18))
    parts.save(labels / "a.png")
    assert from_label_maps.main([*map(str, (images, labels, out)), "--car-above", "0"]) == 0
    assert np.array_equal(written_mask(out), np.asarray(car_mask()))


def test_cityscapes_names_in_nested_folders_find_their_partner(tmp_path):
    for kind in ("images", "labels"):
        (tmp_path / kind / "aachen").mkdir(parents=True)
    picture().save(tmp_path / "images/aachen/aachen_000000_000019_leftImg8bit.png")
    label_map().save(tmp_path / "labels/aachen/aachen_000000_000019_gtFine_labelIds.png")
    picture().save(tmp_path / "labels/aachen/aachen_000000_000019_gtFine_color.png")
    arguments = [str(tmp_path / name) for name in ("images", "labels", "out")]
    assert from_label_maps.main([*arguments, "--car", "8"]) == 0
    assert rows(tmp_path / "out")[0]["file_name"] == "images/aachen_aachen_000000_000019_leftImg8bit.png"


def test_a_label_map_in_colours_or_jpeg_is_bad(tmp_path, capsys):
    images, labels, out = folders(tmp_path)
    picture().save(labels / "a.png")
    (labels / "b.png").unlink()
    label_map().save(labels / "b.jpg")
    assert from_label_maps.main([*map(str, (images, labels, out)), "--car", "8"]) == 1
    errors = capsys.readouterr().err
    assert "indices are needed" in errors
    assert "JPEG mask" in errors


def test_a_set_without_any_car_pixel_says_so(tmp_path, capsys):
    images, masks, out = folders(tmp_path)
    assert from_label_maps.main([*map(str, (images, masks, out)), "--car", "9"]) == 0
    assert "No mask has a single car pixel" in capsys.readouterr().err


def box(left, top, right, bottom):
    return [left, top, right, top, right, bottom, left, bottom]


def coco(root, annotations, categories=("car", "bus"), names=("a",)):
    (root / "images").mkdir()
    for seed, name in enumerate(names):
        picture(seed).save(root / "images" / f"{name}.jpg")
    content = {
        "images": [
            {"id": i, "file_name": f"{n}.jpg", "width": SIZE[0], "height": SIZE[1]} for i, n in enumerate(names)
        ],
        "categories": [{"id": index, "name": name} for index, name in enumerate(categories)],
        "annotations": [{"image_id": 0, "iscrowd": 0, **annotation} for annotation in annotations],
    }
    (root / "annotations.json").write_text(json.dumps(content))
    return [str(root / name) for name in ("annotations.json", "images", "out")]


def test_a_polygon_fills_the_pixels_whose_centres_it_holds(tmp_path):
    arguments = coco(tmp_path, [{"category_id": 0, "segmentation": [box(*CAR_BOX)]}])
    assert from_coco.main(arguments) == 0
    assert np.array_equal(written_mask(tmp_path / "out"), np.asarray(car_mask()))


def test_run_lengths_are_read_column_by_column(tmp_path):
    by_column = (np.asarray(car_mask()) > 0).T.ravel()
    borders = np.flatnonzero(np.diff(by_column, prepend=False))
    counts = np.diff([0, *borders, by_column.size]).tolist()
    runs = {"size": [SIZE[1], SIZE[0]], "counts": counts}
    assert from_coco.main(coco(tmp_path, [{"category_id": 0, "segmentation": runs}])) == 0
    assert np.array_equal(written_mask(tmp_path / "out"), np.asarray(car_mask()))


def test_compressed_run_lengths_are_those_of_the_coco_tools():
    assert outlines.unpack_counts("61X13mN000`0") == [6, 1, 40, 4, 5, 4, 5, 4, 21]


def test_crowds_and_named_categories_are_not_judged_but_a_car_before_them_is(tmp_path):
    crowd = {"category_id": 0, "segmentation": [box(0, 0, 8, 8)], "iscrowd": 1}
    bus = {"category_id": 1, "segmentation": [box(20, 0, 40, 30)]}
    arguments = coco(tmp_path, [{"category_id": 0, "segmentation": [box(*CAR_BOX)]}, crowd, bus])
    assert from_coco.main([*arguments, "--not-judged", "bus"]) == 0
    expected = np.zeros(SIZE[::-1], np.uint8)
    expected[:8, :8] = expected[:, 20:] = 128
    expected[np.asarray(car_mask()) > 0] = 255
    assert np.array_equal(written_mask(tmp_path / "out"), expected)


def test_an_unknown_category_is_refused_with_the_known_ones(tmp_path, capsys):
    assert from_coco.main([*coco(tmp_path, []), "--car", "cat"]) == 1
    assert "There is no category cat; the file knows car, bus." in capsys.readouterr().err


def test_a_broken_segmentation_is_a_bad_pair(tmp_path, capsys):
    runs = {"size": [SIZE[1], SIZE[0]], "counts": [5, 5]}
    assert from_coco.main(coco(tmp_path, [{"id": 7, "category_id": 0, "segmentation": runs}])) == 1
    assert "annotation 7 has a broken segmentation" in capsys.readouterr().err


def test_pictures_without_the_category_are_background_unless_unwanted(tmp_path):
    arguments = coco(tmp_path, [{"category_id": 0, "segmentation": [box(*CAR_BOX)]}], names=("a", "b"))
    assert from_coco.main(arguments) == 0
    assert not written_mask(tmp_path / "out", "b").any()
    assert from_coco.main([*arguments, "--only-with-car", "--overwrite"]) == 0
    assert [row["file_name"] for row in rows(tmp_path / "out")] == ["images/a.jpg"]


def test_parts_are_car_and_the_wide_hull_around_them_is_not_judged(tmp_path):
    parts = [{"category_id": 0, "segmentation": [box(8, 16, 12, 20)]}]
    parts += [{"category_id": 1, "segmentation": [box(24, 16, 28, 20)]}]
    arguments = coco(tmp_path, parts, categories=("left_wheel", "right_wheel", "mirror"))
    options = ["--parts-of-one-car", "--margin", "0.1", "--dots", "right_wheel,mirror,left_wheel"]
    assert from_coco.main([*arguments, *options]) == 0
    mask = written_mask(tmp_path / "out")
    assert (mask[16:20, 8:12] == 255).all()
    assert (mask[14:22, 13:23] == 128).all()
    assert (mask == 0).any(axis=1).all()
    assert rows(tmp_path / "out")[0]["dots"] == [[0.65, 0.6], None, [0.25, 0.6]]
    assert json.loads((tmp_path / "out/dot_names.json").read_text()) == ["right_wheel", "mirror", "left_wheel"]


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
