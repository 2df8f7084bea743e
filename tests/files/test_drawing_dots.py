import numpy as np
import pytest
from PIL import Image

from carmask.files.drawing import draw_dots, heat_picture, name_colours


@pytest.fixture
def grey_picture():
    return Image.new("L", (900, 600), 120)


def changed(drawn):
    return (np.asarray(drawn) != 120).any(axis=-1)


def test_a_dot_has_its_colour_at_its_place_and_a_dot_without_a_place_is_not_drawn(grey_picture):
    drawn = draw_dots(grey_picture, [("nose", 450.5, 300.5, 0.9), ("ear", None, None, 0.1)])
    assert drawn.getpixel((450, 300)) == name_colours(["nose", "ear"])["nose"]
    assert not changed(draw_dots(grey_picture, [("ear", None, None, 0.1)])).any()


def test_small_pictures_are_enlarged_and_large_ones_reduced_so_that_names_can_be_read():
    for size, expected in (((96, 64), (640, 427)), ((900, 600), (900, 600)), ((4000, 8000), (800, 1600))):
        dots = [("nose", size[0] / 2, size[1] / 2, 0.5)]
        drawn = draw_dots(Image.new("RGB", size), dots)
        assert drawn.size == expected
        assert drawn.getpixel((expected[0] // 2, expected[1] // 2)) == name_colours(["nose"])["nose"]


@pytest.mark.parametrize("corner", [(0, 0), (900, 0), (0, 600), (900, 600)])
def test_a_dot_in_a_corner_still_has_its_whole_label_in_the_picture(grey_picture, corner):
    middle, in_corner = (
        changed(draw_dots(grey_picture, [("left_mirror", *place, 0.5)])).sum() for place in ((450, 300), corner)
    )
    assert in_corner > 0.75 * middle


def test_labels_of_neighbours_do_not_hide_each_other(grey_picture):
    one = changed(draw_dots(grey_picture, [("nose", 450, 300, 0.5)])).sum()
    three = [("nose", 450, 300, 0.5), ("chin", 455, 305, 0.5), ("ear", 445, 310, 0.5)]
    assert changed(draw_dots(grey_picture, three)).sum() > 2.2 * one


def test_scores_are_drawn_only_when_asked_for(grey_picture):
    dots = [("nose", 450, 300, 0.5)]
    assert changed(draw_dots(grey_picture, dots, scores=True)).sum() > changed(draw_dots(grey_picture, dots)).sum()


def test_names_have_colours_of_their_own_and_a_repeated_name_has_one():
    assert len(set(name_colours([str(n) for n in range(20)]).values())) == 20
    assert name_colours(["wheel", "wheel", "hood"]) == name_colours(["wheel", "hood"])


def test_heat_leaves_the_picture_where_the_map_is_empty_and_is_hottest_at_its_peak(grey_picture):
    activation = np.zeros((6, 9), np.float32)
    activation[3, 4] = 1
    heat = np.asarray(heat_picture(grey_picture, activation), int)
    difference = np.abs(heat - 120).sum(axis=-1)
    assert heat.shape == (600, 900, 3)
    assert not difference[:200].any()
    assert np.unravel_index(heat.sum(axis=-1).argmax(), difference.shape) == pytest.approx((350, 450), abs=15)
