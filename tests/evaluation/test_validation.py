import numpy as np
import pytest

from carmask import Predictor
from carmask.data.rows import read_row
from carmask.data.sources import open_data
from carmask.evaluation import mask_metrics
from carmask.evaluation.mask_metrics import mask_scores, picture_counts
from carmask.evaluation.validation import balanced_iou, validate


def counts_of(iou, pictures, side=20, car=True):
    """Counts of pictures with a car of which the share `iou` is found; or without one, and so much called car."""
    truth, mask = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
    truth[:, : side * car] = 255
    mask[:, : round(iou * side)] = 255
    return [picture_counts(mask, truth)] * pictures


@pytest.fixture
def rows(tiny_data):
    """The rows of a split, from two sources in turns."""
    split = open_data(str(tiny_data))["train"]
    return split.remove_columns("source").add_column("source", ["one", "other"] * (len(split) // 2))


def test_validation_gives_each_source_the_score_of_its_own_pictures(tiny_mask_model, rows):
    predictor = Predictor.from_pretrained(tiny_mask_model)
    scores, _ = validate(predictor, rows)
    assert list(scores) == ["one", "other", "all"]
    for source in ("one", "other"):
        own = [row for row in rows if row["source"] == source]
        low, high = scores[source].pop("iou_low"), scores[source].pop("iou_high")
        assert low < scores[source]["iou"] < high
        assert scores[source].pop("few_groups") == len(own)
        assert scores[source] == mask_scores([predictor(row["image"]) for row in own], [read_row(r)[1] for r in own])


def test_validation_counts_each_mask_once(tiny_mask_model, rows, monkeypatch):
    counted = []
    monkeypatch.setattr(mask_metrics, "picture_counts", lambda *pair: counted.append(1) or picture_counts(*pair))
    validate(Predictor.from_pretrained(tiny_mask_model), rows, worst=3)
    assert len(counted) == len(rows)


def test_the_worst_case_is_the_one_with_the_lowest_iou(tiny_mask_model, rows):
    predictor = Predictor.from_pretrained(tiny_mask_model)
    ious = [mask_scores([predictor(row["image"])], [read_row(row)[1]])["iou"] for row in rows]
    _, (worst,) = validate(predictor, rows, worst=1)
    _, (alone,) = validate(predictor, rows.select([int(np.argmin(ious))]), worst=1)
    assert worst.tobytes() == alone.tobytes()


def test_the_score_that_chooses_is_heard_more_from_the_source_with_more_cars():
    many, few = counts_of(0.6, 100), counts_of(0.5, 4)
    gain_of_many = balanced_iou({"many": counts_of(0.7, 100), "few": few}) - balanced_iou({"many": many, "few": few})
    gain_of_few = balanced_iou({"many": many, "few": counts_of(0.6, 4)}) - balanced_iou({"many": many, "few": few})
    assert gain_of_many == pytest.approx(5 * gain_of_few)


def test_the_score_that_chooses_does_not_depend_on_the_pictures_sizes():
    few = counts_of(0.5, 4)
    small, large = (balanced_iou({"a": counts_of(0.7, 9, side), "b": few}) for side in (20, 100))
    assert small == pytest.approx(large)


def test_false_car_pixels_where_there_is_no_car_count_against_the_score_that_chooses():
    with_car = counts_of(0.7, 9)
    clean, false = (balanced_iou({"a": with_car, "b": counts_of(share, 5, car=False)}) for share in (0.0, 0.1))
    assert clean == balanced_iou({"a": with_car})
    assert false == pytest.approx(clean - 0.1)
    assert balanced_iou({"b": counts_of(0.1, 5, car=False)}) == pytest.approx(0.9)
