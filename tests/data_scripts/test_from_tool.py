import json
import random

import numpy as np
import pytest
import tool_exports
from made_up import rows
from PIL import Image
from tool_exports import CORNERS, HEIGHT, WIDTH, studio_region, studio_task, truth, write

from data_scripts import from_tool

SPLITS = ("train", "validation", "test")


def run(export, out, *options):
    return from_tool.main([str(export), str(out), *map(str, options)])


def masks(out):
    """The masks of a data set by the last letter of their names."""
    found = [(split, row) for split in SPLITS if (out / split).exists() for row in rows(out, split)]
    return {
        row["file_name"].rsplit(".", 1)[0][-1]: np.asarray(Image.open(out / split / row["mask_file_name"]))
        for split, row in found
    }


def iou(mask, expected):
    return ((mask == 255) & expected).sum() / ((mask == 255) | expected).sum()


@pytest.mark.parametrize("write_export", tool_exports.EXPORTS, ids=lambda one: one.__name__)
def test_an_export_gives_the_masks_that_were_painted(write_export, tmp_path):
    write_export(tmp_path / "export")
    assert run(tmp_path / "export", tmp_path / "out") == 0
    found = masks(tmp_path / "out")
    assert found.keys() == CORNERS.keys()
    assert all(iou(found[name], truth(name)) > 0.95 for name in CORNERS)


@pytest.mark.parametrize("write_export", tool_exports.EXPORTS, ids=lambda one: one.__name__)
def test_damaged_labels_never_end_in_an_exception(write_export, tmp_path, capsys):
    write_export(tmp_path / "export")
    files = [
        path
        for path in sorted((tmp_path / "export").rglob("*"))
        if path.suffix in (".json", ".xml", ".txt", ".yaml", ".csv", ".names")
    ]
    files += sorted((tmp_path / "export").rglob("SegmentationClass/*.png"))
    generator = random.Random(19)
    values = [
        b"", b"null", b"-1", b"1e999", b"[]", b"{}", b'"x"', b"NaN", b"99999999999999999999", b"\xff", b"../../a",
    ]  # fmt: skip
    for _ in range(20):
        path = generator.choice(files)
        content = path.read_bytes()
        at = generator.randrange(max(len(content), 1))
        damaged = content[:at] + generator.choice(values) + content[at + generator.choice([0, 1, 5, 40]) :]
        path.write_bytes(damaged)
        assert run(tmp_path / "export", tmp_path / "out", "--overwrite") in (0, 1)
        path.write_bytes(content)
    assert "Traceback" not in capsys.readouterr().err


ODD = [None, -1, 1e300, float("nan"), "x", [], {}, [None], True, 10**400, [[]]]


def put_odd(content, generator):
    """Replaces some part of a JSON value, at any depth, by something odd."""
    key = generator.choice(list(content) if isinstance(content, dict) else range(len(content)))
    if isinstance(content[key], dict | list) and content[key] and generator.random() < 0.8:
        put_odd(content[key], generator)
    else:
        content[key] = generator.choice(ODD)


@pytest.mark.parametrize(
    "write_export",
    [tool_exports.labelme, tool_exports.label_studio_local, tool_exports.via, tool_exports.supervisely_bitmap],
    ids=lambda one: one.__name__,
)
def test_odd_values_in_json_never_end_in_an_exception(write_export, tmp_path):
    write_export(tmp_path / "export")
    path = sorted((tmp_path / "export").rglob("*.json"))[0]
    text = path.read_text()
    for seed in range(30):
        content = json.loads(text)
        put_odd(content, random.Random(seed))
        path.write_text(json.dumps(content))
        assert run(tmp_path / "export", tmp_path / "out", "--overwrite") in (0, 1)


def refusal(export, tmp_path, capsys, *options):
    """The sentence of a refusal, after which nothing is written."""
    assert run(export, tmp_path / "out", *options) == 1
    assert not (tmp_path / "out").exists()
    return capsys.readouterr().err


def test_the_classes_are_listed_where_none_is_a_car_and_object_chooses_one(tmp_path, capsys):
    tool_exports.yolo(tmp_path / "export")
    write(tmp_path / "export/data.yaml", "names: [weed, leaf]\n")
    sentence = refusal(tmp_path / "export", tmp_path, capsys)
    assert "weed, leaf" in sentence
    assert "--object" in sentence
    assert run(tmp_path / "export", tmp_path / "out", "--object", "leaf") == 0
    assert iou(masks(tmp_path / "out")["a"], truth("a")) > 0.95
    assert run(tmp_path / "export", tmp_path / "out", "--object", "leaf=1", "--overwrite") == 0
    assert iou(masks(tmp_path / "out")["a"], truth("a")) > 0.95


