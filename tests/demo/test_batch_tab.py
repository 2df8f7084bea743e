"""The tab for many pictures without a browser: masks, table, refusals and failures."""

import csv
import io
import os
import zipfile
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from conftest import drawn_car, png
from PIL import Image

from carmask import Predictor
from carmask.demo import batch_tab, picture_zips, uploads
from carmask.demo.batch_tab import TAKEN, make_batch
from carmask.demo.mask_answer import object_margin


@pytest.fixture(scope="module")
def predictor(tiny_mask_model):
    return Predictor.from_pretrained(tiny_mask_model)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The upload folder."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    return tmp_path / "uploads"


def uploaded(folder, name="a.png", seed=0):
    path = folder / f"{seed}.png"
    drawn_car(seed=seed)[0].save(path)
    return {"path": str(path), "orig_name": name}


def zipped(folder, *entries):
    with zipfile.ZipFile(folder / "given.zip", "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return {"path": str(folder / "given.zip"), "orig_name": "trip.zip"}


def batch_of(predictor, runs=None):
    def find_margin(_, picture):
        if runs is not None:
            runs.append(picture.size)
        return object_margin(predictor, picture)

    return make_batch(["one"], lambda name: predictor, find_margin)


def answer(predictor, uploads):
    *_, (path, line, drawn) = batch_of(predictor)(uploads)
    return Path(path), line, drawn


def read(path):
    """The masks in the zip of answers, by name, and the rows of its table."""
    with zipfile.ZipFile(path) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("masks.csv").decode())))
        names = [name for name in archive.namelist() if name != "masks.csv"]
        return {name: Image.open(io.BytesIO(archive.read(name))) for name in names}, rows


def test_every_mask_is_the_predictors_bit_for_bit_in_its_sub_folder(predictor, folder):
    path, line, drawn = answer(predictor, [zipped(folder, ("a.png", png(1)), ("b/c/a.png", png(2)))])
    masks, rows = read(path)
    assert list(masks) == ["a_mask.png", "b/c/a_mask.png"]
    for seed, (mask, row) in enumerate(zip(masks.values(), rows, strict=True), start=1):
        expected = predictor(drawn_car(seed=seed)[0])
        assert (mask.format, mask.mode, mask.info) == ("PNG", "L", {})
        assert np.array_equal(mask, expected)
        assert float(row["car_share"]) == pytest.approx(np.mean(expected > 0), abs=1e-5)
        assert 0 < float(row["doubtful_share"]) <= 1
        assert row["refused"] == ""
    assert "Masks drawn: 2 · refused: 0" in line
    assert path.name == "trip_masks.zip"
    assert [caption.split(" · ")[0] for _, caption in drawn.overlays] == ["a.png", "b/c/a.png"]
    assert all(Image.open(overlay).size == (96, 64) for overlay, _ in drawn.overlays)


def test_loose_pictures_keep_their_names(predictor, folder):
    names = ["one.png", "../two.jpg", "half a character \ud800.png"]
    path, *_ = answer(predictor, [uploaded(folder, name, seed) for seed, name in enumerate(names)])
    assert list(read(path)[0]) == ["one_mask.png", "two_mask.png", "half a character __mask.png"]
    assert path.name == "pictures_masks.zip"


def test_a_bad_picture_is_reported_and_the_rest_goes_on(predictor, folder):
    entries = [("a.png", b"GIF8"), ("../b.png", png(1)), ("c.png", png(1)), ("C.jpg", png(2)), ("notes.txt", b"x")]
    path, line, drawn = answer(predictor, [zipped(folder, *entries)])
    masks, rows = read(path)
    assert list(masks) == ["c_mask.png"]
    assert [row["file"] for row in rows] == [name for name, _ in entries]
    words = ["damaged or incomplete", "leads out of its folder", "", "replace that of another", "not a picture"]
    assert all(part in row["refused"] for part, row in zip(words, rows, strict=True))
    assert [row["car_share"] == "" for row in rows] == [True, True, False, True, True]
    assert "Masks drawn: 1 · refused: 4" in line
    assert len(drawn.overlays) == 1


def test_a_picture_that_lent_no_mask_leaves_its_name_to_the_next(predictor, folder):
    path, *_ = answer(predictor, [zipped(folder, ("a.gif", b"GIF8"), ("a.png", png(1)))])
    assert list(read(path)[0]) == ["a_mask.png"]


