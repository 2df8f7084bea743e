"""The laws on flat drawings."""

import numpy as np

from data_scripts.drawn_cars.flat_cars import HOUSES, draw_flat


def test_equal_numbers_give_equal_drawings_and_masks_of_0_and_255_in_their_size():
    for index in range(20):
        (picture, mask), (again, _) = draw_flat(3, index), draw_flat(3, index)
        assert picture.tobytes() == again.tobytes()
        assert picture.size == mask.size
        assert set(np.unique(mask)) <= {0, 255}


def test_some_drawings_show_a_house_and_no_car_and_no_car_fills_the_drawing():
    shares = np.array([np.mean(np.asarray(draw_flat(0, index)[1]) > 0) for index in range(200)])
    assert abs((shares == 0).mean() - HOUSES) < 0.1
    assert shares[shares > 0].min() > 0.005
    assert shares.max() < 0.8