def test_numbers_stand_for_classes_without_names(tmp_path, capsys):
    tool_exports.yolo(tmp_path / "export")
    (tmp_path / "export/data.yaml").unlink()
    assert "0" in refusal(tmp_path / "export", tmp_path, capsys)
    assert run(tmp_path / "export", tmp_path / "out", "--object", "car=1") == 0


def test_classes_that_are_not_judged_are_128_under_the_object(tmp_path):
    tool_exports.yolo(tmp_path / "export")
    assert run(tmp_path / "export", tmp_path / "out", "--not-judged", "PERSON") == 0
    mask = masks(tmp_path / "out")["a"]
    assert (mask[:8, :12] == 128).all()
    assert iou(mask, truth("a")) > 0.95


def test_splits_of_image_sets_and_folders_are_kept(tmp_path):
    tool_exports.voc(tmp_path / "export")
    assert run(tmp_path / "export", tmp_path / "out") == 0
    assert [row["file_name"] for row in rows(tmp_path / "out", "validation")] == ["images/JPEGImages_b.jpg"]
    for split, other in (("train", "valid"), ("valid", "test")):
        tool_exports.pictures(tmp_path / f"yolo/{split}/images", ["a"])
        write(tmp_path / f"yolo/{split}/labels/a.txt", tool_exports.yolo_lines("a" if other == "valid" else "b"))
    write(tmp_path / "yolo/data.yaml", "names: [person, car]\n")
    assert run(tmp_path / "yolo", tmp_path / "both") == 0
    assert [len(rows(tmp_path / "both", split)) for split in ("train", "validation")] == [1, 1]


def test_folders_that_data_yaml_calls_val_are_the_validation_split(tmp_path):
    for folder, name in (("one", "a"), ("two", "b")):
        tool_exports.pictures(tmp_path / "export" / folder / "images", [name])
        write(tmp_path / f"export/{folder}/labels/{name}.txt", tool_exports.yolo_lines(name))
    write(tmp_path / "export/data.yaml", "train: one/images\nval: [two/images]\nnames: [person, car]\n")
    assert run(tmp_path / "export", tmp_path / "out") == 0
    assert len(rows(tmp_path / "out", "validation")) == 1


def test_a_picture_without_yolo_labels_is_background_and_said_to_be(tmp_path, capsys):
    tool_exports.yolo(tmp_path / "export")
    tool_exports.pictures(tmp_path / "export/images/train", ["c", "d"])
    write(tmp_path / "export/labels/train/d.txt", "")
    assert run(tmp_path / "export", tmp_path / "out") == 0
    assert not masks(tmp_path / "out")["c"].any()
    assert "background alone: 2." in capsys.readouterr().err


FIRST = tool_exports.yolo_lines("a").splitlines()[0]


