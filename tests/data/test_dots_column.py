import json

import pytest
from made_up import CAR_BOX, SIZE, picture, rows

from data_scripts import build_car_dots, from_coco

WIDTH, HEIGHT = SIZE


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
