"""A walk through the situations that people report: what is read is right, or a sentence names what makes it so."""

import case_folders as draw_case
import numpy as np
import pytest
import tool_exports
from case_checks import dots, follow, right, says
from case_folders import coco, csv, draw, indices, run_length, saved, spread, with_missing, with_names
from tool_exports import HEIGHT, SIZE, WIDTH

OUTLINE = 0.95  # least overlap of a mask that was given as an outline or has soft edges
RIGHT, OUTLINED = right(), right(least=OUTLINE)
TRAIN, FOUR = right(splits=["train"] * 3), right(photos=range(4))
POINTS = dots([(50, 25)], [(90, 60)], [(10, 40)])
HOLES = dots([(50, 25), None], [(90, 60), (30, 40)], [None, (10, 40)])
AHEAD = [(9, 20), (50, 9)]
FOLDERS, CSV = "from_folders photos masks out", "from_csv points.csv photos out"
COCO = "from_coco annotations.json images out"
NOSE = "file,nose_x,nose_y"
NO_OUTLINES = [{}, *({"segmentation": one} for one in ([], [[]], [[1, 2, 40, 50]]))]


# Of each situation: what draws it, then what a person types and what must come of it; a function changes the folder.
CASES = {
    "bdd-train-id": [
        lambda root: draw(root, "images/train/a{}.jpg", "labels/train/a{}_train_id.png", lambda m, k: m * 13),
        ("from_folders images labels out --object 13", TRAIN),
        ("from_folders images labels out --object 13 --mask-name {name}_train_id", TRAIN),
    ],
    "car-is-black": [
        lambda root: draw(root, paint=lambda m, k: 255 - m * 255, numbers=range(4)),
        (FOLDERS, says(code=0)), ("doctor out --out findings", says("inverted mask", "--invert")),
        (f"{FOLDERS} --invert", FOUR),
    ],
    "cityscapes-train-ids": [
        draw_case.cityscapes,
        ("from_folders leftImg8bit only out --object 13", TRAIN),
        ("from_folders leftImg8bit both out --object 13", says("--mask-name '{name}_gtFine_labelTrainIds'")),
        ("from_folders leftImg8bit both out --object 13 --mask-name '{name}_gtFine_labelTrainIds'", TRAIN),
        ("from_folders leftImg8bit both out --object 26 --mask-name '{name}_gtFine_labelIds'", TRAIN),
    ],
    "classes-from-1": [
        lambda root: draw(root, paint=lambda m, k: 1 + m * (k < 3), numbers=range(4)),
        (FOLDERS, says("--object 2")), (f"{FOLDERS} --object 2", right(empty={3}, photos=range(4))),
    ],
    "coco-bom": [lambda root: coco(root, encoding="utf-8-sig"), (COCO, OUTLINED)],
    "coco-cvat-brush-iscrowd": [
        lambda root: coco(root, "annotations", lambda one, k: {} if k == 1 else run_length(one, k, 1)),
        (COCO, right("2 annotations of 2 pictures are crowds", "--crowd-is-object", empty={0, 2}, least=OUTLINE)),
        (f"{COCO} --crowd-is-object", OUTLINED),
    ],
    "coco-dangling-image-id": [
        lambda root: coco(root, "annotations", lambda one, k: {"image_id": 77} if k == 2 else {}),
        (COCO, says("annotation 3 with 77", "--skip-bad")),
        (f"{COCO} --skip-bad", right("1 bad left out", photos=range(2), least=OUTLINE)),
    ],
    "coco-duplicate-image-ids": [
        lambda root: coco(root, change=lambda one, k: {"id": 1}),
        (COCO, says("id 1 stands for both 0.jpg and 1.jpg; give each its own")), coco, (COCO, OUTLINED),
    ],
    "coco-empty-segmentation": [
        lambda root: coco(root, "annotations", lambda one, k: NO_OUTLINES[k], 4),
        (COCO, says("no outline", "3 bad", "--skip-bad")),
        (f"{COCO} --skip-bad", right("3 bad left out", photos=[0], least=OUTLINE)),
    ],
    "coco-file-name-with-folder": [
        lambda root: coco(root, change=lambda one, k: {"file_name": f"images/{k}.jpg"}), (COCO, OUTLINED),
    ],
    "coco-flat-polygon": [
        lambda root: coco(root, "annotations", lambda one, k: {"segmentation": one["segmentation"][0]}),
        (COCO, OUTLINED),
    ],
    "coco-fractions": [
        lambda root: coco(root, "annotations", lambda one, k: {
            "segmentation": (np.reshape(one["segmentation"], (-1, 2)) / SIZE).round(5).reshape(1, -1).tolist()
        }),
        (COCO, says("--fractions")), (f"{COCO} --fractions", OUTLINED),
    ],
    "coco-keypoints-car": [
        draw_case.keypoints,
        (f"{COCO} --keypoints car", dots(AHEAD, [AHEAD[0], (0, 9)], AHEAD, say="to its edge: 1")),
    ],
    "coco-label-studio-windows": [
        lambda root: coco(root, change=lambda one, k: {"file_name": f"images\\{k}.jpg"}),
        (COCO, OUTLINED), ("from_coco annotations.json . out", OUTLINED),
    ],
    "coco-no-width-height": [
        lambda root: coco(root, change=lambda one, k: {"width": None, "height": None}), (COCO, OUTLINED),
    ],
    "coco-pictures-in-one-folder": [
        lambda root: coco(root, change=lambda one, k: {"file_name": f"train2017/{k}.jpg"}), (COCO, OUTLINED),
    ],
    "coco-pictures-made-smaller": [
        lambda root: coco(root, change=lambda one, k: {"width": 2 * WIDTH, "height": 2 * HEIGHT}),
        (COCO, says("picture 96×72, annotation file 192×144")),
    ],
    "coco-rle-size-as-floats": [
        lambda root: coco(root, "annotations", run_length), (COCO, RIGHT),
        lambda root: coco(root, change=lambda one, k: {"width": [str(WIDTH), float(WIDTH), WIDTH][k]}),
        (COCO, OUTLINED),
    ],
    "coco-roboflow": [
        draw_case.roboflow,
        ("from_coco . . out", right(splits=["train", "validation", "test"], least=OUTLINE)),
        ("from_coco train/_annotations.coco.json train out", right(photos=[0], least=OUTLINE)),
        ("from_tool . out", says("from_coco.py . PICTURES OUT")),
    ],
    "coco-size-swapped": [
        lambda root: coco(root, change=lambda one, k: {"width": HEIGHT, "height": WIDTH}),
        (COCO, says("picture 96×72, annotation file 72×96")),
    ],
    "coco-via-string-ids": [
        lambda root: coco(root, "annotations", lambda one, k: {"image_id": str(k + 1)}), (COCO, OUTLINED),
    ],
    "csv-case-and-ending": [with_names(NOSE, "0.JPG", "1.jpeg", "2.png"), (CSV, POINTS)],
    "csv-fractions": [
        lambda root: csv(root, NOSE, "0.jpg,0.5,0.25", "1.jpg,0.9,0.8", "2.jpg,0.1,0.6"),
        (CSV, says("--fractions")), (f"{CSV} --fractions", dots([(48, 18)], [(86.4, 57.6)], [(9.6, 43.2)])),
    ],
    "csv-missing-as-minus-one": [with_missing(-1), (CSV, says("--missing -1")), (f"{CSV} --missing -1", HOLES)],
    "csv-missing-as-nan": [with_missing("NaN"), (CSV, HOLES)],
    "csv-missing-as-zero": [with_missing(0), (CSV, says("--missing 0")), (f"{CSV} --missing 0", HOLES)],
    "csv-one-pixel-outside": [
        lambda root: csv(root, NOSE, "0.jpg,50,25", "1.jpg,96.4,60", "2.jpg,10,-0.3"),
        (CSV, dots([(50, 25)], [(96, 60)], [(10, 0)], say="moved to its edge: 2")),
    ],
    "csv-pandas-index": [with_names(f",{NOSE}", "0.jpg", "1.jpg", "2.jpg", row="7,{},{},{}"), (CSV, POINTS)],
    "csv-visibility-column": [
        lambda root: csv(root, f"{NOSE},nose_v", "0.jpg,50,25,2", "1.jpg,90,60,2", "2.jpg,0,0,0"),
        (CSV, dots([(50, 25)], [(90, 60)], [None])),
    ],
    "csv-windows-paths": [
        with_names(NOSE, "photos\\0.jpg", "photos\\1.jpg", "photos/2.jpg"),
        (CSV, POINTS), ("from_csv points.csv . out", POINTS),
    ],
    "cvat-colour-masks": [
        draw_case.cvat_colours,
        ("from_folders JPEGImages SegmentationClass out", right("250,50,83 is car")), ("from_tool . out", RIGHT),
        ("from_folders JPEGImages SegmentationClass out --object 1", says("--object-colour")),
        ("from_folders JPEGImages SegmentationClass out --object-colour 250,50,83", RIGHT),
    ],
    "dots-in-names": [
        lambda root: draw(root, "photos/cam1.2024-05-0{}.12.30.jpg", "masks/cam1.2024-05-0{}.12.30_mask.gif"),
        (FOLDERS, RIGHT),
    ],
    "hf-image-label": [lambda root: saved(root, columns=("image", "label")), ("open_data set", FOUR)],
    "hf-mask-0-1": [lambda root: saved(root, lambda m, k: m * 1), ("open_data set", FOUR)],
    "hf-mask-voc-palette": [
        lambda root: saved(root, indices(7, 0)), ("open_data set", right("7 is car", photos=range(4))),
        ("open_data set --object 7", FOUR),
        lambda root: saved(root, indices(7, 15)),
        ("open_data set", says("0, 7 and 15", "--object 7")), ("open_data set --object 7", FOUR),
    ],
    "hf-split-val": [
        lambda root: saved(root, train=4, val=3),
        ("open_data set", right(splits=["train"] * 4 + ["validation"] * 3, photos=range(7))),
    ],
    "imagefolder-metadata-csv": [draw_case.image_folder, ("open_data set", FOUR)],
    "jpeg-masks": [
        draw_case.jpeg_masks, (FOLDERS, says("JPEG mask", "--threshold 128")), (f"{FOLDERS} --threshold 128", RIGHT),
        ("from_folders photos masks-as-png out", says("more than two values", "--threshold 128")),
        ("from_folders photos masks-as-png out --threshold 128", RIGHT),
    ],
    "jpg-and-png-side-by-side": [
        lambda root: draw(root, "set/{}.jpg", "set/{}.png"), ("from_folders set set out", RIGHT),
    ],
    "label-maps-values-spread": [
        lambda root: draw(root, paint=spread(200, 40, 255)),
        (f"{FOLDERS} --object 200 --not-judged 255", right(void=0.05)),
        (f"{FOLDERS} --object 13 --not-judged 255", says("40, 200 and 255", "--object")),
        (FOLDERS, says("40, 200 and 255", "--object 200", "--not-judged 255")),
    ],
    "label-studio-brush-png": [
        lambda root: draw(root, "photos/8f3a-{}.jpg", "masks/task-{}-annotation-7-by-1-tag-car-0.png"),
        (FOLDERS, says("Label Studio", "export the labels as JSON", "from_tool.py")),
        tool_exports.label_studio_local, ("from_tool project-1.json out", right(photos=range(2))),
    ],
    "labelme-json": [
        lambda root: tool_exports.labelme(root / "photos"),
        ("from_coco photos/a.json photos out", says("LabelMe", "from_tool.py")),
        ("from_folders photos photos out", says("from_tool.py")),
        ("from_tool photos out", right(photos=range(2), least=OUTLINE)),
    ],
    "litter": [draw_case.litter, (FOLDERS, RIGHT)],
    "mask-per-car": [
        lambda root: [draw(root, masks=f"masks/{{}}_{part}.png", paint=draw_case.half_of(part)) for part in (0, 1)],
        (FOLDERS, right("of 3 pictures several masks are joined")),
    ],
    "mask-with-prefix": [
        lambda root: draw(root, "photos/image_{}.jpg", "masks/mask_{}.png"),
        (FOLDERS, right("mask_0.png for image_0.jpg")), (f"{FOLDERS} --mask-name 'mask_{{name}}'", RIGHT),
    ],
    "masks-16-bit": [
        lambda root: draw(root, paint=lambda m, k: m * np.uint16([1, 255, 65535, 1000][k]), numbers=range(4)),
        (FOLDERS, FOUR),
    ],
    "masks-half-size": [
        lambda root: draw(root, paint=lambda m, k: m[::2, ::2] * 255),
        (FOLDERS, says("--resize-masks")), (f"{FOLDERS} --resize-masks", right(least=0.9)),
    ],
    "masks-in-subfolder-images-not": [
        lambda root: draw(root, masks="masks/car/{}.png"), (FOLDERS, says("photos and masks/car")),
        ("from_folders photos masks/car out", RIGHT),
    ],
    "masks-npy": [lambda root: draw(root, masks="masks/{}.npy", paint=lambda m, k: m), (FOLDERS, RIGHT)],
    "pictures-of-all-modes": [draw_case.photos_of_all_modes, (FOLDERS, right(photos=range(7)))],
    "rgba-cutouts-as-masks": [lambda root: draw(root, paint=draw_case.cut_out), (FOLDERS, right("are cut-outs"))],
    "same-mask-names-two-cameras": [
        lambda root: draw(root, "photos/cam{}/001.jpg", "masks/cam{}/001.png"), (FOLDERS, RIGHT),
    ],
    "soft-masks": [
        lambda root: draw(root, paint=draw_case.soft),
        (FOLDERS, says("--threshold 128")), (f"{FOLDERS} --threshold 128", OUTLINED),
    ],
    "symlinked-subfolder": [
        draw_case.link, (FOLDERS, says("photos/b: it is a link", "masks/b: it is a link", "copy there")),
        draw_case.copy_links, (FOLDERS, FOUR),
    ],
    "train-val-subfolders": [
        draw_case.official, (FOLDERS, right("are those of the folders", splits=["train", "validation", "test"])),
    ],
    "two-classes-skip-bad": [
        lambda root: draw(root, paint=draw_case.classes, numbers=range(4)),
        (FOLDERS, says("0, 1 and 2", "--object 1")), (f"{FOLDERS} --skip-bad", says("--object 1")),
        (f"{FOLDERS} --object 1", right(empty={3}, photos=range(4))),
    ],
    "voc-palette-border": [
        lambda root: draw(root, paint=indices(7, 255)), (FOLDERS, says("--object 7", "--not-judged 255")),
        (f"{FOLDERS} --object 7 --not-judged 255", right(void=0.05)),
    ],
    "void-255-taken-for-car": [
        lambda root: draw(root, paint=draw_case.void, numbers=range(4)),
        (FOLDERS, says("0, 1 and 255", "--object 1", "--not-judged 255")),
        (f"{FOLDERS} --object 1 --not-judged 255", right(empty={3}, photos=range(4))),
    ],
    "yolo-polygons": [
        tool_exports.yolo, ("from_folders images labels out", says("from_tool.py")),
        ("from_tool . out", right(photos=range(2), splits=["train"] * 2, least=OUTLINE)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("steps", CASES.values(), ids=CASES)
def test_what_people_have_is_read_right_or_a_sentence_names_what_makes_it_so(tmp_path, monkeypatch, capsys, steps):
    monkeypatch.chdir(tmp_path)
    for step in steps:
        if callable(step):
            step(tmp_path)
        else:
            step[1](follow(step[0], capsys))
