import json
import random
from pathlib import Path

import datasets
import numpy as np
import pytest
from made_up import SIZE, folders, import_folders, picture, rows
from PIL import Image

from carmask.tasks.dot_files import dots_as_csv
from carmask.tasks.dots_task import Dot
from data_scripts import compose, from_csv, merge

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


def test_pictures_that_show_none_of_the_dots_are_told_with_one_option(tmp_path):
    others = tmp_path / "others"
    others.mkdir()
    for name in "ab":
        picture().save(others / f"{name}.jpg")
    assert from_csv.main([*table(tmp_path, *GOOD), "--no-dots", str(others)]) == 0
    found = {Path(row["file_name"]).stem: row["dots"] for row in rows(tmp_path / "out")}
    assert found["a"] == [[0.25, 0.5], [0.0, 0.0]]
    assert found["no_dots_a"] == found["no_dots_b"] == [None, None]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_separators_decimal_commas_and_names_without_ending_are_read(tmp_path, mark):
    lines = [line.replace(",", mark).replace(".jpg", "").replace("10", "10,5") for line in GOOD]
    assert from_csv.main(table(tmp_path, "\ufeff" + lines[0], "", *lines[1:])) == 0
    assert rows(tmp_path / "out")[0]["dots"][0] == [10.5 / WIDTH, 0.5]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a.jpg,10,,0,0", "line 2: nose has only one of x and y"),
        ("a.jpg,nan,15,0,0", "line 2: nose has only one of x and y"),
        ("a.jpg,ten,15,0,0", "line 2: nose has ten, which is no number"),
        ("a.jpg,1e999,15,0,0", "no number"),
        ("a.jpg,1_0,15,0,0", "no number"),
        ("a.jpg,inf,15,0,0", "no number"),
        ('a.jpg,"1,234",15,0,0', "no number"),
        ("a.jpg,10,15", "line 2: 3 cells where the header has 5"),
        ("a.jpg,41.1,15,0,0", "nose is at (41.1, 15), outside the picture of 40×30 pixels"),
        ("a.jpg,-1.1,15,0,0", "outside the picture"),
        ("a.jpg,-1,31.5,0,0", "outside the picture"),
        ("c.jpg,10,15,0,0", "line 2: missing partner: there is no picture c.jpg"),
        (",10,15,0,0", "line 2: missing partner: there is no picture without a name"),
        ("a/" * 5000 + ",10,15,0,0", "is too long for a name"),
        ("b.jpg,10,15,0,0", "line 3: b.jpg has a row already"),
    ],
    ids=range(15),
)
def test_every_bad_row_is_listed_with_its_reason_and_nothing_is_written(tmp_path, capsys, line, reason):
    arguments = table(tmp_path, GOOD[0], line, GOOD[2])
    assert from_csv.main(arguments) == 1
    words = capsys.readouterr().err
    assert reason in words
    assert len(words) < 1000
    assert not (tmp_path / "out").exists()
    assert from_csv.main([*arguments, "--skip-bad"]) == 0


def test_pictures_without_a_row_are_counted_and_left_out(tmp_path, capsys):
    assert from_csv.main(table(tmp_path, *GOOD[:2], names=("a", "b", "c"))) == 0
    assert "Pictures without a row in the table, left out: 2.\n" in capsys.readouterr().err
    assert [row["group"] for row in rows(tmp_path / "out")] == ["a"]


def test_a_table_of_other_pictures_is_one_sentence_and_their_folder_mends_it(tmp_path, capsys):
    arguments = table(tmp_path, GOOD[0], *(f"{number}.jpg,1,2,3,4" for number in range(9)))
    assert from_csv.main(arguments) == 1
    words = capsys.readouterr().err
    assert words.count("\n") == 1
    assert "names a picture in" in words
    assert "the first names 0.jpg; give the folder they are in" in words
    (tmp_path / "others").mkdir()
    for number in range(9):
        picture(number).save(tmp_path / f"others/{number}.jpg")
    assert from_csv.main([arguments[0], str(tmp_path / "others"), arguments[2]]) == 0


