import numpy as np
import pytest
import torch
from conftest import tiny_config

from carmask.tasks.auto import task_for
from carmask.tasks.maps import sigmoid
from carmask.tasks.mask_task import MaskTask


def test_target_maps_car_background_and_not_judged():
    truth = np.array([[0, 255], [128, 0]], dtype=np.uint8)
    assert MaskTask().target(truth, (2, 2)).tolist() == [[0, 1], [255, 0]]


def test_mirroring_twice_is_the_identity():
    truth = np.random.default_rng(0).choice([0, 128, 255], (5, 8)).astype(np.uint8)
    assert np.array_equal(MaskTask().flip(MaskTask().flip(truth)), truth)


def test_pixels_that_are_not_judged_take_no_part_in_the_loss():
    logits = torch.randn(1, 2, 8, 8)
    target = torch.randint(0, 2, (1, 8, 8))
    target[:, 4:] = 255
    changed = logits.clone()
    changed[:, :, 4:] += torch.randn(1, 2, 4, 8)
    assert MaskTask().loss(logits, target) == MaskTask().loss(changed, target)


def test_a_batch_with_nothing_judged_has_a_finite_loss_and_no_gradient():
    logits = torch.randn(1, 2, 8, 8, requires_grad=True)
    loss = MaskTask().loss(logits, torch.full((1, 32, 32), 255))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_the_loss_falls_towards_the_truth_and_has_the_right_sign():
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    target[:, :4] = 1
    right = torch.stack([-(target * 2.0 - 1), target * 2.0 - 1], dim=1) * 4
    assert MaskTask().loss(right, target) < MaskTask().loss(torch.zeros(1, 2, 8, 8), target)
    assert MaskTask().loss(-right, target) > MaskTask().loss(torch.zeros(1, 2, 8, 8), target)


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("size", [(1, 1), (3, 4), (64, 96), (501, 33), (4, 2000)])
def test_a_mask_has_only_0_and_255_at_any_size(size):
    mask = MaskTask().decode(noise(2, 16, 24), size)
    assert mask.shape == size
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 255}


def test_logits_that_favour_background_everywhere_decode_to_an_empty_mask():
    logits = np.stack([np.ones((8, 8), np.float32), np.zeros((8, 8), np.float32)])
    assert not MaskTask().decode(logits, (50, 60)).any()
    assert MaskTask().decode(logits[::-1], (50, 60)).all()


def test_decoding_the_margin_equals_the_argmax_of_resized_logits():
    logits = noise(2, 16, 24)
    resized = torch.nn.functional.interpolate(torch.from_numpy(logits)[None], size=(123, 77), mode="bilinear")[0]
    assert np.array_equal(MaskTask().decode(logits, (123, 77)) == 255, resized.argmax(0).bool().numpy())


def test_a_higher_threshold_never_adds_car_and_means_probability():
    logits = noise(2, 16, 24)
    masks = [MaskTask(threshold=value).decode(logits, (16, 24)) for value in (0.2, 0.5, 0.8)]
    assert (masks[0] >= masks[1]).all()
    assert (masks[1] >= masks[2]).all()
    assert np.array_equal(masks[2] == 255, sigmoid(logits[1] - logits[0]) > 0.8)


def test_car_competes_with_the_best_other_label():
    task = task_for(tiny_config(labels=["road", "car", "sky", "building"]).to_dict())
    logits = noise(4, 8, 8)
    assert np.array_equal(task.decode(logits, (8, 8)) == 255, logits.argmax(0) == 1)


def test_several_labels_can_mean_car_and_the_best_of_them_competes():
    task = task_for(tiny_config(labels=["road", "Car", "sky", "truck"]).to_dict(), [" car", "Truck"])
    logits = noise(4, 8, 8)
    assert np.array_equal(task.decode(logits, (8, 8)) == 255, np.isin(logits.argmax(0), [1, 3]))


def test_a_network_all_of_whose_labels_mean_car_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="some of its labels must be the object and others not"):
        task_for(tiny_config(labels=["car", "truck"]).to_dict(), ["car", "truck"])


def test_a_network_without_a_label_car_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="no label named car; its labels are cat, dog"):
        task_for(tiny_config(labels=["cat", "dog"]).to_dict())


@pytest.mark.parametrize("size", [(700, 30), (33, 47), (16, 24), (5, 9)])
def test_a_mask_made_a_few_rows_at_a_time_is_that_of_one_resize_and_one_comparison(size):
    margin = noise(16, 24)
    resized = torch.nn.functional.interpolate(torch.from_numpy(margin)[None, None], size=size, mode="bilinear")
    resized = resized[0, 0].numpy()
    sure = np.abs(resized) > 1e-5
    mask = MaskTask().decode_margin(margin, size)
    assert np.array_equal(mask[sure] == 255, resized[sure] > 0)
    assert sure.mean() > 0.99
