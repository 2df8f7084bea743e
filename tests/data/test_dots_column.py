import json

import datasets
import numpy as np
import pytest
from made_up import CAR_BOX, SIZE, folders, import_folders, picture, rows
from PIL import Image

from data_scripts import build_car_dots, compose, from_coco, from_csv, merge

WIDTH, HEIGHT = SIZE


def table(root, *lines, names=("a", "b")):
    images, _, out = folders(root, names)
    (root / "points.csv").write_text("\n".join(lines) + "\n")
    return [str(root / "points.csv"), str(images), str(out)]


GOOD = ("file,nose_x,nose_y,ear_x,ear_y", "a.jpg,10,15,0,0", "b.jpg,,,40,30")


def test_a_row_becomes_fractions_of_the_picture_and_blank_becomes_null(tmp_path):
    assert from_csv.main(table(tmp_path, *GOOD)) == 0
    assert {row["group"]: row["dots"] for row in rows(tmp_path / "out")} == {
        "a": [[0.25, 0.5], [0.0, 0.0]],
        "b": [None, [1.0, 1.0]],
    }
    assert json.loads((tmp_path / "out/dot_names.json").read_text()) == ["nose", "ear"]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_separators_decimal_commas_and_names_without_ending_are_read(tmp_path, mark):
    lines = [line.replace(",", mark).replace(".jpg", "").replace("10", "10,5") for line in GOOD]
    assert from_csv.main(table(tmp_path, "\ufeff" + lines[0], "", *lines[1:])) == 0
    assert rows(tmp_path / "out")[0]["dots"][0] == [10.5 / WIDTH, 0.5]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a.jpg,10,,0,0", "line 2: nose has only one of x and y"),
        ("a.jpg,ten,15,0,0", "line 2: nose is at (ten, 15), which are no numbers"),
        ("a.jpg,nan,15,0,0", "no numbers"),
        ("a.jpg,10,15", "line 2: 3 cells where the header has 5"),
        ("a.jpg,41,15,0,0", "nose is at (41, 15), outside the picture of 40×30 pixels"),
        ("c.jpg,10,15,0,0", "line 2: missing partner: there is no picture c.jpg"),
        ("b.jpg,10,15,0,0", "line 3: b.jpg has a row already"),
    ],
)
def test_every_bad_row_is_listed_with_its_reason_and_nothing_is_written(tmp_path, capsys, line, reason):
    arguments = table(tmp_path, GOOD[0], line, GOOD[2])
    assert from_csv.main(arguments) == 1
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert from_csv.main([*arguments, "--skip-bad"]) == 0


def test_a_picture_without_a_row_is_listed(tmp_path, capsys):
    assert from_csv.main(table(tmp_path, *GOOD[:2])) == 1
    assert "b.jpg: missing partner: no row names it" in capsys.readouterr().err


@pytest.mark.parametrize(
    "header", ["file,nose_x", "file,nose_x,ear_y", "file,nose_x,nose_y,more", "file,x,y", "file", ""]
)
def test_a_header_that_names_no_pairs_is_refused_in_one_sentence(tmp_path, capsys, header):
    assert from_csv.main(table(tmp_path, header, "a.jpg,1,2")) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_picture_that_its_exif_turns_is_refused_as_the_points_may_be_turned_or_not(tmp_path, capsys):
    arguments = table(tmp_path, *GOOD)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().save(tmp_path / "images/a.jpg", exif=exif)
    assert from_csv.main(arguments) == 1
    assert "the points may be turned or not" in capsys.readouterr().err


def test_a_set_of_dots_alone_has_no_masks_and_opens_with_the_datasets_library(tmp_path):
    assert from_csv.main(table(tmp_path, *GOOD)) == 0
    assert not (tmp_path / "out/train/masks").exists()
    (row, _) = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "out"), cache_dir=str(tmp_path))["train"]
    assert set(row) == {"image", "source", "group", "dots"}
    assert row["dots"] == [[0.25, 0.5], [0.0, 0.0]]
    assert "| nose | 1 |" in (tmp_path / "out/README.md").read_text()


def coco(root, annotations, categories, names=("a",)):
    (root / "images").mkdir()
    for seed, name in enumerate(names):
        picture(seed).save(root / "images" / f"{name}.jpg")
    images = [{"id": i, "file_name": f"{n}.jpg", "width": WIDTH, "height": HEIGHT} for i, n in enumerate(names)]
    content = {"images": images, "categories": categories, "annotations": annotations}
    (root / "annotations.json").write_text(json.dumps(content))
    return [str(root / name) for name in ("annotations.json", "images", "out")]


def part(category, *boxes):
    outlines = [[left, top, right, top, right, bottom, left, bottom] for left, top, right, bottom in boxes]
    return {"image_id": 0, "category_id": category, "segmentation": outlines}


PARTS = [{"id": 0, "name": "wheel"}, {"id": 1, "name": "hood"}]


def test_a_name_that_repeats_gives_the_largest_pieces_from_left_to_right_and_null_for_the_rest(tmp_path):
    wheels = [part(0, (30, 20, 36, 26), (2, 20, 10, 28)), part(0, (20, 4, 22, 6))]
    arguments = coco(tmp_path, wheels, PARTS)
    assert from_coco.main([*arguments, "--dots", "hood,wheel,wheel"]) == 0
    two = [[0.15, 0.8], [33 / WIDTH, round(23 / HEIGHT, 6)]]
    assert rows(tmp_path / "out")[0]["dots"] == [None, *two]
    assert from_coco.main([*arguments, "--dots", ",".join(["wheel"] * 4), "--overwrite"]) == 0
    assert rows(tmp_path / "out")[0]["dots"] == [two[0], [21 / WIDTH, round(5 / HEIGHT, 6)], two[1], None]