@pytest.mark.parametrize(
    ("give", "words"),
    [
        (lambda folder: None, "Choose a picture first"),
        (lambda folder: [], "Choose a picture first"),
        (lambda folder: [{"path": "/etc/hostname"}], "no longer on the server"),
        (lambda folder: [uploaded(folder, seed=seed) for seed in range(3)], "more than"),
        (lambda folder: [zipped(folder, ("a.png", b"x")), uploaded(folder)], "one zip alone"),
        (lambda folder: [zipped(folder)], "no picture in this zip"),
    ],
)
def test_what_is_refused_as_a_whole_says_why_in_one_sentence(give, words, predictor, folder, monkeypatch):
    monkeypatch.setattr(picture_zips, "MAX_PICTURES", 2)
    with pytest.raises(gr.Error) as refused:
        list(batch_of(predictor)(give(folder)))
    assert words in refused.value.message
    assert refused.value.message.count(".") == 1


def test_pictures_that_are_too_large_together_are_refused(predictor, folder, monkeypatch):
    uploads = [uploaded(folder, seed=seed) for seed in range(2)]
    monkeypatch.setattr(picture_zips, "MAX_BYTES", sum(Path(upload["path"]).stat().st_size for upload in uploads) - 1)
    with pytest.raises(gr.Error, match="larger than 200 MB together"):
        list(batch_of(predictor)(uploads))


def test_a_step_draws_one_picture_and_a_visitor_who_leaves_stops_the_rest(predictor, folder):
    runs = []
    batch = batch_of(predictor, runs)([uploaded(folder, f"{seed}.png", seed) for seed in range(4)])
    for done in range(3):
        assert f"{done} of 4 pictures" in next(batch)[1]
        assert len(runs) == done
    batch.close()
    assert len(runs) == 2


def test_whatever_fails_with_one_picture_the_others_keep_their_masks(predictor, folder, caplog):
    failures = iter([MemoryError(), None, gr.Error("No GPU is left."), AssertionError("a path")])

    def find_margin(_, picture):
        if failure := next(failures):
            raise failure
        return object_margin(predictor, picture)

    batch = make_batch(["one"], lambda name: predictor, find_margin)
    *_, (path, line, _) = batch([uploaded(folder, f"{seed}.png", seed) for seed in range(4)])
    masks, rows = read(path)
    assert list(masks) == ["1_mask.png"]
    assert [row["refused"] for row in rows] == [batch_tab.FAILED, "", "No GPU is left.", batch_tab.FAILED]
    assert "Masks drawn: 1 · refused: 3" in line
    assert len(caplog.messages) == 2


def test_a_batch_keeps_its_uploads_and_answers_while_it_runs(predictor, folder):
    files = [uploaded(folder, f"{seed}.png", seed) for seed in range(3)]
    batch = batch_of(predictor)(files)
    next(batch)
    for _ in files[:-1]:
        for path in folder.rglob("*"):
            os.utime(path, (0, 0))
        next(batch)
        uploads.sweep()
        assert all(Path(file["path"]).stat().st_mtime > 0 for file in files)
    *_, (path, _, drawn) = batch
    assert len(read(path)[0]) == len(drawn.overlays) == 3
    assert all(Path(overlay).is_file() for overlay, _ in drawn.overlays)


def test_no_two_masks_differ_only_by_case_or_normal_form_or_as_file_and_folder(predictor, folder):
    names = ["É.png", "e\u0301.png", "STRASSE.png", "straße.png", "a.png", "A_mask.png/b.png", "masks.csv/a.png"]
    entries = [(name, png(index)) for index, name in enumerate(names)]
    masks, rows = read(answer(predictor, [zipped(folder, *entries)])[0])
    assert list(masks) == ["É_mask.png", "STRASSE_mask.png", "a_mask.png"]
    assert [row["refused"] for row in rows] == ["", TAKEN, "", TAKEN, "", TAKEN, TAKEN]


def test_what_a_batch_leaves_goes_with_the_other_uploads(predictor, folder):
    path, *_ = answer(predictor, [zipped(folder, ("a.png", png(1)), ("b.png", b"GIF8"))])
    assert {left.name for left in folder.iterdir()} == {"given.zip", path.parent.name}
    os.utime(path.parent, (0, 0))
    uploads.sweep()
    assert [left.name for left in folder.iterdir()] == ["given.zip"]