@pytest.mark.parametrize("lines", [f"\n \n{FIRST}", f"1.0{FIRST[1:]}"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_yolo_labels_are_read_whatever_their_first_line(lines, encoding, tmp_path):
    tool_exports.yolo(tmp_path / "export")
    (tmp_path / "export/labels/train/a.txt").write_text(lines, encoding)
    (tmp_path / "export/labels/train/b.txt").unlink()
    assert run(tmp_path / "export", tmp_path / "out") == 0
    assert iou(masks(tmp_path / "out")["a"], truth("a")) > 0.95


@pytest.mark.parametrize(
    "line",
    [
        FIRST.replace(" ", ","),
        f"car{FIRST[1:]}",
        f"# x\n{FIRST}",
        "1 0.1 0.2",
        "1" + " nan" * 6,
        f"-{FIRST}",
        "1",
        "\0",
    ],
)
def test_yolo_labels_that_cannot_be_read_never_make_their_picture_background(line, tmp_path, capsys):
    tool_exports.yolo(tmp_path / "export")
    write(tmp_path / "export/labels/train/a.txt", line)
    assert "1 bad" in refusal(tmp_path / "export", tmp_path, capsys)
    assert run(tmp_path / "export", tmp_path / "out", "--skip-bad") == 0
    assert masks(tmp_path / "out").keys() == {"b"}


def test_yolo_labels_with_a_confidence_are_refused_as_such_and_read_without_it(tmp_path, capsys):
    tool_exports.yolo(tmp_path / "export")
    write(tmp_path / "export/labels/train/a.txt", f"{FIRST} 0.93")
    assert "if the last is a confidence" in refusal(tmp_path / "export", tmp_path, capsys)
    write(tmp_path / "export/labels/train/a.txt", FIRST)
    assert run(tmp_path / "export", tmp_path / "out") == 0


def test_names_of_classes_in_another_encoding_are_read_once_they_are_saved_as_utf_8(tmp_path, capsys):
    tool_exports.yolo(tmp_path / "export")
    for encoding in ("gbk", "utf-8"):
        (tmp_path / "export/data.yaml").write_text("names: [person, 汽车]\n", encoding)
        code = run(tmp_path / "export", tmp_path / "out", "--object", "汽车")
        assert ("save it as UTF-8" in capsys.readouterr().err) == (code == 1) == (encoding == "gbk")


def test_a_damaged_file_among_good_ones_is_bad_and_named_once(tmp_path, capsys):
    tool_exports.labelme(tmp_path / "export")
    write(tmp_path / "export/a.json", '{"shapes": [')
    assert "a.json: is no JSON file, or damaged in line 1" in refusal(tmp_path / "export", tmp_path, capsys)
    assert run(tmp_path / "export", tmp_path / "out", "--skip-bad") == 0


def test_a_labelme_file_that_was_renamed_with_its_picture_finds_it(tmp_path):
    tool_exports.labelme(tmp_path / "export")
    write(tmp_path / "export/a.json", tool_exports.labelme_json("a", imagePath="IMG_1.jpg"))
    assert run(tmp_path / "export", tmp_path / "out") == 0
    assert iou(masks(tmp_path / "out")["a"], truth("a")) > 0.95


@pytest.mark.parametrize(("order", "options"), [((0, 1), ()), ((1, 0), ()), ((0, 1), ("--not-judged", "tree"))])
def test_a_shape_that_lies_over_the_object_in_cvat_hides_it_unless_it_is_a_part_of_it(
    order, options, tmp_path, capsys
):
    tool_exports.pictures(tmp_path / "export/images")
    car, tree = (
        f'<polygon label="{label}" points="{points}" z_order="{z}"/>'
        for label, points, z in (("car", "9,9;60,9;60,60;9,60", order[0]), ("tree", "0,0;90,0;90,30;0,30", order[1]))
    )
    write(tmp_path / "export/annotations.xml", tool_exports.cvat_xml(lambda name: car + tree))
    assert run(tmp_path / "export", tmp_path / "out", *options) == 0
    hidden = order == (0, 1)
    assert masks(tmp_path / "out")["a"][20, 20] == (128 if options else 0 if hidden else 255)
    assert masks(tmp_path / "out")["a"][40, 20] == 255
    assert ('if they are a part of it, add --object "car=car,tree"' in capsys.readouterr().err) == hidden
    assert run(tmp_path / "export", tmp_path / "out", "--object", "car=car,tree", "--overwrite") == 0
    assert masks(tmp_path / "out")["a"][20, 20] == 255


def test_a_picture_without_labelme_file_is_left_aside_and_said_to_be(tmp_path, capsys):
    tool_exports.labelme(tmp_path / "export")
    tool_exports.pictures(tmp_path / "export", ["c"])
    assert run(tmp_path / "export", tmp_path / "out") == 0
    assert masks(tmp_path / "out").keys() == {"a", "b"}
    assert "left aside: 1." in capsys.readouterr().err


def test_boxes_alone_are_refused(tmp_path, capsys):
    tool_exports.yolo(tmp_path / "export")
    for name in CORNERS:
        write(tmp_path / f"export/labels/train/{name}.txt", "1 0.5 0.5 0.2 0.2\n")
    assert "these are none; draw polygons" in refusal(tmp_path / "export", tmp_path, capsys)


def test_a_box_is_no_outline_but_one_with_an_outline_in_it_may_stay(tmp_path, capsys):
    tool_exports.yolo(tmp_path / "export")
    path = tmp_path / "export/labels/train/a.txt"
    path.write_text(path.read_text() + "1 0.5 0.5 0.9 0.9\n")
    assert run(tmp_path / "export", tmp_path / "out") == 0
    assert "of the kind box, left aside as they are no outlines: 1." in capsys.readouterr().err
    path.write_text("1 0.5 0.5 0.9 0.9\n")
    assert run(tmp_path / "export", tmp_path / "out", "--overwrite") == 1
    assert "a.jpg: no outline: Car is only a box" in capsys.readouterr().err
    assert run(tmp_path / "export", tmp_path / "out", "--overwrite", "--skip-bad") == 0
    assert masks(tmp_path / "out").keys() == {"b"}


@pytest.mark.parametrize("config", ["names: [person, car]\n", "names: [person, car]\nkpt_shape: [4, 2]\n"])
def test_poses_are_refused(config, tmp_path, capsys):
    tool_exports.yolo(tmp_path / "export")
    write(tmp_path / "export/data.yaml", config)
    for name in CORNERS:
        write(tmp_path / f"export/labels/train/{name}.txt", "1 0.5 0.5 0.2 0.2" + " 0.5 0.5 2" * 4)
    assert "poses" in refusal(tmp_path / "export", tmp_path, capsys)


def test_holes_are_cut_out(tmp_path):
    hole = [(30, 25), (40, 25), (40, 32), (30, 32)]

    def objects(name):
        points = {"exterior": CORNERS["a"], "interior": [hole]}
        return [{"classTitle": "car", "geometryType": "polygon", "points": points}]

    tool_exports.supervisely(tmp_path / "export", objects)
    assert run(tmp_path / "export", tmp_path / "out") == 0
    assert not masks(tmp_path / "out")["a"][26:31, 31:39].any()


@pytest.mark.parametrize(
    "shape",
    [
        {"name": "circle", "cx": 40, "cy": 30, "r": 20},
        {"name": "ellipse", "cx": 40, "cy": 30, "rx": 20, "ry": 20, "theta": 1},
    ],
)
def test_circles_and_ellipses_are_round(shape, tmp_path):
    tool_exports.via(tmp_path / "export")
    entries = tool_exports.via_entries()
    entries["a.jpg1234"]["regions"][0]["shape_attributes"] = shape
    write(tmp_path / "export/via.json", entries)
    assert run(tmp_path / "export", tmp_path / "out") == 0
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    assert iou(masks(tmp_path / "out")["a"], (x - 40) ** 2 + (y - 30) ** 2 < 400) > 0.95


def test_an_ellipse_turns_clockwise_as_seen(tmp_path):
    tool_exports.cvat(tmp_path / "export")
    ellipse = '<ellipse label="car" cx="40" cy="36" rx="30" ry="5" rotation="45"/>'
    write(tmp_path / "export/annotations.xml", tool_exports.cvat_xml(lambda name: ellipse))
    assert run(tmp_path / "export", tmp_path / "out") == 0
    mask = masks(tmp_path / "out")["a"]
    assert mask[50, 54] == 255
    assert mask[22, 54] == 0


def test_rectangles_that_the_tool_paints_are_painted_and_said_to_be(tmp_path, capsys):
    tool_exports.labelme(tmp_path / "export")
    shape = {"label": "car", "points": [[50, 40], [10, 20]], "shape_type": "rectangle"}
    write(tmp_path / "export/a.json", tool_exports.labelme_json("a", shapes=[shape]))
    assert run(tmp_path / "export", tmp_path / "out") == 0
    assert (masks(tmp_path / "out")["a"] == 255).sum() == 40 * 20
    assert "Rectangles painted as they are: 1" in capsys.readouterr().err


def test_another_stated_size_is_a_mismatch(tmp_path, capsys):
    tool_exports.labelme(tmp_path / "export")
    write(tmp_path / "export/a.json", tool_exports.labelme_json("a", imageWidth=WIDTH * 2, imageHeight=HEIGHT * 2))
    assert "size mismatch" in refusal(tmp_path / "export", tmp_path, capsys)


def test_outlines_that_leave_the_picture_are_refused(tmp_path, capsys):
    tool_exports.via(tmp_path / "export")
    entries = tool_exports.via_entries()
    points = entries["a.jpg1234"]["regions"][0]["shape_attributes"]
    points["all_points_x"] = [2 * x for x in points["all_points_x"]]
    write(tmp_path / "export/via.json", entries)
    assert "another size" in refusal(tmp_path / "export", tmp_path, capsys)


def test_pictures_may_lie_elsewhere(tmp_path, capsys):
    tool_exports.label_studio(tmp_path / "export")
    (tmp_path / "export/photos").rename(tmp_path / "photos")
    assert "--pictures" in refusal(tmp_path / "export", tmp_path, capsys)
    assert run(tmp_path / "export", tmp_path / "out", "--pictures", tmp_path / "photos") == 0
    file = tmp_path / "export/project-1.json"
    assert run(file, tmp_path / "out", "--pictures", tmp_path / "photos", "--overwrite") == 0


def test_masks_without_their_pictures_are_never_taken_for_them(tmp_path, capsys):
    tool_exports.cvat_colours(tmp_path / "export")
    (tmp_path / "export/JPEGImages").rename(tmp_path / "photos")
    assert "--pictures" in refusal(tmp_path / "export", tmp_path, capsys)
    assert run(tmp_path / "export", tmp_path / "out", "--pictures", tmp_path / "photos") == 0


def test_a_task_with_two_annotations_is_undecided_until_one_is_ground_truth(tmp_path, capsys):
    tool_exports.label_studio(tmp_path / "export")
    path = tmp_path / "export/project-1.json"
    tasks = json.loads(path.read_text())
    empty = {"result": [], "was_cancelled": False}
    tasks[0]["annotations"].append(empty)
    write(path, tasks)
    assert "ground truth" in refusal(tmp_path / "export", tmp_path, capsys)
    tasks[0]["annotations"][0]["ground_truth"] = True
    write(path, tasks)
    assert run(tmp_path / "export", tmp_path / "out") == 0


def test_a_task_nobody_has_labelled_is_left_aside_and_an_empty_annotation_is_background(tmp_path, capsys):
    tool_exports.label_studio(tmp_path / "export")
    tool_exports.pictures(tmp_path / "export/photos", ["c", "d"])
    path = tmp_path / "export/project-1.json"
    tasks = [*json.loads(path.read_text()), studio_task("c", []), studio_task("d", [], annotations=[])]
    write(path, tasks)
    assert run(tmp_path / "export", tmp_path / "out") == 0
    assert masks(tmp_path / "out").keys() == {"a", "b", "c"}
    errors = capsys.readouterr().err
    assert "background alone: 1." in errors
    assert "left aside: 1." in errors


def test_a_picture_that_was_turned_in_the_tool_is_refused(tmp_path, capsys):
    tool_exports.label_studio(tmp_path / "export")
    region = studio_region("polygonlabels", {"points": [[1, 1], [9, 1], [9, 9]], "polygonlabels": ["car"]})
    write(tmp_path / "export/project-1.json", [studio_task("a", [{**region, "image_rotation": 90}])])
    assert "turned" in refusal(tmp_path / "export", tmp_path, capsys)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", {"images": [], "annotations": [], "categories": []}, "from_coco.py"),
        ("a.json", [{"image": "a.jpg", "id": 1, "annotator": 1, "lead_time": 2, "label": []}], 'export it as "JSON"'),
        ("a.json", {"project": {}, "metadata": {}, "view": {}, "file": {}}, "VIA 3"),
        ("a.json", '{"shapes": [', "damaged"),
        ("a.xml", '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "b">]><a>&b;</a>', "no XML"),
        ("a.xml", "<annotations><track id='0' label='car'/></annotations>", "made for a video"),
        ("a.json", [{"id": 1, "data": {"image": "a.jpg"}, "annotations": []}], "Nobody has labelled"),
        ("a.json", "PK\3\4", "unpack it first"),
        ("a.csv", "filename,region_shape_attributes\n", "export the annotations as JSON"),
        ("notes.txt", "hello\n", "Looked for"),
        ("export.zip", "PK", "Looked for"),
    ],
)
def test_what_is_not_read_is_refused_with_what_to_do(name, content, words, tmp_path, capsys):
    tool_exports.pictures(tmp_path / "export")
    write(tmp_path / "export" / name, content)
    assert words in refusal(tmp_path / "export", tmp_path, capsys)


