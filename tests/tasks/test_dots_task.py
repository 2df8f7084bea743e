"""The laws of dots: painting, finding, mirroring and scoring them."""

import numpy as np
import pytest
import torch
from conftest import DOT_INKS, drawn_dots

from carmask.evaluation.dot_metrics import DotScores, best_threshold, dot_scores
from carmask.tasks.dots_task import DotsTask, left_right_pairs
from carmask.training.augmentation import random_crop

SIZES = [(8, 8), (16, 24), (57, 33), (128, 128), (9, 400)]
PLACES = [(0.5, 0.5), (0.123, 0.77), (0.0, 0.0), (1.0, 1.0), (0.001, 0.6), (0.4, 0.999)]


def one_dot(**settings):
    return DotsTask(("nose",), (1,), **settings)


def painted(task, truth, size):
    """Logits, of numpy, that say exactly what is painted."""
    target = torch.from_numpy(task.target(np.array(truth, dtype=float), size))
    return torch.logit(task.paint(target[None].double(), size)[0], eps=1e-12).numpy()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("place", PLACES)
def test_a_painted_dot_is_found_within_a_tenth_of_a_cell_at_any_size(size, place):
    dot = one_dot().decode(painted(one_dot(), [place], size), size)[0]
    assert np.hypot(dot.x - place[0] * size[1], dot.y - place[1] * size[0]) < 0.1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("place", PLACES)
def test_the_highest_cell_alone_is_within_half_a_cell(size, place):
    y, x = divmod(int(painted(one_dot(), [place], size)[0].argmax()), size[1])
    assert abs(x + 0.5 - place[0] * size[1]) <= 0.5 + 1e-6
    assert abs(y + 0.5 - place[1] * size[0]) <= 0.5 + 1e-6


def test_a_dot_is_given_in_pixels_of_the_full_picture():
    dot = one_dot().decode(painted(one_dot(), [(0.25, 0.5)], (32, 64)), (1000, 3000))[0]
    assert dot.x == pytest.approx(750, abs=1)
    assert dot.y == pytest.approx(500, abs=1)
    assert dot.name == "nose"
    assert dot.score > 0.9


def test_a_mirrored_picture_has_mirrored_dots_and_left_is_right():
    names = ("left_eye", "right_eye", "nose")
    task = DotsTask(names, (1, 1, 1), left_right_pairs(names))
    truth = np.array([[0.2, 0.3], [0.7, 0.35], [np.nan, np.nan]])
    logits = painted(task, truth, (48, 64))
    dots = task.decode(logits[[1, 0, 2], :, ::-1], (480, 640))
    mirrored = task.flip(truth)
    assert np.allclose([[dot.x, dot.y] for dot in dots[:2]], mirrored[:2] * [640, 480], atol=0.5)
    assert dots[2].x is None
    assert np.allclose(task.flip(mirrored), truth, equal_nan=True)
    assert mirrored[0] == pytest.approx([0.3, 0.35])


def test_left_and_right_are_paired_by_name():
    names = ["nose", "front_left_light", "front_right_light", "eye_l", "eye_r", "LeftDoor", "RightDoor", "left_over"]
    assert left_right_pairs(names) == [
        ("front_left_light", "front_right_light"), ("eye_l", "eye_r"), ("LeftDoor", "RightDoor"),
    ]  # fmt: skip


def test_a_map_without_a_bump_gives_a_dot_that_is_nowhere_but_has_a_score():
    dot = one_dot(threshold=0.4).decode(np.full((1, 16, 16), -3.0), (100, 100))[0]
    assert (dot.x, dot.y) == (None, None)
    assert dot.score == pytest.approx(torch.tensor(-3.0).sigmoid().item())


def test_a_name_of_several_peaks_gives_each_once_and_no_more_than_there_are():
    task = DotsTask(("wheel",), (3,))
    truth = np.array([[0.2, 0.8], [np.nan, np.nan], [0.7, 0.75]])
    dots = task.decode(painted(task, truth, (64, 64)), (64, 64))
    assert sorted((round(dot.x, 1), round(dot.y, 1)) for dot in dots) == [(12.8, 51.2), (44.8, 48.0)]


def test_slopes_and_neighbours_of_a_peak_are_no_second_peak():
    task = DotsTask(("wheel",), (2,), threshold=0.3)
    noisy = painted(task, [(0.5, 0.5), (np.nan, np.nan)], (64, 64)).clip(-9, 9)
    noisy += np.random.default_rng(0).normal(0, 0.3, noisy.shape)
    assert len(task.decode(noisy, (64, 64))) == 1


