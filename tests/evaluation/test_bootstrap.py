import functools

import numpy as np
import pytest

from carmask.evaluation.bootstrap import false_positive_share, interval, paired_difference, pooled_iou
from carmask.evaluation.mask_metrics import picture_counts, summary


def counts_of(ious, car=True):
    """Counts of pictures of which the share `ious` of each car is found; or without a car, and so much called car."""
    return [counts_of_one(round(10 * share), car) for share in ious]


@functools.cache
def counts_of_one(columns, car):
    mask = np.zeros((10, 10), np.uint8)
    mask[:, :columns] = 255
    return picture_counts(mask, np.full((10, 10), 255 * car, np.uint8))


RNG = np.random.default_rng(0)
HARD = RNG.integers(0, 8, 60) / 10  # how hard each picture is, for every model


def test_a_model_is_no_better_than_itself():
    one = paired_difference(counts_of(HARD), counts_of(HARD), range(60))
    assert (one.gain, one.low, one.high) == (0, 0, 0)


def test_a_small_gain_on_every_picture_is_certain_however_different_the_pictures_are():
    one = paired_difference(counts_of(HARD), counts_of(HARD + 0.1), range(60))
    assert one.low == pytest.approx(one.high) == pytest.approx(one.gain) == pytest.approx(0.1)


def test_the_scores_are_those_of_the_summary():
    before, after = counts_of(HARD), counts_of(RNG.permutation(HARD))
    one = paired_difference(before, after, range(60))
    assert (one.first, one.second) == (summary(before)["iou"], summary(after)["iou"])
    assert one.gain == one.second - one.first
    empty = counts_of(HARD, car=False)
    assert (
        paired_difference(empty, empty, range(60), false_positive_share).first
        == summary(empty)["false_positive_share"]
    )


def test_the_other_way_round_the_interval_is_mirrored():
    before, after = counts_of(HARD), counts_of(RNG.permutation(HARD))
    one, other = paired_difference(before, after, range(60)), paired_difference(after, before, range(60))
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_copies_of_a_picture_in_its_group_prove_nothing_new():
    before, after = counts_of(HARD), counts_of(RNG.permutation(HARD))
    alone = paired_difference(before, after, range(60))
    copied = paired_difference(before * 4, after * 4, [*range(60)] * 4)
    counted = paired_difference(before * 4, after * 4, range(240))
    assert (copied.low, copied.high, copied.groups) == (alone.low, alone.high, 60)
    assert counted.high - counted.low == pytest.approx((alone.high - alone.low) / 2, rel=0.1)


def test_the_interval_holds_the_true_gain_about_19_times_of_20():
    """A hundred times thirty pictures of a world where B finds a tenth more of the car, on average."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(100):
        before = rng.integers(2, 7, 30) / 10
        after = before + rng.choice([-0.1, 0.1, 0.3], 30)
        one = paired_difference(counts_of(before), counts_of(after), range(30))
        held += one.low <= 0.1 <= one.high
    assert 88 <= held <= 99


def test_from_few_the_interval_is_wider_as_students_t_is():
    draws = np.random.default_rng(0).normal(0, 1, 200_000)
    (low, high), (low_of_many, high_of_many) = interval(draws, 6), interval(draws, 10_000)
    assert (low_of_many, high_of_many) == pytest.approx((-1.96, 1.96), abs=0.02)
    assert (low, high) == pytest.approx((-2.571 * np.sqrt(6 / 5), 2.571 * np.sqrt(6 / 5)), abs=0.06)


def test_nothing_to_find_and_nothing_found_is_1_in_every_draw():
    assert pooled_iou(np.array([[0, 0, 0, 0, 0, 100], [5, 5, 10, 0, 0, 100]])).tolist() == [1, 0.5]
