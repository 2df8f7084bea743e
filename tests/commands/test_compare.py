import shutil

import numpy as np
import pytest
from conftest import save_balanced, tiny_network
from PIL import Image

from carmask import Predictor
from carmask.commands import compare
from carmask.commands.compare import better, compare_sources, most_different, sentence
from carmask.data.sources import open_data
from carmask.evaluation.bootstrap import Difference
from carmask.evaluation.mask_metrics import picture_counts, summary


def run(capsys, *arguments):
    code = compare.main([*map(str, arguments)])
    return code, capsys.readouterr()


@pytest.fixture(scope="module")
def other_model(tmp_path_factory):
    return save_balanced(tiny_network(seed=1), tmp_path_factory.mktemp("models") / "other")


def square(share, car=True):
    """Counts of a picture of 100 pixels, all of a car or none, of which the `share` is called car."""
    truth, mask = np.full((10, 10), 255 * car, np.uint8), np.zeros((10, 10), np.uint8)
    mask[:, : round(10 * share)] = 255
    return picture_counts(mask, truth)


def gain_of(low, high, groups=50):
    return Difference(0.5, 0.5 + (low + high) / 2, (low + high) / 2, low, high, groups, groups)


def test_the_table_has_the_scores_of_both_models(tiny_mask_model, other_model, tiny_data, capsys):
    code, printed = run(capsys, tiny_mask_model, other_model, "--data", tiny_data, "--split", "train")
    cells = [c.strip() for c in next(x for x in printed.out.splitlines() if x.startswith("| boxes")).split("|")]
    split = open_data(str(tiny_data))["train"]
    for cell, model in zip(cells[5:7], (tiny_mask_model, other_model), strict=True):
        predictor = Predictor.from_pretrained(model)
        counts = [picture_counts(predictor(row["image"]), np.array(row["mask"])) for row in split]
        assert cell == f"{summary(counts)['iou']:.3f}"
    assert (code, cells[2:5]) == (0, ["8", "8", "IoU"])


def test_a_model_and_its_copy_differ_in_no_picture(tiny_mask_model, tiny_data, tmp_path, capsys):
    code, printed = run(capsys, tiny_mask_model, tiny_mask_model, "--data", tiny_data, "--out", tmp_path / "d.png")
    assert code == 0
    assert "cannot tell A and B apart" in printed.out
    assert "Row" not in printed.out
    assert not (tmp_path / "d.png").exists()


def test_the_pictures_that_differ_are_named_and_drawn_in_pairs(
    tiny_mask_model, other_model, tiny_data, tmp_path, capsys
):
    _, printed = run(capsys, tiny_mask_model, other_model, "--data", tiny_data, "--out", tmp_path / "d.png")
    assert "Row 0 (0.png): B has" in printed.out
    assert Image.open(tmp_path / "d.png").width > 3 * compare.TILE


def test_two_data_sets_tell_what_was_forgotten(tiny_mask_model, other_model, tiny_data, tmp_path, capsys):
    new = shutil.copytree(tiny_data, tmp_path / "new")
    _, printed = run(capsys, tiny_mask_model, other_model, "--data", tiny_data, new)
    assert printed.out.index(f"{tiny_data}, test") < printed.out.index(f"{new}, test")
    worse = {("all", "IoU"): gain_of(-0.2, -0.1)}
    assert sentence(worse, old=True) == "B is worse by 0.150 in IoU. So much is forgotten."
    assert "forgotten" not in sentence(worse, old=False)


def test_a_data_set_of_nothing_but_a_test_split_will_do(tiny_mask_model, other_model, tiny_data, tmp_path, capsys):
    shutil.copytree(tiny_data / "test", tmp_path / "data/test")
    assert run(capsys, tiny_mask_model, other_model, "--data", tmp_path / "data")[0] == 0


