"""Small made-up COCO files for the tests of what reads them."""

import json
from pathlib import Path

import numpy as np
from made_up import CAR_BOX, SIZE, car_mask, picture, written_mask

from data_scripts import from_coco

WIDTH, HEIGHT = SIZE


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


CAR = {"category_id": 0, "segmentation": [box(*CAR_BOX)]}


def car_runs(**more):
    by_column = (np.asarray(car_mask()) > 0).T.ravel()
    borders = np.flatnonzero(np.diff(by_column, prepend=False))
    counts = np.diff([0, *borders, by_column.size]).tolist()
    return {"category_id": 0, "segmentation": {"size": [HEIGHT, WIDTH], "counts": counts}, **more}


def changed(arguments, change):
    """Lets `change` alter the content of the COCO file, and returns the arguments."""
    path = Path(arguments[0])
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return arguments


def is_the_car(root, name="a", split="train"):
    return np.array_equal(written_mask(root / "out", name, split), np.asarray(car_mask()))


def refused(arguments, capsys, *words):
    """The program ends with one sentence that has the words, and nothing is written."""
    assert from_coco.main(arguments) == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert all(word in sentence for word in words), sentence
    return True


def with_points(*points):
    def change(content):
        content["categories"][0]["keypoints"] = ["front", "back"]
        for annotation, (x, y) in zip(content["annotations"], points, strict=True):
            annotation["keypoints"] = [x, y, 2, 20, 15, 1]

    return change
