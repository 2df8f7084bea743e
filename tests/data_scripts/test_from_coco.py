import json

import numpy as np
import pytest
from made_up import CAR_BOX, SIZE, car_mask, rows, written_mask
from made_up_coco import CAR, HEIGHT, WIDTH, box, changed, coco, is_the_car, refused, with_points

from data_scripts import from_coco
from data_scripts.outlines import paint_polygons, unpack_counts


def test_a_polygon_fills_the_pixels_whose_centres_it_holds(tmp_path):
    arguments = coco(tmp_path, [{"category_id": 0, "segmentation": [box(*CAR_BOX)]}])
    assert from_coco.main(arguments) == 0
    assert np.array_equal(written_mask(tmp_path / "out"), np.asarray(car_mask()))


def test_compressed_run_lengths_are_those_of_the_coco_tools():
    assert unpack_counts("61X13mN000`0") == [6, 1, 40, 4, 5, 4, 5, 4, 21]


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
    assert from_coco.main([*coco(tmp_path, []), "--object", "cat"]) == 1
    assert "There is no class cat; the file has car, bus" in capsys.readouterr().err


def test_a_broken_segmentation_is_a_bad_pair(tmp_path, capsys):
    runs = {"size": [SIZE[1], SIZE[0]], "counts": [5, 5]}
    assert from_coco.main(coco(tmp_path, [{"id": 7, "category_id": 0, "segmentation": runs}])) == 1
    assert "annotation 7 has a broken segmentation" in capsys.readouterr().err


def test_pictures_without_the_category_are_background_unless_unwanted(tmp_path):
    arguments = coco(tmp_path, [{"category_id": 0, "segmentation": [box(*CAR_BOX)]}], names=("a", "b"))
    assert from_coco.main(arguments) == 0
    assert not written_mask(tmp_path / "out", "b").any()
    assert from_coco.main([*arguments, "--only-with-object", "--overwrite"]) == 0
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


@pytest.mark.parametrize(
    "segmentation",
    [
        box(*CAR_BOX),
        [[[10, 12], [30, 12], [30, 24], [10, 24]]],
        [[10, 12], [30, 12], [30, 24], [10, 24]],
        [box(*CAR_BOX), [], [1.5, 2.5, 40, 50]],
        [[str(number) for number in box(*CAR_BOX)]],
    ],
)
def test_polygons_are_read_in_every_form_and_lines_beside_them_left_aside(tmp_path, segmentation):
    assert from_coco.main(coco(tmp_path, [{"category_id": 0, "segmentation": segmentation}])) == 0
    assert is_the_car(tmp_path)


def test_what_lies_outside_the_picture_is_cut_off():
    assert paint_polygons([box(-5, -5, 900, 12)], (HEIGHT, WIDTH)).sum() == 12 * WIDTH


@pytest.mark.parametrize("segmentation", [None, [], [[]], [[1.5, 2.5, 40, 50]], [[1, 1, 5, 5], []]])
def test_a_box_without_an_outline_is_a_bad_pair(tmp_path, capsys, segmentation):
    annotations = [{"id": 7, "category_id": 0, "segmentation": segmentation}, {**CAR, "image_id": 1}]
    arguments = coco(tmp_path, annotations, names=("a", "b"))
    assert from_coco.main(arguments) == 1
    error = capsys.readouterr().err
    assert "a.jpg: no outline" in error
    assert "annotation 7" in error
    assert from_coco.main([*arguments, "--skip-bad"]) == 0
    assert "1 bad left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ({"segmentation": [box(*CAR_BOX) * 2]}, "paints not one pixel"),
        (
            {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [WIDTH * HEIGHT]}},
            "run lengths of annotation 7 are empty",
        ),
        ({"segmentation": [box(30, 20, 80, 60)]}, "mostly outside the picture"),
        ({"segmentation": [box(10, 12, 15, 17)], "area": 240}, "paints 25 pixels, but its area is 240"),
        ({"segmentation": [[0.1, 0.1, 0.9, 0.1, 0.9, 0.9]]}, "is it fractions of the picture?"),
        ({"segmentation": [[5, 5, 5.3, 5, 5.3, 9]]}, "paint not one pixel"),
        ({"segmentation": {"size": [WIDTH, HEIGHT], "counts": [1200]}}, "size mismatch"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [10**12, 5]}}, "broken segmentation"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": "o" * 100_000}}, "broken segmentation"),
        ({"segmentation": [[1e308, 1, 5, 5, 9, float("nan")]]}, "broken segmentation"),
    ],
)
def test_an_outline_that_paints_less_than_the_file_says_is_a_bad_pair(tmp_path, capsys, annotation, words):
    annotations = [{"id": 7, "category_id": 0, **annotation}, {**CAR, "image_id": 1}]
    arguments = coco(tmp_path, annotations, names=("a", "b"))
    assert from_coco.main(arguments) == 1
    assert words in capsys.readouterr().err
    assert from_coco.main([*arguments, "--skip-bad"]) == 0


