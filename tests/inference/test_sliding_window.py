from dataclasses import replace

import numpy as np
import pytest
from conftest import drawn_car
from PIL import Image

from carmask import ModelError, Predictor
from carmask.commands.predict import main
from carmask.inference.sliding_window import BATCH, blended, cut


def magnified(model, magnification=4.0):
    return replace(Predictor.from_pretrained(model), magnification=magnification)


@pytest.mark.parametrize(("length", "window"), [(64, 64), (65, 64), (200, 64), (333, 50), (97, 32), (7, 1)])
def test_the_weights_of_all_windows_sum_to_one_at_each_pixel(length, window):
    total = np.zeros(length, np.float32)
    for start, weight in cut(length, window):
        assert 0 <= start <= length - window
        assert (weight > 0).all()
        total[start : start + window] += weight
    assert np.allclose(total, 1, atol=1e-6)


def test_neighbouring_windows_overlap_by_a_quarter_at_least():
    for length in range(65, 400):
        starts = [start for start, _ in cut(length, 64)]
        assert max(np.diff(starts)) <= 48


def test_what_depends_on_single_pixels_is_the_same_magnified_as_at_once():
    grey = drawn_car((131, 203))[0].convert("L")
    found = blended(grey, (48, 64), lambda views: np.stack([np.array(view, np.float32) for view in views]))
    assert np.abs(found - np.array(grey)).max() < 1e-3


@pytest.mark.parametrize("size", [(64, 64), (40, 64), (33, 20)])
def test_a_picture_no_larger_than_a_tile_has_the_same_mask_with_and_without_tiles(tiny_mask_model, size):
    picture = drawn_car(size)[0]
    assert np.array_equal(magnified(tiny_mask_model)(picture), Predictor.from_pretrained(tiny_mask_model)(picture))


@pytest.mark.parametrize("size", [(131, 203), (300, 77), (65, 64)])
def test_a_mask_magnified_has_the_picture_s_size_and_only_0_and_255(any_model, size):
    mask = magnified(any_model)(drawn_car(size)[0])
    assert mask.shape == size
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 255}


def test_the_network_sees_few_windows_of_its_usual_size_at_a_time_however_large_the_picture(tiny_mask_model):
    predictor, shapes = magnified(tiny_mask_model, 8), []

    def watched(pixel_values):
        shapes.append(tuple(pixel_values.shape))
        return np.zeros((len(pixel_values), 2, 16, 16), np.float32)

    replace(predictor, network=watched)(drawn_car((300, 300))[0])
    assert {shape[1:] for shape in shapes} == {(3, 64, 64)}
    assert max(shape[0] for shape in shapes) == BATCH
    assert sum(shape[0] for shape in shapes) == 36


@pytest.mark.parametrize(("magnification", "seen"), [(1, (32, 64)), (2, (64, 128)), (100, (100, 200))])
def test_a_sliding_window_enlarges_up_to_the_picture_s_own_size(tiny_mask_model, magnification, seen):
    assert magnified(tiny_mask_model, magnification).seen_size((100, 200)) == seen


def test_a_model_for_dots_has_no_tiles(dots_model):
    with pytest.raises(ModelError, match="masks"):
        magnified(dots_model)


def test_the_command_line_draws_magnified(tiny_mask_model, tmp_path):
    picture = drawn_car((150, 220))[0]
    picture.save(tmp_path / "street.png")
    given = [str(tmp_path / "street.png"), "--out", str(tmp_path), "--model", str(tiny_mask_model), "--sliding-window"]
    assert main([*given, "3"]) == 0
    mask = np.array(Image.open(tmp_path / "street_mask.png"))
    assert np.array_equal(mask, magnified(tiny_mask_model, 3)(picture))
    assert not np.array_equal(mask, Predictor.from_pretrained(tiny_mask_model)(picture))
    with pytest.raises(SystemExit):
        main([*given, "0"])