def test_a_dot_outside_the_crop_paints_nothing():
    task = DotsTask(("nose", "ear"), (1, 1))
    target = task.target(np.array([[1.2, 0.5], [0.5, 0.5]]), (32, 32))
    maps = task.paint(torch.from_numpy(target)[None], (32, 32))[0]
    assert not maps[0].any()
    assert maps[1].max() > 0.7


def test_the_loss_is_lowest_at_the_painted_maps_and_a_rare_bump_still_counts():
    for focal in (0.0, 2.0):
        task = one_dot(focal=focal)
        target = torch.from_numpy(task.target(np.array([[0.4, 0.6]]), (64, 64)))[None]
        painted_at = [painted(task, [place], (64, 64))[None] for place in ((0.4, 0.6), (0.6, 0.4))]
        right, wrong = (torch.from_numpy(logits).float().clamp(-12, 12) for logits in painted_at)
        nothing = torch.full_like(right, -12)
        assert task.loss(right, target) < 0.2 * task.loss(nothing, target)
        assert task.loss(nothing, target) < task.loss(wrong, target)


def test_a_batch_without_any_dot_has_a_finite_loss_that_asks_for_silence():
    logits = torch.zeros(2, 1, 16, 16, requires_grad=True)
    loss = one_dot().loss(logits, torch.full((2, 1, 2), torch.nan))
    loss.backward()
    assert loss.isfinite()
    assert (logits.grad > 0).all()


@pytest.mark.parametrize("seed", range(6))
def test_a_crop_moves_picture_and_points_together(seed):
    grey, truth = drawn_dots(seed=seed)
    grey, truth = random_crop(grey, truth, 192, np.random.default_rng(seed), 1.2)
    for (x, y), ink in zip(truth * 192, DOT_INKS, strict=True):
        if 0 < x < 192 and 0 < y < 192:
            assert abs(int(grey[int(y), int(x)]) - ink) < 20


NAMES = ["left_eye", "right_eye", "wheel", "wheel"]
PAIRS = [("left_eye", "right_eye")]
TRUTH = np.array([[0.2, 0.2], [0.6, 0.2], [0.1, 0.5], [np.nan, np.nan]])


def answer(*places, score=0.9):
    return np.array([[*place, score] for place in places])


def test_perfect_dots_score_1_in_any_order_of_a_name_s_peaks():
    scores = dot_scores([answer(TRUTH[0], TRUTH[1], TRUTH[3], TRUTH[2])], [TRUTH], NAMES, PAIRS)
    for name in ("all", "left_eye", "wheel"):
        assert scores[name]["pck_2"] == scores[name]["presence_f1"] == scores[name]["f1_5"] == 1.0
        assert scores[name]["mean_error"] == 0.0
    assert scores["all"]["swapped"] == 0.0


def test_dot_scores_by_hand():
    found = answer((0.2, 0.24), (np.nan, np.nan), (0.1, 0.57), (0.9, 0.9))  # 4 % off, missed, 7 % off, false
    scores = dot_scores([found], [TRUTH], NAMES)["all"]
    assert [scores[key] for key in ("pck_2", "pck_5", "pck_10")] == pytest.approx([0, 1 / 3, 2 / 3])
    assert scores["presence_f1"] == pytest.approx(4 / 6)
    assert scores["f1_5"] == pytest.approx(2 / 6)
    assert scores["mean_error"] == pytest.approx(0.055)


def test_a_dot_below_the_threshold_is_not_found():
    scores = dot_scores([answer(*TRUTH, score=0.3)], [TRUTH], NAMES, threshold=0.4)["all"]
    assert scores["pck_10"] == scores["presence_f1"] == 0.0
    assert "mean_error" not in scores


def test_eyes_on_each_other_s_place_are_swapped():
    found = answer(TRUTH[1], TRUTH[1], TRUTH[2], TRUTH[3])  # the left eye on the right one
    assert dot_scores([found], [TRUTH], NAMES, PAIRS)["all"]["swapped"] == 0.5


def test_the_calibrated_threshold_parts_true_dots_from_false_ones():
    nowhere, somewhere = np.full((2, 2), np.nan), np.full((2, 2), 0.5)
    predictions = [answer((0.5, 0.5), (0.5, 0.5), score=score) for score in (0.6, 0.7, 0.2)]
    assert best_threshold(predictions, [nowhere, somewhere, nowhere], ["a", "b"]) == pytest.approx(0.65)
    assert best_threshold(predictions, [somewhere, somewhere, nowhere], ["a", "b"]) == pytest.approx(0.4)
    assert best_threshold(predictions, [nowhere] * 3, ["a", "b"]) == 0.5


def test_the_evaluate_metric_equals_the_pure_function():
    scores = DotScores().compute(predictions=[answer(*TRUTH)], references=[TRUTH], names=NAMES, pairs=PAIRS)
    assert scores == dot_scores([answer(*TRUTH)], [TRUTH], NAMES, PAIRS)