def test_what_pandas_makes_of_a_second_dot_of_a_name_is_one(tmp_path):
    header = "file,wheel_x,wheel_y,wheel_x.1,wheel_y.1"
    assert from_csv.main(table(tmp_path, header, "a.jpg,10,15,20,30", "b.jpg,,,40,30")) == 0
    assert rows(tmp_path / "out")[0]["dots"] == [[0.25, 0.5], [0.5, 1.0]]
    assert json.loads((tmp_path / "out/dot_names.json").read_text()) == ["wheel", "wheel"]


@pytest.mark.parametrize("lines", [("a.jpg\t1,024\t7.5", "b.jpg\t9\t1,200"), ("a.jpg\t1.024\t7,5", "b.jpg\t9\t8")])
def test_marks_of_thousands_beside_those_of_fractions_are_refused(tmp_path, capsys, lines):
    assert from_csv.main(table(tmp_path, "file\tnose_x\tnose_y", *lines)) == 1
    assert "save the table anew without a mark for thousands" in capsys.readouterr().err


@pytest.mark.parametrize(
    "header",
    [
        "file|nose_x|nose_y",
        "file nose_x nose_y",
        "file,nose_x",
        "file,nose_x,ear_y",
        "file,nose_x,nose_y,nose_hidden",
        "file,x,y",
        "file",
        "",
    ],
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


# What a table may look like, and the options that it is read with; the dots of a and b, in pixels.
SAME = {"a": [(10, 15), (5, 6)], "b": [None, (40, 30)]}
FORMS = {
    "pandas index": (",file,nose_x,nose_y,ear_x,ear_y", "0,a.jpg,10,15,5,6", "1,b.jpg,,,40,30"),
    "unnamed index": ("Unnamed: 0,nose_x,nose_y,ear_x,ear_y", "a.jpg,10,15,5,6", "b.jpg,,,40,30"),
    "index and other name": ("index,datei,nose_x,nose_y,ear_x,ear_y", "0,a.jpg,10,15,5,6", "1,b.jpg,,,40,30"),
    "file last": ("nose_x,nose_y,ear_x,ear_y,File Name", "10,15,5,6,a.jpg", ",,40,30,b.jpg"),
    "visible": ("image,nose_x,nose_y,nose_v,ear_x,ear_y,ear_v", "a.jpg,10,15,2,5,6,1", "b.jpg,0,0,0,40,30,2"),
    "visible last": ("image,nose_x,nose_y,ear_x,ear_y,nose_visible,ear_visible",
                     "a.jpg,10,15,5,6,True,True", "b.jpg,9,9,40,30,False,True"),
    "axis first": ("image,x_nose,x_ear,y_nose,y_ear", "a.jpg,10,5,15,6", "b.jpg,,40,,30"),
    "spaces and dots": ("Path,nose X,nose Y,ear.x,ear.y", "a.jpg,10,15,5,6", "b.jpg,N/A,none,40,30"),
    "trailing": ("file,nose_x,nose_y,ear_x,ear_y,", "a.jpg,10,15,5,6,", "b.jpg,NaN,nan,40,30"),
    "windows": ("file,nose_x,nose_y,ear_x,ear_y", "C:\\me\\images\\A.PNG,10,15,5,6", "../../x/b,NULL,NA,40,30"),
    "long": ("file,name,x,y,score", "a.jpg,nose,10,15,1", "a.jpg,ear,5,6,1", "b.jpg,nose,,,0.2", "b.jpg,ear,40,30,1"),
    "long, none": (",Image,Label,X,Y", "0,a.jpg,nose,10,15", "1,b.jpg,ear,40,30", "2,a.jpg,ear,5,6"),
    "deeplabcut": ("scorer,me,me,me,me", "bodyparts,nose,nose,ear,ear", "coords,x,y,x,y",
                   "labeled-data/v/a.jpg,10,15,5,6", "labeled-data/v/b.jpg,,,40,30"),
    "deeplabcut, three": ("scorer,,,me,me,me,me", "bodyparts,,,nose,nose,ear,ear", "coords,,,x,y,x,y",
                          "labeled-data,v,a.jpg,10,15,5,6", "labeled-data,v,b.jpg,,,40,30"),
    "Excel's first line and comments": ("sep=,", "# by me", "file,nose_x,nose_y,ear_x,ear_y", "a.jpg,10,15,5,6",
                                        "#a.jpg,9,9,9,9", "b.jpg,,,40,30"),
    "decimal commas in quotes": ("file,nose_x,nose_y,ear_x,ear_y", 'a,"10,0","15,0000","5,00",6', 'b,,,40,"30,0"'),
    "camel case, visible": ("file,noseX,noseY,noseVisible,earX,earY,earVisible", "a.jpg,10,15,1,5,6,1",
                            "b.jpg,,,0,40,30,1"),
    "is visible": ("file,nose_x,nose_y,nose_is_visible,ear_x,ear_y,ear_is_visible", "a.jpg,10,15,1,5,6,1",
                   "b.jpg,#N/A,#N/A,0,40,30,1"),
    "camel case": ("file,noseX,noseY,earX,earY", "a.jpg,10,15,5,6", "b.jpg,,,40,30"),
    "a number in front": ("id,photo,nose_x,nose_y,ear_x,ear_y", "2,a.jpg,10,15,5,6", "1,b.jpg,,,40,30"),
    "a number in its place": ("image,file_name,nose_x,nose_y,ear_x,ear_y", "2,a.jpg,10,15,5,6", "1,b.jpg,,,40,30"),
    "long, numbers": ("image,photo,part,x,y", "1,a.jpg,nose,10,15", "2,b.jpg,ear,40,30", "1,a.jpg,Ear,5,6"),
    "addresses": ("file,nose_x,nose_y,ear_x,ear_y", "https://x.org/a.jpg?raw=1,10,15,5,6", "x.org/b.jpg?v,,,40,30"),
    "spaces before quotes": ("file, nose_x, nose_y, ear_x, ear_y", '"a.jpg", "10", "15", 5, 6', "b.jpg, , , 40, 30"),
    "likelihood": ("scorer,me,me,me,me,me,me", "bodyparts,nose,nose,nose,ear,ear,ear",
                   "coords,x,y,likelihood,x,y,likelihood", "a.jpg,10,15,1,5,6,1", "b.jpg,,,,40,30,0.5"),
}  # fmt: skip


@pytest.mark.parametrize("lines", FORMS.values(), ids=FORMS)
def test_each_form_of_a_table_gives_the_same_dots(tmp_path, capsys, lines):
    assert from_csv.main(table(tmp_path, *lines)) == 0
    found = {row["group"]: row["dots"] for row in rows(tmp_path / "out")}
    expected = {
        name: [dot and [round(dot[0] / WIDTH, 6), round(dot[1] / HEIGHT, 6)] for dot in dots]
        for name, dots in SAME.items()
    }
    assert found == expected
    assert json.loads((tmp_path / "out/dot_names.json").read_text()) == ["nose", "ear"]
    words = capsys.readouterr().err
    assert ("visibility other than 0, 1 and 2" in words) == (lines == FORMS["likelihood"])
    assert ("marked as not visible, which count as missing: 1" in words) == (lines == FORMS["visible last"])


@pytest.mark.parametrize(
    ("lines", "words", "remedy"),
    [
        (["10,15,0,0", "0,0,40,30"], "2 lie at (0, 0)", ["--missing", "0"]),
        (["10,15,-1,-1", ",,40,30"], "1 lie at (-1, -1)", ["--missing", "-1"]),
        (["10,15,-999,-999", "-999,-999,40,30"], "2 lie at (-999, -999)", ["--missing", "-999"]),
        (["0.25,0.5,,", ",,1,1"], "2 lie between 0 and 1", ["--fractions"]),
        (["0.25,0.5,,", ",,1.004,1"], "2 lie between 0 and 1", ["--fractions"]),
        (["0.25,0.5,0,0", "0,0,1,1"], "2 lie at (0, 0) and 2 lie between", ["--missing", "0", "--fractions"]),
        (["10,15,0,0", "0,0,-1,-1"], "(-1, -1) and 2 lie at (0, 0)", ["--missing", "-1", "--missing", "0"]),
    ],
)
def test_points_that_are_no_pixels_are_refused_and_the_options_named_read_them(tmp_path, capsys, lines, words, remedy):
    one, two = lines
    arguments = table(tmp_path, GOOD[0], f"a.jpg,{one}", f"b.jpg,{two}")
    assert from_csv.main(arguments) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert words in said
    assert f"add {' '.join(remedy)}, so that" in said
    assert not (tmp_path / "out").exists()
    assert from_csv.main([*arguments, *remedy]) == 0
    dots = [dot for row in rows(tmp_path / "out") for dot in row["dots"]]
    assert dots[0] == [0.25, 0.5]
    assert dots[1:3] == [None, None]
    assert dots[3] == ([1, 1] if "(-1, -1) and" not in words else None)


def test_a_single_point_in_the_corner_is_read_and_said_aloud(tmp_path, capsys):
    assert from_csv.main(table(tmp_path, *GOOD)) == 0
    assert "which are missing if you add --missing 0: 1." in capsys.readouterr().err
    assert from_csv.main([str(tmp_path / name) for name in ("points.csv", "images", "two")] + ["--missing", "0"]) == 0
    assert rows(tmp_path / "two")[0]["dots"][1] is None


def test_points_up_to_a_pixel_outside_are_moved_to_the_edge_and_counted(tmp_path, capsys):
    assert from_csv.main(table(tmp_path, GOOD[0], "a.jpg,-0.3,15,41,30.4", "b.jpg,20,31,40,-1")) == 0
    assert [row["dots"] for row in rows(tmp_path / "out")] == [[[0, 0.5], [1, 1]], [[0.5, 1], [1, 0]]]
    assert "Points up to a pixel outside their picture, moved to its edge: 4." in capsys.readouterr().err


def test_the_program_s_own_dots_csv_is_read_back(tmp_path):
    folders(tmp_path, ("-a", "b"))
    nowhere = Dot("hub", None, None, 0.1)
    answers = [("-a.jpg", [Dot("wheel", 10, 15, 0.9), Dot("wheel", 20, 3, 0.8), nowhere]), ("b.jpg", [nowhere])]
    (tmp_path / "dots.csv").write_text(dots_as_csv(answers))
    assert from_csv.main([str(tmp_path / name) for name in ("dots.csv", "images", "out")]) == 0
    assert json.loads((tmp_path / "out/dot_names.json").read_text()) == ["wheel", "wheel", "hub"]
    assert [row["dots"] for row in rows(tmp_path / "out")] == [[[0.25, 0.5], [0.5, 0.1], None], [None] * 3]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_name_with_an_umlaut_is_found_in_each_encoding(tmp_path, encoding):
    folders(tmp_path, ("Käfer",))
    (tmp_path / "points.csv").write_text("file\tnose_x\tnose_y\r\nKäfer.jpg\t10\t15\r\n", encoding, newline="")
    assert from_csv.main([str(tmp_path / name) for name in ("points.csv", "images", "out")]) == 0
    assert rows(tmp_path / "out")[0]["group"] == "Käfer"


def test_folders_called_train_and_test_keep_their_pictures(tmp_path):
    arguments = table(tmp_path, GOOD[0], "train/a.jpg,10,15,1,1", "test/b.jpg,1,1,40,30", names=())
    for seed, name in enumerate(("train/a", "test/b")):
        (tmp_path / f"images/{name}").parent.mkdir()
        picture(seed).save(tmp_path / f"images/{name}.jpg")
    assert from_csv.main(arguments) == 0
    names = [row["file_name"] for split in ("train", "test") for row in rows(tmp_path / "out", split)]
    assert names == ["images/train_a.jpg", "images/test_b.jpg"]


ASIDE = {
    "wide": ("id,file,width,height,nose_x,nose_y,split", "1,a.jpg,40,30,10,15,train"),
    "a box beside": ("file,xmin,ymin,xmax,ymax,nose_x,nose_y", "a.jpg,1,1,20,20,10,15"),
    "long": ("id,file,name,x,y,width", "1,a.jpg,nose,10,15,40"),
}


@pytest.mark.parametrize("lines", ASIDE.values(), ids=ASIDE)
def test_columns_that_are_no_dots_are_left_aside_aloud(tmp_path, capsys, lines):
    assert from_csv.main(table(tmp_path, *lines)) == 0
    assert "Columns left aside as they are no dots: " in capsys.readouterr().err
    assert [row["dots"] for row in rows(tmp_path / "out")] == [[[0.25, 0.5]]]


@pytest.mark.parametrize(
    "header",
    ["x_min,y_min,x_max,y_max", "xmin,ymin,xmax,ymax", "x1,y1,x2,y2", "x_1,y_1,x_2,y_2", "left,top,right,bottom",
     "bbox_x,bbox_y,bbox_width,bbox_height", "x_center,y_center,width,height", "name,x,y,w,h"],
)  # fmt: skip
def test_a_box_is_not_taken_for_dots_which_are_read_under_other_names(tmp_path, capsys, header):
    line = "a.jpg,nose,1,2,3,4" if "name" in header else "a.jpg,1,2,3,4"
    arguments = table(tmp_path, f"file,{header}", line)
    assert from_csv.main(arguments) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "has no dots, but the box" in said
    remedy = (GOOD[0], line) if "name" not in header else ("file,name,x,y", "a.jpg,nose,1,2")
    (tmp_path / "points.csv").write_text("\n".join(remedy))
    assert from_csv.main(arguments) == 0


def test_a_row_of_fractions_among_pixels_is_bad(tmp_path, capsys):
    arguments = table(tmp_path, GOOD[0], "a.jpg,0.25,0.5,0,0", "b.jpg,10,15,40,30")
    assert from_csv.main(arguments) == 1
    assert "a.jpg: all points lie between 0 and 1, unlike those of other pictures" in capsys.readouterr().err
    assert from_csv.main([*arguments, "--skip-bad"]) == 0


@pytest.mark.parametrize(("size", "x", "said"), [((200, 150), 50, True), ((200, 150), 150, False), (SIZE, 20, False)])
def test_points_that_may_be_percent_are_said_aloud_and_read_as_fractions_once_divided(tmp_path, capsys, size, x, said):
    arguments = table(tmp_path, "file,nose_x,nose_y", f"a.jpg,{x},15", names=("a",))
    picture(0, size).save(tmp_path / "images/a.jpg")
    assert from_csv.main(arguments) == 0
    assert ("divide them by 100 and add --fractions" in capsys.readouterr().err) == said
    (tmp_path / "points.csv").write_text("file,nose_x,nose_y\na.jpg,0.5,0.15\n")
    assert from_csv.main([*arguments, "--fractions", "--overwrite"]) == 0
    assert rows(tmp_path / "out")[0]["dots"] == [[0.5, 0.15]]
    assert "percent" not in capsys.readouterr().err


@pytest.mark.parametrize(("name", "code"), [("1", 0), ("01", 0), ("2", 1), ("7", 1), ("a", 1)])
def test_a_number_that_lost_its_zeros_finds_the_only_picture_that_it_can_mean(tmp_path, name, code):
    arguments = table(tmp_path, "file,nose_x,nose_y", f"{name},10,15", names=("001", "02", "002", "b"))
    assert from_csv.main(arguments) == code
    assert not code or not (tmp_path / "out").exists()


STRANGE = {
    "several animals": (b"scorer,me,me\nindividuals,one,one\nbodyparts,nose,nose\ncoords,x,y\n", "several animals"),
    "half a header": (b"scorer,me,me\na.jpg,1,2", "does not begin with DeepLabCut's rows"),
    "umlaut in a header": ("file,süd_x,süd_y\na.jpg,1,2".encode("cp1252"), "save the table as CSV in UTF-8"),
    "NUL": (b"file,nose_x,nose_y\na.jpg,1,\x002", "save the table as CSV in UTF-8"),
    "a spreadsheet": (b"PK\x03\x04\x14\x00\x06\n\xff\xfe\x00", "save the table as CSV in UTF-8"),
    "open quote": (b'file,nose_x,nose_y\n"a.jpg,1,2\nb.jpg,3,4', "line 3: unexpected end of data; mend it"),
    "a long cell": (b"file,nose_x,nose_y\na.jpg,1," + b"2" * 10_000_000, "field larger than field limit"),
    "a long line": (b"file,nose_x,nose_y\na.jpg,1" + b",2" * 2_000_000, "2000002 cells where the header has 3"),
    "many blank cells": (b"file,nose_x,nose_y\na.jpg,1,2" + b"," * 4_000_000 + b"3", "cells where the header has 3"),
    "long name": (b"file," + b"_" * 100_000 + b"x\n", "names no dots: its header should look like"),
    "many digits": (b"file,nose_x,nose_y\na.jpg,1," + b"1" * 100_000 + b"a", "which is no number"),
    "many columns": (b"file" + b"".join(b",%d_x,%d_y" % (i, i) for i in range(50_000)), "50000 dots"),
    "many dots": (b"file,name,x,y\n" + b"a.jpg,nose,1,2\n" * 50_000, "50000 dots, which is more than 1000"),
    "header only": (b"file,nose_x,nose_y\n", "it has a header only"),
    "no dot name": (b"file,name,x,y\na.jpg,,1,2\nb.jpg,nose,1,2", "a dot has no name"),
    "no file column": (b"name,x,y\nnose,1,2", "has no column file"),
    "no file column at all": (b"nose_x,nose_y\n1,2", "has no column file: add it"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "words"), STRANGE.values(), ids=STRANGE)
def test_a_strange_table_is_one_short_sentence(tmp_path, capsys, content, words):
    folders(tmp_path)
    (tmp_path / "points.csv").write_bytes(content)
    assert from_csv.main([str(tmp_path / name) for name in ("points.csv", "images", "out")]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") <= 2
    assert len(said) < 500


PARTS = [
    b",", b"\n", b'"', b"\0", b"\xff", b"nan", b"-1", b"1e308", b"../", b"\\", b";", b"\t", b"\r", b"x" * 3000,
    b"_x",
]  # fmt: skip


def test_mutated_tables_end_with_0_or_1_and_few_words(tmp_path, capsys):
    folders(tmp_path)
    arguments = [str(tmp_path / name) for name in ("points.csv", "images", "out")]
    for seed in range(150):
        dice = random.Random(seed)
        content = "\n".join(dice.choice([GOOD, *FORMS.values()])).encode(dice.choice(["utf-8", "utf-16"]))
        for _ in range(dice.randint(1, 4)):
            start = dice.randrange(len(content) + 1)
            content = content[:start] + dice.choice(PARTS) + content[start + dice.randrange(4) :]
        (tmp_path / "points.csv").write_bytes(content)
        assert from_csv.main([*arguments, "--overwrite", *["--skip-bad"] * (seed % 2)]) in (0, 1), seed
        assert len(capsys.readouterr().err) < 3000, seed


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


def test_a_missing_picture_is_never_replaced_by_one_of_the_same_name_in_another_folder(tmp_path, capsys):
    images = tmp_path / "images"
    for place in ("film1/1", "film2/1", "film2/2"):
        (images / place).parent.mkdir(parents=True, exist_ok=True)
        picture().save(images / f"{place}.jpg")
    (tmp_path / "points.csv").write_text("file,nose_x,nose_y\nfilm1/1.jpg,9,9\nfilm1/2.jpg,9,9\n")
    arguments = [str(tmp_path / "points.csv"), str(images), str(tmp_path / "out")]
    assert from_csv.main(arguments) == 1
    assert "missing partner: there is no picture film1/2.jpg" in capsys.readouterr().err


def test_pictures_without_dots_keep_the_splits_of_their_folders(tmp_path):
    arguments = table(tmp_path, *GOOD)
    for split in ("train", "val"):
        (tmp_path / "others" / split).mkdir(parents=True)
        picture().save(tmp_path / "others" / split / "c.jpg")
        (tmp_path / "images" / split).mkdir()
        name = "ab"[split == "val"]
        (tmp_path / "images" / f"{name}.jpg").rename(tmp_path / "images" / split / f"{name}.jpg")
    assert from_csv.main([*arguments, "--no-dots", str(tmp_path / "others")]) == 0
    assert [len(rows(tmp_path / "out", split)) for split in ("train", "validation")] == [2, 2]


def test_a_path_from_far_above_finds_its_picture_whatever_its_folders_are_called(tmp_path):
    images = tmp_path / "photos/2023/05"
    for day in ("04", "05", "06"):
        (images / day).mkdir(parents=True)
        picture().save(images / day / f"{day}.jpg")
    lines = [f"C:\\photos\\2023\\05\\{day}\\{day}.jpg,9,9" for day in ("04", "06")]
    (tmp_path / "points.csv").write_text("\n".join(["file,nose_x,nose_y", *lines]))
    assert from_csv.main([str(tmp_path / "points.csv"), str(images), str(tmp_path / "out")]) == 0
    assert len(rows(tmp_path / "out")) == 2