def test_the_area_may_be_that_of_the_box(tmp_path):
    corner = {"category_id": 0, "segmentation": [[0, 0, 40, 0, 40, 1, 1, 1, 1, 30, 0, 30]], "area": WIDTH * HEIGHT}
    assert from_coco.main(coco(tmp_path, [corner])) == 0
    assert written_mask(tmp_path / "out").any()


def test_an_outline_is_read_once_its_wrong_area_is_taken_out_of_the_file(tmp_path, capsys):
    arguments = coco(tmp_path, [{**CAR, "area": 1000}])
    assert from_coco.main(arguments) == 1
    assert "take the area out of the file" in capsys.readouterr().err
    assert from_coco.main(changed(arguments, lambda content: content["annotations"][0].pop("area"))) == 0
    assert is_the_car(tmp_path)


def test_an_outline_that_paints_far_more_than_its_area_is_counted_aloud(tmp_path, capsys):
    assert from_coco.main(coco(tmp_path, [{**CAR, "id": 7, "area": 100}])) == 0
    assert "more than twice the area that the file gives them: 1, such as annotation 7." in capsys.readouterr().err


def exchanged(corners):
    return [[y, x] for x, y in zip(corners[::2], corners[1::2], strict=True)]


def test_an_outline_with_y_before_x_is_refused_by_its_bbox_and_read_without_it(tmp_path, capsys):
    left, top, right, bottom = CAR_BOX
    told = {"bbox": [left, top, right - left, bottom - top]}
    arguments = coco(tmp_path, [{**CAR, **told, "segmentation": [exchanged(CAR["segmentation"][0])]}])
    assert from_coco.main(arguments) == 1
    assert "fits its bbox only with y before x" in capsys.readouterr().err
    assert from_coco.main(changed(arguments, lambda content: content["annotations"][0].pop("bbox"))) == 0
    assert from_coco.main([*changed(arguments, lambda content: content["annotations"][0].update(CAR, **told)),
                           "--overwrite"]) == 0  # fmt: skip
    assert is_the_car(tmp_path)


@pytest.mark.parametrize(
    ("bbox", "counted"),
    [([10, 12, 20, 12], 0), ([8, 10, 24, 16], 0), ([10, 12, 30, 24], 0), ([0.2, 0.4, 0.6, 0.4], 0), ("x", 0),
     ([10, 12, 20, 12, 5], 0), ([0, 0, 4, 4], 1), ([-5, -5, 10, 10], 1), ([0, 0, 0, 0], 0)],
)  # fmt: skip
def test_an_outline_elsewhere_than_its_bbox_is_counted_aloud_whatever_sloppy_tools_write(
    tmp_path, capsys, bbox, counted
):
    assert from_coco.main(coco(tmp_path, [{**CAR, "bbox": bbox}])) == 0
    assert ("mostly elsewhere than their bbox: 1" in capsys.readouterr().err) == counted
    assert is_the_car(tmp_path)


def test_outlines_that_are_boxes_and_pictures_without_annotations_are_counted_aloud(tmp_path, capsys):
    slanted = {**CAR, "image_id": 1, "segmentation": [[5, 5, 20, 8, 12, 25]]}
    assert from_coco.main(coco(tmp_path, [CAR, slanted], names=("a", "b", "c"))) == 0
    said = capsys.readouterr().err
    assert "Outlines that are rectangles, painted as they are: 1," in said
    assert "Pictures without an annotation, background alone: 1.\n" in said


def test_outlines_that_leave_the_picture_are_cut_off_and_counted_aloud(tmp_path, capsys):
    assert from_coco.main(coco(tmp_path, [{**CAR, "segmentation": [box(4, 5, WIDTH + 4, HEIGHT)]}])) == 0
    assert "leave the picture by more than 5 %; were they drawn on a larger one?: 1" in capsys.readouterr().err