def test_a_difference_counts_only_if_the_interval_leaves_no_doubt_and_there_are_groups_enough():
    assert better("IoU", gain_of(0.01, 0.2)) == "B"
    assert better("IoU", gain_of(-0.2, -0.01)) == "A"
    assert better("IoU", gain_of(-0.01, 0.2)) == "neither"
    assert better("false positives", gain_of(0.01, 0.2)) == "A"
    assert better("IoU", gain_of(0.01, 0.2, groups=5)) == "too few groups"


def test_sources_without_a_car_are_judged_by_false_positives_and_frames_of_a_film_together(tiny_data):
    split = open_data(str(tiny_data))["train"].remove_columns(["source", "group"])
    split = split.add_column("source", ["film"] * 4 + ["none"] * 4).add_column("group", ["one"] * 2 + list("abcdef"))
    first = [square(0.5)] * 4 + [square(0.2, car=False)] * 4
    second = [square(0.6)] * 4 + [square(0.1, car=False)] * 4
    found = compare_sources(split, first, second)
    assert [*found] == [("film", "IoU"), ("none", "false positives"), ("all", "IoU"), ("all", "false positives")]
    assert [one.groups for one in found.values()] == [3, 4, 7, 4]
    assert found["film", "IoU"].gain == pytest.approx(0.1)
    assert found["none", "false positives"].gain == pytest.approx(-0.1)


def test_the_most_different_pictures_come_first_whoever_is_better():
    first, second = [square(0.5), square(0.9), square(0.3), square(0.4)], [square(0.6), square(0.4), square(0.3)] * 2
    assert most_different(first, second[:4]) == [
        (1, pytest.approx(-0.5)),
        (3, pytest.approx(0.2)),
        (0, pytest.approx(0.1)),
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--data": "nowhere/at/all"}, "There is no folder"),
        ({"--split": "night"}, "has no split night"),
        ({"--out": "missing/d.png"}, "There is no folder"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tiny_mask_model, tiny_data, capsys, change, said):
    options = {"--data": tiny_data, "--split": "test"} | change
    code, printed = run(capsys, tiny_mask_model, tiny_mask_model, *sum(options.items(), ()))
    assert code == 1
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out


def test_a_picture_that_cannot_be_read_is_named(tiny_mask_model, tiny_data, tmp_path, capsys):
    data = shutil.copytree(tiny_data, tmp_path / "data")
    (data / "test/images/1.png").write_bytes(b"no picture")
    code, printed = run(capsys, tiny_mask_model, tiny_mask_model, "--data", data)
    assert code == 1
    assert "Row 1 (1.png) of the split test cannot be used" in printed.err


def test_a_model_for_dots_is_refused(tiny_mask_model, dots_model, tiny_data, capsys):
    code, printed = run(capsys, tiny_mask_model, dots_model, "--data", tiny_data)
    assert code == 1
    assert "draws masks" in printed.err


def test_the_tables_go_into_the_card_of_b_once_and_leave_the_rest_of_it(
    tiny_mask_model, other_model, tiny_data, tmp_path, capsys
):
    newer = shutil.copytree(other_model, tmp_path / "newer")
    arguments = (tiny_mask_model, newer, "--data", tiny_data, "--card")
    code, printed = run(capsys, *arguments)
    assert code == 1
    assert "README.md to write the tables into" in printed.err
    (newer / "README.md").write_text("# newer\n\n## Scores\n\nGood.\n")
    first = run(capsys, *arguments)[1].out
    (newer / "README.md").write_text((newer / "README.md").read_text() + "\n## Later\n\nMine.\n")
    run(capsys, *arguments)
    card = (newer / "README.md").read_text()
    assert card.startswith("# newer\n\n## Scores\n\nGood.\n")
    assert card.count(f"## Compared with {tiny_mask_model}") == 1
    assert "## Later\n\nMine." in card
    table = [line for line in first.splitlines() if line.startswith("|")]
    assert all(line in card for line in table)
