import math
import time

import numpy as np
import pytest

from carmask.demo.strokes import MAX_POINTS, Stroke, StrokeError, paint_strokes, read_strokes

SIZE = (90, 120)  # (height, width)


def random_mask():
    return np.random.default_rng(0).choice(np.array([0, 255], np.uint8), SIZE)


def distance(start, end):
    """How far the middle of each pixel is from the line between two points: float (height, width)."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    (x0, y0), (x1, y1) = start, end
    length = math.dist(start, end) ** 2
    along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length, 0, 1) if length else 0
    return np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0))


@pytest.mark.parametrize("is_car", [True, False])
@pytest.mark.parametrize(
    ("radius", "points"),
    [(0.5, [(3, 3)]), (6, [(40, 30)]), (9, [(20, 20), (100, 70)]), (4, [(-3, 50), (60, 88), (119, 2)])],
)
def test_a_stroke_paints_what_lies_under_it_and_leaves_every_other_pixel_as_it_is(is_car, radius, points):
    before = random_mask()
    after = paint_strokes(before, [Stroke(is_car, radius, points)])
    far = np.min([distance(*ends) for ends in zip(points, points[1:] or points, strict=False)], axis=0)
    assert (after[far <= radius - 2] == (255 if is_car else 0)).all()
    assert np.array_equal(after[far > radius + 2], before[far > radius + 2])
    assert np.array_equal(before, random_mask())


def test_a_later_stroke_goes_over_an_earlier_one():
    add, remove = Stroke(True, 20, [(50, 50)]), Stroke(False, 5, [(50, 50)])
    assert paint_strokes(random_mask(), [add, remove])[50, 50] == 0
    assert paint_strokes(random_mask(), [remove, add])[50, 50] == 255
    assert np.array_equal(paint_strokes(random_mask(), []), random_mask())


def test_strokes_come_from_the_page_as_it_sends_them():
    painted = [{"add": True, "radius": 3, "points": [1, 2, 3.5, 4]}, {"add": False, "radius": 0.1, "points": [0, 0]}]
    assert read_strokes(painted, SIZE) == [Stroke(True, 3, [(1, 2), (3.5, 4)]), Stroke(False, 0.5, [(0, 0)])]


@pytest.mark.parametrize(
    "painted",
    [
        None,
        "strokes",
        {"add": True},
        [None],
        [[]],
        ["a"],
        [{"add": True, "radius": 3}],
        [{"add": True, "radius": 3, "points": []}],
        [{"add": True, "radius": 3, "points": [1]}],
        [{"add": True, "radius": 3, "points": [1, None]}],
        [{"add": True, "radius": 3, "points": [1, "x"]}],
        [{"add": True, "radius": 3, "points": 7}],
        [{"add": True, "radius": 3, "points": [1, float("nan")]}],
        [{"add": True, "radius": 3, "points": [1, 1e9]}],
        [{"add": True, "radius": 3, "points": [1, 10**400]}],
        [{"add": True, "radius": float("inf"), "points": [1, 1]}],
        [{"add": True, "radius": -1, "points": [1, 1]}],
        [{"add": True, "radius": 1e9, "points": [1, 1]}],
        [{"add": True, "radius": 1, "points": [1, 1] * (MAX_POINTS + 1)}],
        [{"add": True, "radius": 119, "points": [1, 1] * MAX_POINTS}] * 2,
    ],
)
def test_whatever_is_no_stroke_or_too_much_is_refused_in_one_sentence(painted):
    with pytest.raises(StrokeError, match=r"^These [a-z, ]+; [a-z, ]+\.$"):
        read_strokes(painted, SIZE)


def test_the_most_that_may_be_painted_takes_a_few_seconds_at_most():
    side, radius = 9000, 900
    strokes = read_strokes([{"add": True, "radius": radius, "points": [4500, 4500] * 600}], (side, side))
    start = time.process_time()
    paint_strokes(np.zeros((side, side), np.uint8), strokes)
    assert time.process_time() - start < 10
