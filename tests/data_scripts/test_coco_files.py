import copy
import json
import random
import shutil

import pytest
from made_up import CAR_BOX, SIZE, picture, rows
from made_up_coco import CAR, HEIGHT, WIDTH, box, car_runs, changed, coco, is_the_car, refused, with_points

from data_scripts import from_coco


@pytest.mark.parametrize("told", [(str(WIDTH), HEIGHT), (float(WIDTH), float(HEIGHT)), (None, None), ()])
def test_the_size_may_be_a_text_or_a_float_or_missing(tmp_path, told):
    def change(content):
        image = content["images"][0]
        del image["width"], image["height"]
        image.update(zip(("width", "height"), told, strict=False))

    assert from_coco.main(changed(coco(tmp_path, [CAR, car_runs()]), change)) == 0
    assert is_the_car(tmp_path)


@pytest.mark.parametrize("told", [(HEIGHT, WIDTH), (2 * WIDTH, 2 * HEIGHT), (10**9, 10**9), (-1, []), ("x", True)])
def test_annotations_for_another_size_are_refused(tmp_path, capsys, told):
    def change(content):
        content["images"][0].update(width=told[0], height=told[1])

    assert from_coco.main(changed(coco(tmp_path, [CAR]), change)) == 1
    assert "size mismatch: picture 40×30, annotation file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "names",
    [
        {"coco_url": "http://images.cocodataset.org/train2017/a.jpg"},
        {"file_name": "gone.jpg", "path": "/datasets/a.jpg"},
        {"file_name": "https://example.org/a.jpg?X-Amz=1"},
        {"file_name": "http://localhost:8080/data/upload/1/1a2b3c4d-a.jpg"},
        {"file_name": "images\\1a2b3c4d-a.jpg"},
    ],
)
def test_a_picture_is_found_by_each_of_its_names(tmp_path, names):
    def change(content):
        del content["images"][0]["file_name"]
        content["images"][0].update(names)

    assert from_coco.main(changed(coco(tmp_path, [CAR]), change)) == 0
    assert is_the_car(tmp_path)


@pytest.mark.parametrize("written", [1, "1", 1.0])
def test_ids_are_compared_as_text(tmp_path, written):
    def change(content):
        content["images"][0]["id"] = content["categories"][0]["id"] = 1
        content["categories"][1]["id"] = 1.5
        content["annotations"][0].update(image_id=written, category_id=written)

    assert from_coco.main(changed(coco(tmp_path, [CAR]), change)) == 0
    assert is_the_car(tmp_path)


def test_an_id_is_compared_whole(tmp_path, capsys):
    arguments = coco(tmp_path, [{**CAR, "image_id": 0.5}, {**CAR, "id": 7, "image_id": 10**30}])
    assert refused(arguments, capsys, "a picture id", "2, such as annotation number 1 with 0.5")


def test_a_picture_with_an_annotation_of_an_unknown_category_is_left_out(tmp_path, capsys):
    arguments = coco(tmp_path, [CAR, {**CAR, "image_id": 1, "category_id": 9}], names=("a", "b"))
    assert refused(arguments, capsys, "a category id", "number 2 with 9", "--skip-bad")
    assert from_coco.main([*arguments, "--skip-bad"]) == 0
    assert [row["file_name"] for row in rows(tmp_path / "out")] == ["images/a.jpg"]


def test_a_picture_that_is_listed_twice_in_the_same_words_is_one(tmp_path):
    arguments = changed(coco(tmp_path, [CAR]), lambda content: content["images"].append(content["images"][0]))
    assert from_coco.main(arguments) == 0
    assert is_the_car(tmp_path)


def test_a_file_of_labels_behind_a_link_that_leads_out_is_not_passed_over(tmp_path, capsys):
    (labels, images, out) = coco(tmp_path, [CAR])
    (tmp_path / "images/valid.json").symlink_to(labels)
    assert refused([images, images, out], capsys, "valid.json is a link that leads out")


@pytest.mark.parametrize(("key", "words"), [("images", ("0", "a.jpg", "b.jpg")), ("categories", ("0", "car", "bus"))])
def test_an_id_that_stands_for_two_is_refused_with_both_names(tmp_path, capsys, key, words):
    def change(content):
        content[key][1]["id"] = "0"

    assert refused(changed(coco(tmp_path, [CAR], names=("a", "b")), change), capsys, "id 0 stands for both", *words)