def test_an_archive_is_to_be_unpacked_first(tmp_path, capsys):
    write(tmp_path / "export.zip", "PK")
    assert "unpack it first" in refusal(tmp_path / "export.zip", tmp_path, capsys)


def test_label_studios_masks_by_task_number_are_refused_with_the_remedy(tmp_path, capsys):
    tool_exports.pictures(tmp_path / "export/photos")
    tool_exports.pictures(tmp_path / "export/masks", ["task-1-annotation-7-by-1-tag-car-0"])
    assert 'as "JSON"' in refusal(tmp_path / "export", tmp_path, capsys)


def test_two_kinds_of_labels_are_refused_until_one_is_chosen(tmp_path, capsys):
    tool_exports.yolo_flat(tmp_path / "export")
    tool_exports.labelme(tmp_path / "export")
    assert "--format" in refusal(tmp_path / "export", tmp_path, capsys)
    for name in ("LabelMe", "YOLO"):
        assert run(tmp_path / "export", tmp_path / "out", "--format", name, "--overwrite") == 0
        assert iou(masks(tmp_path / "out")["a"], truth("a")) > 0.95


def test_a_colour_that_nobody_explains_is_refused(tmp_path, capsys):
    tool_exports.cvat_colours(tmp_path / "export")
    write(tmp_path / "export/labelmap.txt", "background:0,0,0::\ncar:250,50,84::\n")
    assert "250,50,83" in refusal(tmp_path / "export", tmp_path, capsys)


