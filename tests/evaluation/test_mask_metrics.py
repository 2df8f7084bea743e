import numpy as np
import pytest

from carmask.evaluation.bootstrap import bootstrap_intervals, few_groups
from carmask.evaluation.mask_metrics import (
    MaskScores,
    boundary,
    calibration,
    calibration_counts,
    mask_scores,
    picture_counts,
    summary,
)


def box(top, left, bottom, right, size=(40, 60)):
    mask = np.zeros(size, dtype=np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


def test_a_perfect_mask_scores_1():
    truth = box(5, 5, 25, 35)
    assert set(mask_scores([truth], [truth]).values()) == {1.0}


def test_a_disjoint_mask_scores_0():
    scores = mask_scores([box(0, 0, 10, 10)], [box(20, 20, 40, 40)])
    assert set(scores.values()) == {0.0}


def test_scores_by_hand():
    scores = mask_scores([box(0, 0, 10, 20)], [box(0, 10, 10, 40)])  # 200 found, 300 true, 100 hits
    assert scores["iou"] == pytest.approx(100 / 400)
    assert scores["dice"] == pytest.approx(200 / 500)
    assert scores["precision"] == pytest.approx(100 / 200)
    assert scores["recall"] == pytest.approx(100 / 300)


def test_pooled_iou_counts_pixels_and_mean_iou_counts_pictures():
    truth = [box(0, 0, 10, 10), box(0, 0, 20, 20)]
    scores = mask_scores([truth[0], box(0, 0, 0, 0)], truth)
    assert scores["iou"] == pytest.approx(100 / 500)
    assert scores["mean_iou"] == pytest.approx(0.5)


def test_empty_rule_nothing_to_find_and_nothing_found_is_1():
    empty = box(0, 0, 0, 0)
    assert mask_scores([empty], [empty]) == {
        "iou": 1.0, "mean_iou": 1.0, "dice": 1.0, "precision": 1.0, "recall": 1.0, "boundary_iou": 1.0,
        "false_positive_share": 0.0,
    }  # fmt: skip
    assert mask_scores([box(0, 0, 4, 6)], [empty])["mean_iou"] == 0.0
    missed, invented = mask_scores([empty], [box(0, 0, 4, 6)]), mask_scores([box(0, 0, 4, 6)], [empty])
    assert {missed[name] for name in ("iou", "dice", "precision", "recall")} == {0.0}
    assert {invented[name] for name in ("iou", "dice", "precision", "recall")} == {0.0}


def test_false_positive_share_is_over_car_free_pictures_only():
    empty, some = box(0, 0, 0, 0), box(0, 0, 4, 6)
    assert mask_scores([some, some], [empty, some])["false_positive_share"] == pytest.approx(24 / 2400)
    assert "false_positive_share" not in mask_scores([some], [some])


def test_pixels_that_are_not_judged_change_no_score():
    truth = box(5, 5, 25, 35)
    truth[:, 40:] = 128
    other = truth.copy()
    other[truth == 128] = 255
    found = np.where(truth == 255, 255, 0).astype(np.uint8)
    assert mask_scores([found], [truth]) == mask_scores([other], [truth])


@pytest.mark.parametrize("band", [0.005, 0.02, 0.1])
def test_the_band_is_that_share_of_the_diagonal_wide(band):
    edge = boundary(np.ones((600, 800), bool), band)
    width = 1000 * band
    assert edge.sum() == 600 * 800 - (600 - 2 * width) * (800 - 2 * width)


def test_the_boundary_is_a_band_inside_the_mask():
    mask = box(5, 5, 35, 45) > 0
    edge = boundary(mask)
    assert (edge <= mask).all()
    assert edge[5, 5]
    assert not edge[20, 25]


def test_boundary_iou_punishes_a_blurred_outline_more_than_iou():
    scores = mask_scores([box(7, 7, 33, 43)], [box(5, 5, 35, 45)])
    assert scores["boundary_iou"] < scores["iou"]


def test_sizes_that_differ_are_refused():
    with pytest.raises(ValueError, match="size"):
        mask_scores([box(0, 0, 1, 1)], [box(0, 0, 1, 1, size=(40, 61))])


def test_the_evaluate_metric_equals_the_pure_function_in_built_in_floats():
    truth = [box(0, 0, 10, 20), box(5, 5, 25, 35, size=(50, 50))]
    found = [box(0, 10, 10, 40), box(5, 5, 20, 35, size=(50, 50))]
    metric = MaskScores()
    for mask, reference in zip(found, truth, strict=True):
        metric.add_batch(predictions=[mask], references=[reference])
    scores = metric.compute()
    assert scores == mask_scores(found, truth)
    assert all(type(score) is float for score in scores.values())


def counts_of(ious):
    """Counts of pictures of which the share `ious` of each car is found and nothing else."""
    truth = box(0, 0, 10, 10)
    return [picture_counts(box(0, 0, 10, round(share * 10)), truth) for share in ious]


def test_the_interval_holds_the_score_and_is_the_same_each_time():
    counts = counts_of(np.random.default_rng(0).random(40))
    scores, intervals = summary(counts), bootstrap_intervals(counts)
    assert all(low < scores[name] < high for name, (low, high) in intervals.items())
    assert intervals == bootstrap_intervals(counts)


def test_pictures_that_score_alike_leave_no_doubt():
    assert bootstrap_intervals(counts_of([0.5] * 9)) == {"iou": (0.5, 0.5), "mean_iou": (0.5, 0.5)}


def test_four_times_as_many_pictures_halve_the_interval():
    few = counts_of(np.random.default_rng(0).random(50))
    widths = [high - low for low, high in (bootstrap_intervals(counts)["mean_iou"] for counts in (few, few * 4))]
    assert widths[1] == pytest.approx(widths[0] / 2, rel=0.1)


def test_frames_of_a_film_count_as_one_thing_seen():
    ious = np.random.default_rng(0).random(12)
    films = counts_of(ious.repeat(4))
    together = bootstrap_intervals(films, groups=np.arange(12).repeat(4).tolist())
    assert together == bootstrap_intervals(counts_of(ious))


@pytest.mark.parametrize("number", [1, 2, 5])
def test_of_few_films_the_lowest_and_the_highest_score_are_told_since_they_prove_no_interval(number):
    ious = np.linspace(0.2, 0.8, number)
    films, groups = counts_of(ious.repeat(12)), np.arange(number).repeat(12).tolist()
    assert few_groups(groups) == number
    assert bootstrap_intervals(films, groups)["iou"] == pytest.approx((ious[0].round(1), ious[-1].round(1)), abs=0.05)
    assert few_groups(list(range(6)) * 2) == few_groups(range(6)) == 0  # enough


@pytest.mark.parametrize("number", [1, 3])
def test_of_few_pictures_no_interval_is_told_either(number):
    counts = counts_of(np.linspace(0.2, 0.8, number))
    assert few_groups(range(number)) == number
    assert bootstrap_intervals(counts)["iou"] == bootstrap_intervals(counts, range(number))["iou"]
    assert bootstrap_intervals(counts)["iou"] == pytest.approx((0.2, 0.8 if number > 1 else 0.2), abs=0.05)


def test_the_interval_of_the_mean_is_that_of_the_standard_error():
    ious = np.arange(10).repeat(20) / 10
    low, high = bootstrap_intervals(counts_of(ious))["mean_iou"]
    assert high - low == pytest.approx(2 * 1.96 * ious.std() / np.sqrt(200), rel=0.05)


def test_probabilities_that_come_true_as_often_as_they_say_have_no_error():
    truth = box(0, 0, 10, 10, size=(10, 40))  # a quarter of the pixels
    error, shares = calibration(calibration_counts(np.full(truth.shape, 0.25), truth))
    assert error == 0
    assert shares[2] == 0.25  # 0.25 is counted with the pixels around 20 %
    assert np.isnan(np.delete(shares, 2)).all()


def test_pixels_at_90_percent_of_which_60_are_car_are_30_percent_off():
    truth = box(0, 0, 10, 6, size=(10, 10))
    error, shares = calibration(calibration_counts(np.full(truth.shape, 0.9), truth))
    assert error == pytest.approx(0.3)
    assert shares[9] == pytest.approx(0.6)


def test_calibration_leaves_out_what_is_not_judged_and_adds_up_over_pictures():
    truth = box(0, 0, 10, 10, size=(10, 20))
    hidden = np.where(truth == 0, 128, truth)
    assert calibration_counts(np.full(truth.shape, 1.0), hidden).tolist()[10] == [100, 100, 100]
    both = calibration_counts(np.full(truth.shape, 1.0), hidden) + calibration_counts(np.full(truth.shape, 1.0), truth)
    assert calibration(both)[1][10] == pytest.approx(200 / 300)
