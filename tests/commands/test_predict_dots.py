import csv
import json
import os

import pytest
from PIL import Image

from carmask import Predictor
from carmask.commands.predict import main
from carmask.tasks.dot_files import rounded
from carmask.tasks.dots_task import Dot


def run(model, *arguments):
    return main([*map(str, arguments), "--model", str(model)])


def test_each_picture_gets_its_dots_and_one_table_holds_them_all(dots_model, pictures, tmp_path):
    assert run(dots_model, pictures, "--out", tmp_path / "out", "--task", "dots") == 0
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.glob("out/**/*.*"))
    assert written == ["a_dots.json", "b_dots.json", "dots.csv", "inner/a_dots.json"]
    predictor = Predictor.from_pretrained(dots_model)
    expected = {name: predictor(Image.open(pictures / name)) for name in ("a.png", "b.jpg", "inner/a.png")}
    record = json.loads((tmp_path / "out/a_dots.json").read_text())
    assert (record["file"], record["width"], record["height"]) == ("a.png", 96, 64)
    assert [Dot(**dot) for dot in record["dots"]] == [rounded(dot) for dot in expected["a.png"]]
    with (tmp_path / "out/dots.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["file", "name", "x", "y", "score"]
    assert rows[1:] == [
        [name, *("" if value is None else str(value) for value in rounded(dot))]
        for name, dots in expected.items()
        for dot in dots
    ]


def test_the_model_decides_the_task_when_none_is_demanded(dots_model, tiny_mask_model, pictures, tmp_path):
    assert run(dots_model, pictures / "a.png", "--out", tmp_path / "out") == 0
    assert run(tiny_mask_model, pictures / "a.png", "--out", tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a_dots.json", "dots.csv", "a_mask.png"}


def test_a_file_name_that_is_no_text_stands_in_the_table_all_the_same(dots_model, pictures, tmp_path):
    (pictures / "a.png").rename(pictures / os.fsdecode(b"caf\xe9.png"))
    assert run(dots_model, pictures, "--out", tmp_path / "out") == 0
    assert "caf?.png" in (tmp_path / "out/dots.csv").read_text()


@pytest.mark.parametrize("task", ["mask", "dots"])
def test_a_model_of_the_other_task_gives_one_sentence_and_nothing_is_written(
    task, dots_model, tiny_mask_model, pictures, tmp_path, capsys
):
    other = {"mask": dots_model, "dots": tiny_mask_model}[task]
    assert run(other, pictures, "--out", tmp_path / "out", "--task", task) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_threshold_decides_which_dots_are_in_the_picture(dots_model, pictures, tmp_path):
    found = {}
    for threshold in ("0.01", "0.9999999"):
        run(dots_model, pictures / "a.png", "--out", tmp_path / threshold, "--threshold", threshold)
        dots = json.loads((tmp_path / threshold / "a_dots.json").read_text())["dots"]
        found[threshold] = sum(dot["x"] is not None for dot in dots)
    assert found["0.9999999"] == 0 < found["0.01"]


def test_a_bad_file_is_reported_and_the_table_holds_the_rest(dots_model, pictures, tmp_path, capsys):
    (pictures / "bad.jpg").write_bytes(b"no picture")
    assert run(dots_model, pictures, "--out", tmp_path / "out") == 1
    assert "bad.jpg" in capsys.readouterr().err
    with (tmp_path / "out/dots.csv").open(newline="") as file:
        assert {row["file"] for row in csv.DictReader(file)} == {"a.png", "b.jpg", "inner/a.png"}