def test_names_never_lead_out_of_the_folder(tmp_path, capsys):
    tool_exports.labelme(tmp_path / "export")
    tool_exports.pictures(tmp_path, ["secret"])
    (tmp_path / "export/a.jpg").rename(tmp_path / "export/c.jpg")
    for name in ("../secret.jpg", str(tmp_path / "secret.jpg")):
        write(tmp_path / "export/a.json", tool_exports.labelme_json("a", imagePath=name))
        assert "missing partner" in refusal(tmp_path / "export", tmp_path, capsys)


@pytest.mark.parametrize("white", [1, 255])
def test_black_and_white_masks_in_the_folders_of_voc_are_sent_where_they_are_read(white, tmp_path, capsys):
    tool_exports.voc(tmp_path / "export")
    for name in CORNERS:
        Image.fromarray(np.uint8(white) * truth(name)).save(tmp_path / f"export/SegmentationClass/{name}.png")
    assert "from_folders.py" in refusal(tmp_path / "export", tmp_path, capsys)


def test_labels_behind_a_link_that_leads_out_are_not_passed_over(tmp_path, capsys):
    tool_exports.yolo(tmp_path / "export")
    label = tmp_path / "export/labels/train/a.txt"
    label.rename(tmp_path / "elsewhere.txt")
    label.symlink_to(tmp_path / "elsewhere.txt")
    assert "a.txt is a link that leads out" in refusal(tmp_path / "export", tmp_path, capsys)