def test_a_category_is_chosen_by_its_number_unless_one_is_called_so(tmp_path):
    arguments = coco(tmp_path, [{**CAR, "category_id": 1}], ("background", "van"))
    assert from_coco.main([*arguments, "--object", "1"]) == 0
    assert is_the_car(tmp_path)
    changed(arguments, lambda content: content["categories"][0].update(name="1"))
    assert from_coco.main([*arguments, "--object", "1", "--overwrite"]) == 0
    assert not written_mask(tmp_path / "out").any()


@pytest.mark.parametrize("point", [(0, 0), (-1, -1)])
def test_visible_keypoints_in_the_corner_are_counted_aloud_and_missing_with_visibility_0(tmp_path, capsys, point):
    arguments = [*changed(coco(tmp_path, [{"category_id": 0}]), with_points(point)), "--keypoints", "car"]
    assert from_coco.main(arguments) == 0
    assert "those that are missing need visibility 0: 1, such as annotation number 1" in capsys.readouterr().err
    changed(arguments, lambda content: content["annotations"][0]["keypoints"].__setitem__(2, 0))
    assert from_coco.main([*arguments, "--overwrite"]) == 0
    assert rows(tmp_path / "out")[0]["dots"][0] is None


def test_pixels_are_not_taken_for_fractions(tmp_path, capsys):
    arguments = coco(tmp_path, [CAR])
    assert refused([*arguments, "--fractions"], capsys, "leave --fractions away")
    assert from_coco.main(arguments) == 0


@pytest.mark.parametrize(
    ("options", "found"), [((), True), (("--object", "CAR"), True), (("--object", "x=bus"), False)]
)
def test_categories_are_chosen_whatever_their_case(tmp_path, options, found):
    assert from_coco.main([*coco(tmp_path, [CAR], ("Car", "Bus")), *options]) == 0
    assert written_mask(tmp_path / "out").any() == found


@pytest.mark.parametrize("category", ["car", "leaf"])
@pytest.mark.parametrize("segmentation", [[], [[]], None])
def test_a_set_of_keypoints_alone_is_read_whatever_the_category_is_called(tmp_path, capsys, category, segmentation):
    parts = [{"category_id": 0, "image_id": index, "segmentation": segmentation} for index in (0, 1)]
    arguments = changed(coco(tmp_path, parts, (category,), ("a", "b")), with_points((10, 15), (-1, 15)))
    assert from_coco.main([*arguments, "--keypoints", category]) == 0
    error = capsys.readouterr().err
    assert "up to a pixel outside the picture, moved to its edge: 1, such as annotation number 2" in error
    assert [row["dots"][0] for row in rows(tmp_path / "out")] == [[10.5 / WIDTH, 0.516667], [0.0, 0.516667]]
    assert not (tmp_path / "out/train/masks").exists()


def test_a_keypoint_further_outside_is_refused(tmp_path, capsys):
    arguments = changed(coco(tmp_path, [{"category_id": 0}]), with_points((-2, 15)))
    assert from_coco.main([*arguments, "--keypoints", "car"]) == 1
    assert "do not all lie in the picture" in capsys.readouterr().err


def test_an_annotation_without_keypoints_does_not_hide_those_of_a_smaller_one(tmp_path):
    arguments = [*coco(tmp_path, [{"category_id": 0}] * 2), "--keypoints", "car"]

    def change(content):
        content["categories"][0]["keypoints"] = ["nose"]
        crowd, one = content["annotations"]
        crowd |= {"bbox": [0, 0, 40, 30], "keypoints": [0, 0, 0], "iscrowd": 1}
        one |= {"bbox": [1, 1, 9, 9], "keypoints": [9.5, 14.5, 2]}

    assert from_coco.main(changed(arguments, change)) == 0
    assert rows(tmp_path / "out")[0]["dots"] == [[0.25, 0.5]]


def test_keypoints_as_fractions_are_refused_and_read_when_asked_for(tmp_path, capsys):
    def change(content):
        with_points((0, 0))(content)
        content["annotations"][0]["keypoints"] = [0.25, 0.5, 2, 0.5, 0.5, 2]

    arguments = [*changed(coco(tmp_path, [{"category_id": 0}]), change), "--keypoints", "car"]
    assert from_coco.main(arguments) == 1
    assert "read them with --fractions" in capsys.readouterr().err
    assert from_coco.main([*arguments, "--fractions"]) == 0
    assert rows(tmp_path / "out")[0]["dots"] == [[0.25, 0.5], [0.5, 0.5]]