def test_part_centres_need_no_car_and_then_write_no_masks(tmp_path):
    assert from_coco.main([*coco(tmp_path, [part(1, CAR_BOX)], PARTS), "--dots", "hood"]) == 0
    (row,) = rows(tmp_path / "out")
    assert row["dots"] == [[0.5, 0.6]]
    assert "mask_file_name" not in row


FACE = [{"id": 0, "name": "face", "keypoints": ["nose", "ear"]}, {"id": 1, "name": "hat"}]


def face(*triples, **more):
    return {"id": 5, "image_id": 0, "category_id": 0, "keypoints": [n for triple in triples for n in triple], **more}


def test_keypoints_of_the_largest_annotation_become_dots_and_visibility_0_is_null(tmp_path):
    faces = [face((1, 1, 2), (1, 1, 2), area=4), face((10, 15, 1), (0, 0, 0), area=9)]
    assert from_coco.main([*coco(tmp_path, faces, FACE), "--keypoints", "face"]) == 0
    assert rows(tmp_path / "out")[0]["dots"] == [[10.5 / WIDTH, round(15.5 / HEIGHT, 6)], None]
    assert json.loads((tmp_path / "out/dot_names.json").read_text()) == ["nose", "ear"]


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (face((10, 15, 2)), "not x, y and visibility of 2 names"),
        (face((10, 15, 2), (99, 0, 2)), "do not all lie in the picture"),
    ],
)
def test_broken_keypoints_are_a_bad_pair(tmp_path, capsys, annotation, words):
    assert from_coco.main([*coco(tmp_path, [annotation], FACE), "--keypoints", "face"]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(("category", "words"), [("hat", "has no keypoints"), ("cat", "knows face, hat")])
def test_a_category_without_keypoints_is_refused(tmp_path, capsys, category, words):
    assert from_coco.main([*coco(tmp_path, [], FACE), "--keypoints", category]) == 1
    assert words in capsys.readouterr().err


def test_dots_made_for_another_picture_size_are_refused(tmp_path, capsys):
    arguments = coco(tmp_path, [part(1, CAR_BOX)], PARTS)
    picture(size=(80, 60)).save(tmp_path / "images/a.jpg")
    assert from_coco.main([*arguments, "--dots", "hood"]) == 1
    assert "size mismatch: picture 80×60, annotation file 40×30" in capsys.readouterr().err


def test_the_contact_sheet_shows_the_dots(tmp_path):
    sheets = []
    for name, lines in (("with", GOOD), ("without", (GOOD[0], "a.jpg,,,,", "b.jpg,,,,"))):
        (tmp_path / name).mkdir()
        assert from_csv.main(table(tmp_path / name, *lines)) == 0
        sheets.append(np.asarray(Image.open(tmp_path / name / "out/contact_sheet.png")))
    assert (sheets[0] != sheets[1]).any()


def test_sets_of_dots_merge_without_masks_and_with_masked_ones_only_by_their_dots(tmp_path, capsys):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert from_csv.main([*table(tmp_path / name, *GOOD), "--source", name]) == 0
    assert merge.main([str(tmp_path / "all"), str(tmp_path / "one/out"), str(tmp_path / "two/out")]) == 0
    assert all(row["dots"] and "mask_file_name" not in row for row in rows(tmp_path / "all"))
    images, masks, out = folders(tmp_path / "masked")
    assert import_folders(images, masks, out) == 0
    assert merge.main([str(tmp_path / "mixed"), str(tmp_path / "one/out"), str(out)]) == 1
    assert "nothing joins them" in capsys.readouterr().err


def test_nothing_is_composed_of_pictures_without_masks(tmp_path, capsys):
    assert from_csv.main(table(tmp_path, *GOOD)) == 0
    assert compose.main([str(tmp_path / "out"), str(tmp_path / "x")]) == 1
    assert "nothing can be composed" in capsys.readouterr().err


def test_the_car_dots_keep_the_official_test_split_and_add_pictures_without_a_car_elsewhere(tmp_path):
    for long in ("trainingset", "testset"):
        folder = tmp_path / "data/car_parts" / long
        folder.mkdir(parents=True)
        coco(
            folder, [{**part(0, CAR_BOX), "image_id": i} for i in range(12)], PARTS, [f"{long}{i}" for i in range(12)]
        )
        (folder / "images").rename(folder / "JPEGImages")
    (tmp_path / "data/no_cars").mkdir()
    for seed in range(10):
        picture(seed).save(tmp_path / f"data/no_cars/{seed}.jpg")
    assert build_car_dots.main([str(tmp_path / "data"), str(tmp_path / "out"), "--dots", "wheel,wheel"]) == 0
    test = rows(tmp_path / "out", "test")
    assert len(test) == 12
    assert all(row["source"] == "car_parts" and row["dots"] == [[0.5, 0.6], None] for row in test)
    assert any(row["source"] == "no_cars" and row["dots"] == [None, None] for row in rows(tmp_path / "out"))