def test_a_blank_line_among_the_classes_is_a_number_too(tmp_path):
    tool_exports.yolo(tmp_path / "export")
    (tmp_path / "export/data.yaml").unlink()
    write(tmp_path / "export/classes.txt", "\ncar\n")
    assert run(tmp_path / "export", tmp_path / "out") == 0
    assert all(iou(mask, truth(name)) > 0.95 for name, mask in masks(tmp_path / "out").items())


def test_lists_of_classes_that_differ_are_refused(tmp_path, capsys):
    tool_exports.yolo(tmp_path / "export")
    write(tmp_path / "export/more/data.yaml", "names: [car, person]\n")
    assert "name different classes" in refusal(tmp_path / "export", tmp_path, capsys)


def test_a_labelme_file_beside_another_picture_than_it_names_is_undecided(tmp_path, capsys):
    tool_exports.labelme(tmp_path / "export")
    write(tmp_path / "export/a.json", tool_exports.labelme_json("a", imagePath="b.jpg"))
    assert run(tmp_path / "export", tmp_path / "out") == 1
    assert "it names the picture b.jpg, but a.jpg lies beside it" in capsys.readouterr().err


def test_a_number_is_never_the_place_of_a_class_that_only_shapes_have(tmp_path, capsys):
    tool_exports.yolo(tmp_path / "export")
    (tmp_path / "export/data.yaml").unlink()
    for path in (tmp_path / "export/labels").rglob("*.txt"):
        path.write_text("".join(f"2{line[1:]}\n" for line in path.read_text().splitlines()))
    assert "There is no class 0" in refusal(tmp_path / "export", tmp_path, capsys, "--object", "car=0")


def test_a_polygon_that_ends_in_the_corner_is_no_pose(tmp_path):
    tool_exports.yolo(tmp_path / "export")
    write(tmp_path / "export/labels/train/a.txt", "1 0.2 0.3 0.8 0.2 1 0.5 1 1 0.3 1\n")
    assert run(tmp_path / "export", tmp_path / "out") == 0


def test_splits_of_via_are_those_of_the_folders_in_which_each_has_its_file(tmp_path):
    entries = tool_exports.via_entries()
    for split, name in (("train", "a"), ("val", "b")):
        tool_exports.pictures(tmp_path / "export" / split, [name])
        write(tmp_path / "export" / split / "via_region_data.json", {name: entries[f"{name}.jpg1234"]})
    assert run(tmp_path / "export", tmp_path / "out") == 0
    assert [len(rows(tmp_path / "out", split)) for split in ("train", "validation")] == [1, 1]
