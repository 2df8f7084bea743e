import json
import shutil

import pytest
from conftest import drawn_car
from PIL import Image

from carmask.data.folder import link_example
from carmask.data.layout import file_inside, metadata_rows
from carmask.errors import DataError
from data_scripts import compose, cover, doctor, merge, split

TABLE = "train/metadata.jsonl"
NO_FILE_INSIDE = ["../../secret.png", "{root}/secret.png", "link.png", "links/secret.png", "loop.png", "", None, 3,
                  ["images/0.png"], {}, "a\0b", "a" * 5000]  # fmt: skip
PROGRAMS = {
    "merge": lambda data, out: merge.main([str(out), str(data)]),
    "split": lambda data, out: split.main([str(data), str(out)]),
    "compose": lambda data, out: compose.main([str(data), str(out), "--count", "1"]),
    "cover": lambda data, out: cover.main([str(data), str(data), str(out), "--count", "1"]),
}


@pytest.fixture
def data(tiny_data, tmp_path):
    """A sound data set with a picture beside it, and links in it that lead there."""
    data = shutil.copytree(tiny_data, tmp_path / "data")
    Image.new("L", (96, 64), 255).save(tmp_path / "secret.png")
    (data / "train/link.png").symlink_to(tmp_path / "secret.png")
    (data / "train/links").symlink_to(tmp_path)
    (data / "train/loop.png").symlink_to(data / "train/loop.png")
    return data


def change_row(data, **columns):
    lines = metadata_rows(data / TABLE)
    lines[1].update(columns)
    (data / TABLE).write_text("\n".join(map(json.dumps, lines)))


def named(value, root):
    return value.format(root=root) if isinstance(value, str) else value


@pytest.mark.parametrize("name", NO_FILE_INSIDE, ids=str)
def test_no_name_leads_out_of_a_data_set(data, tmp_path, name):
    assert file_inside(data, "train", named(name, tmp_path)) is None


def test_a_file_inside_is_found_through_links_and_from_the_folder_beside(data):
    file = (data / "train/images/0.png").resolve()
    (data / "train/same.png").symlink_to("images/0.png")
    names = ["images/0.png", "same.png", "../train/images/0.png", str(file)]
    assert [file_inside(data, "train", name) for name in names] == [file] * 4
    assert file_inside(data, "train", "images/none.png") == file.with_name("none.png")


@pytest.mark.parametrize("column", ["file_name", "mask_file_name"])
@pytest.mark.parametrize("name", NO_FILE_INSIDE, ids=str)
@pytest.mark.parametrize("program", PROGRAMS)
def test_no_program_takes_a_file_from_outside_and_each_says_so_in_one_sentence(
    data, tmp_path, capsys, program, name, column
):
    change_row(data, **{column: named(name, tmp_path)})
    assert PROGRAMS[program](data, tmp_path / "out") == 1
    words = capsys.readouterr().err
    assert words.count("\n") == 1
    assert "mend its line, or take it out" in words or (name is None and "no data set of these programs" in words)
    assert not (tmp_path / "out").exists()
    (data / TABLE).write_text("\n".join((data / TABLE).read_text().split("\n")[:1]))
    assert merge.main([str(tmp_path / "out"), str(data)]) == 0


def test_an_example_is_not_linked_from_outside(data, tmp_path):
    row = {"file_name": "../../secret.png", "split": "train"}
    with pytest.raises(DataError, match="leads out of the data set"):
        link_example(row, data / "train", tmp_path / "out", "a", set())


def test_a_linked_picture_inside_is_copied_as_what_it_shows(data, tmp_path):
    (data / "train/same.png").symlink_to("images/0.png")
    change_row(data, file_name="same.png")
    assert merge.main([str(tmp_path / "out"), str(data)]) == 0
    with Image.open(tmp_path / "out/train/images/boxes_same.png") as opened:
        assert not (tmp_path / "out/train/images/boxes_same.png").is_symlink()
        assert opened.size == (96, 64)


@pytest.mark.parametrize("source", ["../../../x", "{root}/x", "a\\b", "a\0b"])
def test_no_source_leads_out_of_the_new_data_set(data, tmp_path, source):
    change_row(data, source=named(source, tmp_path))
    before = set(tmp_path.iterdir())
    assert merge.main([str(tmp_path / "out"), str(data)]) == 0
    assert set(tmp_path.iterdir()) == before | {tmp_path / "out"}
    assert len(list((tmp_path / "out/train/images").iterdir())) == 8


@pytest.mark.parametrize("column", ["file_name", "mask_file_name"])
def test_the_doctor_names_files_outside_and_shows_none(data, tmp_path, capsys, column):
    change_row(data, **{column: "../../secret.png"})
    drawn_car(seed=1)[0].save(tmp_path / "secret.png")
    assert doctor.main([str(data), "--out", str(tmp_path / "findings")]) == 1
    assert "file outside: 1. Copy the file into the data set" in capsys.readouterr().out
    page = (tmp_path / "findings/findings.html").read_text()
    outside = page[page.index("File outside") :].partition("</section>")[0]
    assert outside.count("<img") == (column == "mask_file_name")
    shutil.copy(tmp_path / "secret.png", data / "train/images/secret.png")  # the remedy
    change_row(data, **{column: "images/secret.png"})
    doctor.main([str(data)])
    assert "file outside" not in capsys.readouterr().out


STRANGE = ["[1]", "3", "null", "{", '{"a": "\\ud800"}', "[" * 100_000, "1" * 5000, '{"source": [1]}', '{"group": {}}']


@pytest.mark.parametrize("line", STRANGE, ids=range(len(STRANGE)))
def test_strange_rows_are_one_sentence(data, tmp_path, capsys, line):
    (data / TABLE).write_text(line)
    for program in (doctor.main, lambda given: merge.main([str(tmp_path / "out"), *given])):
        assert program([str(data)]) == 1
        words = capsys.readouterr().err
        assert words.count("\n") == 1
        assert len(words) < 300


def test_blank_lines_a_byte_order_mark_and_numbers_as_groups_are_read(data, tmp_path):
    change_row(data, group=7)
    text = (data / TABLE).read_text()
    (data / TABLE).write_text("\ufeff" + text.replace("\n", "\r\n\r\n"))
    assert merge.main([str(tmp_path / "out"), str(data)]) == 0
    assert "boxes_7" in {row["group"] for row in metadata_rows(tmp_path / "out" / TABLE)}


@pytest.mark.parametrize("dots", [None, 3, "ab", {"nose": [0.5, 0.5]}, [[0.5, 0.5]], [[0.5, 7], None], ["a", None]])
def test_dots_that_do_not_fit_their_names_are_one_sentence(data, tmp_path, capsys, dots):
    (data / "dot_names.json").write_text('["nose", "ear"]')
    for name in ("train", "validation", "test"):
        lines = [row | {"dots": [[0.5, 0.5], None]} for row in metadata_rows(data / name / "metadata.jsonl")]
        (data / name / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert merge.main([str(tmp_path / "sound"), str(data)]) == 0
    change_row(data, dots=dots)
    capsys.readouterr()
    assert merge.main([str(tmp_path / "out"), str(data)]) == 1
    assert "other dots than dot_names.json says" in capsys.readouterr().err
    doctor.main([str(data), "--out", str(tmp_path / "findings")])