def test_annotations_may_have_one_id(tmp_path):
    assert from_coco.main(coco(tmp_path, [{**CAR, "id": 1}, {**CAR, "id": 1}])) == 0


@pytest.mark.parametrize(
    "file_name", ["images\\a.jpg", "/elsewhere/a.jpg", "C:\\me\\a.JPG", "../../a.jpeg", "%61.jpg", "a"]
)
def test_the_end_of_a_file_name_finds_the_picture(tmp_path, file_name):
    def change(content):
        content["images"][0]["file_name"] = file_name

    assert from_coco.main(changed(coco(tmp_path, [CAR]), change)) == 0
    assert is_the_car(tmp_path)


def test_no_file_name_leads_out_of_the_folder(tmp_path, capsys):
    picture().save(tmp_path / "secret.jpg")

    def change(content):
        content["images"][0]["file_name"] = "../secret.jpg"

    assert refused(changed(coco(tmp_path, [CAR]), change), capsys, "looked for ../secret.jpg first")


def test_a_picture_that_is_listed_twice_is_refused(tmp_path, capsys):
    def change(content):
        content["images"][1]["file_name"] = "images/a.jpg"

    arguments = changed(coco(tmp_path, [CAR], names=("a", "b", "c")), change)
    assert from_coco.main(arguments) == 1
    assert "named twice: the file lists it as a.jpg and as images/a.jpg" in capsys.readouterr().err
    assert from_coco.main([*arguments, "--skip-bad"]) == 0
    assert [row["file_name"] for row in rows(tmp_path / "out")] == ["images/c.jpg"]


def test_where_nothing_matches_one_sentence_says_what_was_looked_for(tmp_path, capsys):
    def change(content):
        for image in content["images"]:
            image["file_name"] = "photo" + image["file_name"]

    arguments = changed(coco(tmp_path, [CAR], names=("a", "b", "c")), change)
    assert refused(arguments, capsys, "images", "photoa.jpg")


def test_pictures_that_are_not_listed_are_left_aside_and_counted(tmp_path, capsys):
    arguments = coco(tmp_path, [CAR])
    for name in ("x", "y"):
        picture().save(tmp_path / f"images/{name}.jpg")
    assert from_coco.main(arguments) == 0
    assert "not listed: 2, such as x.jpg" in capsys.readouterr().err
    assert len(rows(tmp_path / "out")) == 1


def whole_export(root, places):
    """An export with one COCO file for each split; all pictures are called a.jpg."""
    for number, (annotations, pictures) in enumerate(places):
        (root / f"made{number}").mkdir()
        coco(root / f"made{number}", [CAR])
        for made, place in (("annotations.json", annotations), ("images/a.jpg", f"{pictures}/a.jpg")):
            (root / "export" / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(root / f"made{number}" / made, root / "export" / place)
    return [str(root / name) for name in ("export", "export", "out")]


ROBOFLOW = [(f"{split}/_annotations.coco.json", split) for split in ("train", "valid", "test")]
OFFICIAL = [(f"annotations/instances_{split}2017.json", f"images/{split}2017") for split in ("train", "val")]


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (ROBOFLOW, {"train": "train_a", "validation": "valid_a", "test": "test_a"}),
        (OFFICIAL, {"train": "images_train2017_a", "validation": "images_val2017_a"}),
    ],
)
def test_an_export_is_read_whole_and_keeps_its_splits(tmp_path, places, expected):
    assert from_coco.main(whole_export(tmp_path, places)) == 0
    found = {path.parts[-3]: path.stem for path in (tmp_path / "out").glob("*/masks/*.png")}
    assert found == expected
    assert all(is_the_car(tmp_path, name, split) for split, name in found.items())


def test_other_kinds_of_annotations_beside_the_outlines_are_left_alone(tmp_path):
    arguments = whole_export(tmp_path, OFFICIAL)
    (tmp_path / "export/annotations/captions_train2017.json").write_text('{"images": [], "annotations": []}')
    assert from_coco.main(arguments) == 0


def test_one_file_of_an_export_finds_the_pictures_of_its_own_folder(tmp_path):
    arguments = whole_export(tmp_path, ROBOFLOW)
    arguments[0] += "/valid/_annotations.coco.json"
    assert from_coco.main(arguments) == 0
    assert is_the_car(tmp_path, "valid_a", "validation")


