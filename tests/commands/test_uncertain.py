import csv
import shutil

import numpy as np
import pytest
from conftest import drawn_car
from made_up import import_folders, rows
from PIL import Image

from carmask import Predictor
from carmask.commands import uncertain
from carmask.commands.uncertain import doubt
from carmask.tasks.maps import sigmoid


def run(model, pictures, out, *options):
    return uncertain.main([str(pictures), "--model", str(model), "--out", str(out), *map(str, options)])


def listed(out):
    with (out / "to-label.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def sure(car=0.3, size=(20, 40)):
    """Probabilities of 0 and 1 alone, the share `car` of them 1."""
    probability = np.zeros(size)
    probability[:, : round(car * size[1])] = 1
    return probability


def test_there_is_no_doubt_where_every_probability_is_0_or_1():
    assert doubt(sure(), 0.5) == pytest.approx(0, abs=1e-6)
    assert doubt(sure(car=0), 0.5) == pytest.approx(0, abs=1e-6)


def test_the_doubt_is_the_mean_entropy_of_the_mask_in_bits():
    probability = np.zeros((4, 4))
    probability[0] = 0.5, 0.5, 1, 1
    assert doubt(probability, 0.4) == pytest.approx(0.5)
    assert doubt(np.full((4, 4), 0.25), 0.2) == pytest.approx(0.8113, abs=1e-4)


def test_a_car_of_half_the_size_is_as_doubtful():
    large, small = np.zeros((100, 100)), np.zeros((100, 100))
    large[20:80, 20:80], small[35:65, 35:65] = 0.6, 0.6
    large[24:76, 24:76], small[37:63, 37:63] = 1, 1
    assert doubt(small, 0.5) == pytest.approx(doubt(large, 0.5)) != 0


def test_where_nothing_is_found_the_doubt_grows_with_what_was_nearly_found():
    faint, fainter = np.zeros((100, 100)), np.zeros((100, 100))
    faint[:20, :20], fainter[:5, :5] = 0.3, 0.3
    assert 0 < doubt(fainter, 0.5) < doubt(faint, 0.5) < 0.05


def test_the_most_doubtful_pictures_come_first_in_the_list(tiny_mask_model, pictures, tmp_path):
    assert run(tiny_mask_model, pictures, tmp_path / "out") == 0
    predictor = Predictor.from_pretrained(tiny_mask_model)
    found = listed(tmp_path / "out")
    for row in found:
        probability = sigmoid(predictor.margin(Image.open(row["picture"]).convert("RGB")))
        assert float(row["doubt"]) == pytest.approx(doubt(probability, predictor.threshold), abs=1e-4)
    doubts = [float(row["doubt"]) for row in found]
    assert len(doubts) == 3
    assert doubts == sorted(doubts, reverse=True)
    assert run(tiny_mask_model, pictures, tmp_path / "one", "--top", 1) == 0
    assert listed(tmp_path / "one") == found[:1]


def test_the_drafts_are_the_masks_of_the_model_and_read_back_as_a_data_set(tiny_mask_model, pictures, tmp_path):
    out = tmp_path / "out"
    run(tiny_mask_model, pictures, out)
    predictor = Predictor.from_pretrained(tiny_mask_model)
    for row in listed(out):
        assert np.array_equal(np.array(Image.open(out / row["draft"])), predictor(Image.open(row["picture"])))
    assert import_folders(out / "images", out / "masks", tmp_path / "set", "--split", "train") == 0
    assert [row["file_name"] for row in rows(tmp_path / "set")] == [
        "images/a.png",
        "images/b.jpg",
        "images/inner_a.png",
    ]


def test_a_photo_that_its_exif_turns_is_written_upright(tiny_mask_model, picture_path, tmp_path):
    run(tiny_mask_model, picture_path, tmp_path / "out")
    size = drawn_car()[0].size[::-1]
    for kind, ending in (("images", "jpg"), ("masks", "png")):
        assert Image.open(tmp_path / f"out/{kind}/holiday.{ending}").size == size
    assert import_folders(tmp_path / "out/images", tmp_path / "out/masks", tmp_path / "set") == 0


def test_a_bad_file_and_a_name_given_twice_are_reported_and_the_rest_goes_on(
    tiny_mask_model, pictures, tmp_path, capsys
):
    (pictures / "bad.jpg").write_bytes(b"no picture")
    shutil.copy(pictures / "a.png", pictures / "inner_a.png")
    assert run(tiny_mask_model, pictures, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "bad.jpg" in error
    assert "rename one of the two" in error
    assert len(listed(tmp_path / "out")) == 3


@pytest.mark.parametrize("case", ["out exists", "no pictures", "no model", "a model for dots"])
def test_what_cannot_be_done_is_said_in_one_sentence_and_nothing_is_written(
    tiny_mask_model, dots_model, pictures, tmp_path, capsys, case
):
    out, model = tmp_path / "out", tiny_mask_model
    if case == "out exists":
        out = pictures
    elif case == "no pictures":
        shutil.rmtree(pictures)
        pictures.mkdir()
    else:
        model = tmp_path / "gone" if case == "no model" else dots_model
    before = sorted(tmp_path.rglob("*"))
    assert run(model, pictures, out) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_without_out_the_drafts_go_to_to_label(tiny_mask_model, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert uncertain.main([str(pictures), "--model", str(tiny_mask_model), "--top", "50"]) == 0
    assert len(listed(tmp_path / "to-label")) == 3
    assert "leaves out" not in capsys.readouterr().out


def test_what_the_sheet_leaves_out_is_said(tiny_mask_model, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(uncertain, "SHEET_TILES", 2)
    assert run(tiny_mask_model, pictures, tmp_path / "out") == 0
    assert "contact_sheet.png shows the first 2; it leaves out 1." in capsys.readouterr().out
    assert len(listed(tmp_path / "out")) == 3


def test_the_sheet_has_room_for_every_draft_unless_more_than_120_are_asked_for(tiny_mask_model, tmp_path):
    (tmp_path / "many").mkdir()
    for index in range(50):
        drawn_car(seed=index)[0].save(tmp_path / f"many/{index}.png")
    assert run(tiny_mask_model, tmp_path / "many", tmp_path / "out") == 0
    rows_of_six = -(-50 // 6)
    assert Image.open(tmp_path / "out/contact_sheet.png").height > rows_of_six * uncertain.TILE
