"""The laws of foreign data sets: any usual column, split and encoding gives the masks that were drawn."""

import json
from argparse import ArgumentTypeError
from io import BytesIO
from pathlib import Path

import datasets
import numpy as np
import pytest
from conftest import drawn_car
from PIL import Image, ImageFilter

from carmask.data.label_options import LabelOptions
from carmask.data.object_choice import object_choice
from carmask.data.rows import read_row
from carmask.data.sources import open_data
from carmask.errors import DataError
from carmask.files.masks import MaskOptions

PICTURES, MASKS = zip(*(drawn_car(seed=seed) for seed in range(4)), strict=True)


def encoded(scale=1, mode="L"):
    return [Image.fromarray((mask // 255 * scale).astype(np.uint8), mode) for mask in MASKS]


def voc(masks):
    for mask in masks:
        mask.putpalette([0, 0, 0] * 7 + [128] * 3)
    return masks


def save(root, columns, splits=("train", "val"), features=None):
    table = datasets.Dataset.from_dict(columns, features=features)
    datasets.DatasetDict({split: table for split in splits}).save_to_disk(root / "set")
    return str(root / "set")


def choice(text, **said):
    chosen = object_choice(text)
    return LabelOptions(chosen, MaskOptions(objects=chosen.numbers, **said))


def check(data, options=None):
    splits = open_data(data, options=options) if options else open_data(data)
    assert set(splits) == {"train", "validation"}
    for split in splits.values():
        for row, mask in zip(split, MASKS, strict=True):
            assert np.array_equal(read_row(row)[1], mask)


@pytest.mark.parametrize("image", ["image", "pixel_values"])
@pytest.mark.parametrize("mask", ["mask", "label", "labels", "annotation", "segmentation_map"])
def test_the_usual_columns_are_found(tmp_path, image, mask):
    check(save(tmp_path, {image: list(PICTURES), mask: encoded(255), "more": [1, 2, 3, 4]}))


@pytest.mark.parametrize("split", ["val", "valid", "validation", "dev"])
def test_a_split_for_validation_is_taken_for_what_it_is(tmp_path, split):
    check(save(tmp_path, {"image": list(PICTURES), "mask": encoded(255)}, ("train", split)))


@pytest.mark.parametrize("name", ["mask", "label"])
def test_a_column_is_named_where_two_may_be_meant_or_none_is(tmp_path, name):
    columns = {"image": list(PICTURES), "labels": encoded(), "annotation": encoded(255)}
    with pytest.raises(DataError, match="name one with --mask-column"):
        open_data(save(tmp_path, columns))
    check(save(tmp_path / "b", columns), LabelOptions(mask_column="annotation"))
    with pytest.raises(DataError, match="no masks in a column nothing; it has image, labels, annotation"):
        open_data(save(tmp_path / "b", columns), options=LabelOptions(mask_column="nothing"))


def test_a_class_of_the_whole_picture_is_no_mask(tmp_path):
    columns = {"image": list(PICTURES), "label": [0, 1, 0, 1]}
    with pytest.raises(DataError, match="it has image, label: name one with --mask-column"):
        open_data(save(tmp_path, columns))


ENCODINGS = {
    "0 and 1": (encoded(1), None),
    "a class of VOC's palette": (voc(encoded(7, "P")), None),
    "classes": ([Image.fromarray(mask // 255 * 11 + 2) for mask in MASKS], "13"),
    "an alpha": ([Image.merge("LA", [Image.fromarray(mask // 3), Image.fromarray(mask)]) for mask in MASKS], None),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_encoding_is_read(tmp_path, encoding, capsys):
    masks, text = ENCODINGS[encoding]
    data = save(tmp_path, {"image": list(PICTURES), "mask": masks})
    if text:
        with pytest.raises(DataError, match=f"--object {text}"):
            open_data(data)
    check(data, choice(text) if text else None)
    assert "is car" in capsys.readouterr().err


def contents(pictures):
    files = [BytesIO() for _ in pictures]
    for file, picture in zip(files, pictures, strict=True):
        picture.save(file, "PNG")
    return [file.getvalue() for file in files]


@pytest.mark.parametrize("form", ["bytes", "as pandas writes them", "paths"])
def test_pictures_that_are_stored_as_files_are_read(tmp_path, form):
    columns = {"image": contents(PICTURES), "mask": contents(encoded(255))}
    if form == "as pandas writes them":
        columns = {name: [{"bytes": file, "path": None} for file in files] for name, files in columns.items()}
    if form == "paths":
        for name, files in columns.items():
            columns[name] = [str(tmp_path / f"{name}{number}.png") for number in range(len(files))]
            for path, content in zip(columns[name], files, strict=True):
                Path(path).write_bytes(content)
    check(save(tmp_path, columns))


def test_a_column_that_holds_something_else_is_refused_with_a_remedy(tmp_path):
    data = save(tmp_path, {"image": list(PICTURES), "mask": [f"masks/{number}.png" for number in range(4)]})
    with pytest.raises(DataError, match="called mask_file_name"):
        open_data(data, options=LabelOptions(mask_column="mask"))


def test_masks_as_nested_lists_are_read(tmp_path):
    feature = datasets.Array2D(MASKS[0].shape, "uint8")
    masks = [np.asarray(Image.fromarray(mask).resize(MASKS[0].shape[::-1], 0)) for mask in MASKS[:1]]
    features = datasets.Features({"image": datasets.Image(), "mask": feature})
    data = save(tmp_path, {"image": list(PICTURES[:1]), "mask": masks}, features=features)
    assert np.array_equal(read_row(open_data(data)["train"][0])[1], MASKS[0])


def test_jpeg_masks_are_refused_until_there_is_a_threshold(tmp_path):
    jpegs = [BytesIO() for _ in MASKS]
    for file, mask in zip(jpegs, encoded(255), strict=True):
        mask.filter(ImageFilter.GaussianBlur(1)).save(file, "JPEG")
    data = save(
        tmp_path, {"image": list(PICTURES), "mask": [{"bytes": one.getvalue(), "path": None} for one in jpegs]}
    )
    with pytest.raises(DataError, match="JPEG mask.*--threshold 128"):
        open_data(data)
    read_row(open_data(data, options=LabelOptions(masks=MaskOptions(threshold=128)))["train"][0])


@pytest.mark.parametrize("names", [("Train", "Val"), ("train", "dev")])
def test_parquet_files_are_splits_by_their_names_whatever_the_case(tmp_path, names):
    features = datasets.Features({"image": datasets.Image(), "mask": datasets.Image()})
    table = datasets.Dataset.from_dict({"image": list(PICTURES), "mask": encoded(255)}, features=features)
    (tmp_path / "set").mkdir()
    for name in names:
        table.to_parquet(tmp_path / f"set/{name}.parquet")
    check(str(tmp_path / "set"))


def test_an_object_has_one_name():
    assert object_choice("leaf=2,3").numbers == {2, 3}
    with pytest.raises(ArgumentTypeError, match="must name one object"):
        object_choice("leaf=2,stone=3")


def test_a_class_is_found_by_its_name_in_id2label(tmp_path):
    data = save(tmp_path, {"image": list(PICTURES), "mask": encoded(5)})
    (tmp_path / "set/id2label.json").write_text(json.dumps({"0": "road", "5": "Leaf", "7": "tree"}))
    check(data, choice("leaf"))
    with pytest.raises(DataError, match="no class stone; id2label.json has road, Leaf, tree"):
        open_data(data, options=choice("stone"))


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
@pytest.mark.parametrize("place", ["{split}", ""])
def test_an_imagefolder_is_read_with_either_table(tmp_path, name, place):
    for split in ("train", "dev") if place else ("train",):
        folder = tmp_path / place.format(split=split)
        lines = []
        for number, (picture, mask) in enumerate(zip(PICTURES, encoded(1), strict=True)):
            (folder / "images").mkdir(parents=True, exist_ok=True)
            picture.save(folder / f"images/{number}.png")
            mask.save(folder / f"images/{number}_m.png")
            lines.append({"file_name": f"images/{number}.png", "mask_file_name": f"images/{number}_m.png"})
        table = [",".join(lines[0]), *(",".join(line.values()) for line in lines)]
        (folder / name).write_text("\n".join(table if name.endswith("csv") else map(json.dumps, lines)))
    if place:
        check(str(tmp_path))
    else:
        splits = open_data(str(tmp_path))
        assert (len(splits["train"]), len(splits["validation"])) == (3, 1)
        assert all(set(np.unique(read_row(row)[1])) == {0, 255} for row in splits["train"])


def test_the_first_of_two_usual_columns_is_taken_and_said(tmp_path, capsys):
    check(save(tmp_path, {"image": list(PICTURES), "label": encoded(1), "mask": encoded(255)}))
    assert "Of the columns mask and label the first is taken" in capsys.readouterr().err


def test_pictures_whose_masks_may_be_turned_by_exif_or_not_are_said(tmp_path, capsys):
    exif = Image.Exif()
    exif[0x0112] = 3
    (tmp_path / "train").mkdir()
    table = []
    for number, (picture, mask) in enumerate(zip(PICTURES, encoded(255), strict=True)):
        picture.save(tmp_path / f"train/{number}.jpg", **({"exif": exif} if number == 2 else {}))
        mask.save(tmp_path / f"train/{number}.png")
        table.append(f"{number}.jpg,{number}.png")
    (tmp_path / "train/metadata.csv").write_text("\n".join(["file_name,mask_file_name", *table]))
    open_data(str(tmp_path))
    assert "shape that they had before: 1, the first in row 2" in capsys.readouterr().err


def test_pictures_beside_the_folders_of_splits_go_to_train_and_are_said(tmp_path, capsys):
    places = ["train/0", "train/1", "extra/2", "test/3"]
    for place, picture, mask in zip(places, PICTURES, encoded(255), strict=True):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        picture.save(tmp_path / f"{place}.jpg")
        mask.save(tmp_path / f"{place}.png")
    table = ["file_name,mask_file_name", *(f"{place}.jpg,{place}.png" for place in places)]
    (tmp_path / "metadata.csv").write_text("\n".join(table))
    splits = open_data(str(tmp_path))
    assert len(splits["test"]) == 1
    assert "1 of the 4 pictures lie in no folder called train, val or test" in capsys.readouterr().err