def test_a_folder_without_annotations_is_refused(tmp_path, capsys):
    (_, images, out) = coco(tmp_path, [CAR])
    assert refused([images, images, out], capsys, "holds no JSON file")


def test_the_panoptic_form_of_coco_has_no_outlines_and_is_refused_as_such(tmp_path, capsys):
    arguments = coco(tmp_path, [{"image_id": 1, "segments_info": [{"id": 1, "category_id": 1}]}])
    assert refused(arguments, capsys, "panoptic", "file of instances")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"shapes": [], "imagePath": "a.jpg"}, "LabelMe: give it to data_scripts/from_tool.py"),
        ({"_via_img_metadata": {}}, "VIA: give it to data_scripts/from_tool.py"),
        ({"a.jpg123": {"filename": "a.jpg", "regions": []}}, "VIA: give it to data_scripts/from_tool.py"),
        ([{"id": 1, "data": {}, "annotations": []}], "LabelStudio: give it to data_scripts/from_tool.py"),
        ({"size": {"width": 1, "height": 1}, "objects": []}, "Supervisely: give it to data_scripts/from_tool.py"),
        ({"images": [], "annotations": []}, "it lacks a list of categories; data_scripts/from_tool.py"),
        ({"images": [1], "annotations": [], "categories": []}, "something else than objects"),
        ([], "it lacks a list of images and annotations and categories"),
        (None, "it lacks a list of"),
    ],
)
def test_the_files_of_other_tools_are_refused_by_name(tmp_path, capsys, content, words):
    arguments = coco(tmp_path, [CAR])
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    assert refused(arguments, capsys, "is no COCO file", words)


NONSENSE = [None, [], {}, "x", -1, 1e308, float("inf"), float("nan"), 10**30, "../../etc/passwd", True]


def places_of(content, place=()):
    """The way to every value in JSON content."""
    inside = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [place, *(below for key, value in inside for below in places_of(value, (*place, key)))]


def test_no_nonsense_in_a_file_ends_in_more_than_sentences(tmp_path, capsys):
    parts = [{"id": 1, "area": 240, "bbox": [10, 12, 20, 12], **CAR}, car_runs(id=2, image_id=1, iscrowd=1)]
    arguments = changed(coco(tmp_path, parts, names=("a", "b")), with_points((10, 15), (3, 3)))
    content = json.loads((tmp_path / "annotations.json").read_text())
    dice = random.Random(19)
    for _ in range(150):
        mutant = {"all": copy.deepcopy(content)}
        *way, last = ("all", *dice.choice(places_of(content)))
        holder = mutant
        for key in way:
            holder = holder[key]
        holder[last] = dice.choice(NONSENSE)
        (tmp_path / "annotations.json").write_text(json.dumps(mutant["all"]))
        options = dice.choice([(), ("--keypoints", "car"), ("--dots", "car"), ("--fractions",), ("--skip-bad",)])
        code = from_coco.main([*arguments, "--overwrite", *options])
        lines = capsys.readouterr().err.splitlines()
        lines = [line for line in lines if not line.startswith("\rpictures")]
        assert code in (0, 1)
        assert 1 <= len(lines) <= 5, mutant
        assert not any("Traceback" in line or "Warning" in line for line in lines), mutant


def test_a_picture_from_the_folder_of_another_split_is_said(tmp_path, capsys):
    for place in ("train2017/a", "val2017/b"):
        (tmp_path / "images" / place).parent.mkdir(parents=True)
        picture().save(tmp_path / "images" / f"{place}.jpg")
    (tmp_path / "annotations").mkdir()
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [box(*CAR_BOX)]}
    content = {"images": [{"id": 1, "file_name": "b.jpg", "width": SIZE[0], "height": SIZE[1]}]}
    content |= {"annotations": [annotation], "categories": [{"id": 1, "name": "car"}]}
    (tmp_path / "annotations/instances_train2017.json").write_text(json.dumps(content))
    arguments = [str(tmp_path / name) for name in ("annotations", "images", "out")]
    assert from_coco.main(arguments) == 0
    assert "in the folder of another split than that of the file: 1" in capsys.readouterr().err
