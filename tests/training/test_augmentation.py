import numpy as np
import pytest
import torch
from conftest import drawn_car
from PIL import Image
from torch.utils.data import DataLoader

from carmask.data.layout import NOT_JUDGED
from carmask.tasks.mask_task import IGNORED, MaskTask
from carmask.training.augmentation import blur_part, random_crop, warp
from carmask.training.examples import Examples


def pairs(count=5):
    drawn = [drawn_car(seed=seed) for seed in range(count)]
    return [(np.array(picture.convert("L")), mask) for picture, mask in drawn]


def examples(numbers, seed=0):
    return Examples(pairs(), MaskTask(), 32, seed, numbers)


def test_an_example_depends_on_seed_and_number_alone():
    whole, rest = examples(range(20)), examples(range(7, 20))
    for place in range(13):
        assert all(torch.equal(whole[place + 7][key], rest[place][key]) for key in ("grey", "target"))
    assert not torch.equal(whole[3]["grey"], examples(range(20), seed=1)[3]["grey"])


@pytest.mark.parametrize("workers", [0, 2])
def test_worker_processes_change_nothing(workers):
    batches = list(DataLoader(examples(range(8)), batch_size=4, num_workers=workers))
    direct = examples(range(8))
    assert torch.equal(batches[1]["grey"], torch.stack([direct[k]["grey"] for k in range(4, 8)]))


def test_each_round_uses_every_row_once():
    seen = []

    class Spy(list):
        def __getitem__(self, row):
            seen.append(row)
            return super().__getitem__(row)

    rows = Examples(Spy(pairs()), MaskTask(), 32, 0, range(10))
    for place in range(10):
        rows[place]
    assert sorted(seen[:5]) == sorted(seen[5:]) == list(range(5))
    assert seen[:5] != seen[5:]


@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_a_crop_keeps_picture_and_mask_together(seed, square):
    mask = drawn_car(seed=seed)[1]
    grey, truth = random_crop(mask // 255 * 200 + 20, mask, 48, np.random.default_rng(seed), square=square)
    assert grey.shape == truth.shape == (48, 48)
    assert set(np.unique(truth)) <= {0, NOT_JUDGED, 255}
    judged = truth != NOT_JUDGED
    assert ((grey > 120) == (truth == 255))[judged].mean() > 0.9


@pytest.mark.parametrize("square", [False, True])
def test_a_wide_picture_is_as_high_as_wide_in_a_crop_only_if_pressed_into_a_square(square):
    mask = np.full((100, 300), 255, np.uint8)  # all car, so that what is judged is the picture itself
    shapes = []
    for seed in range(40):
        _, truth = random_crop(mask, mask, 96, np.random.default_rng(seed), 0.7, square)
        rows, columns = np.nonzero(truth == 255)
        shapes.append(np.log(np.ptp(columns) / np.ptp(rows)))
    assert np.median(shapes) == pytest.approx(0 if square else np.log(3), abs=0.15)


def test_beyond_the_edge_nothing_is_judged():
    mask = np.full((20, 20), 255, dtype=np.uint8)
    truth = warp(mask, np.eye(2), np.array([-10.0, 0.0]), 20, NOT_JUDGED, nearest=True)
    assert (truth[:, :10] == NOT_JUDGED).all()
    assert (truth[:, 10:] == 255).all()


@pytest.mark.parametrize("paste", [0.0, 1.0])
def test_a_pasted_car_comes_with_its_mask_and_covers_what_was_there(paste):
    empty = (np.full((40, 40), 20, np.uint8), np.zeros((40, 40), np.uint8))
    car = (np.full((40, 40), 240, np.uint8), np.full((40, 40), 255, np.uint8))
    rows = Examples([empty, car], MaskTask(), 32, 0, range(40), paste=paste)
    shows_car = {0: [], 1: []}
    for number in range(40):
        row = np.random.default_rng((0, number // 2)).permutation(2)[number % 2]
        shows_car[row].append(bool((rows[number]["target"] == 1).any()))
    assert any(shows_car[0]) == (paste > 0)
    assert all(shows_car[1])


def test_on_a_crop_that_nobody_judged_nothing_is_pasted():
    unjudged = (np.full((40, 40), 20, np.uint8), np.full((40, 40), NOT_JUDGED, np.uint8))
    car = (np.full((40, 40), 240, np.uint8), np.full((40, 40), 255, np.uint8))
    rows = Examples([unjudged, car], MaskTask(), 32, 0, range(20), paste=1.0)
    for number in range(20):
        if np.random.default_rng((0, number // 2)).permutation(2)[number % 2] == 0:
            assert (rows[number]["target"] == IGNORED).all()


@pytest.mark.parametrize("size", [(32, 32), (224, 96)])
def test_where_a_part_is_blurred_the_rest_stays_as_it_was(size):
    checks = Image.fromarray((np.indices(size[::-1]).sum(0) % 2 * 255).astype(np.uint8))
    for seed in range(20):
        picture = checks.copy()
        blur_part(picture, np.random.default_rng(seed))
        rows, columns = np.nonzero(np.asarray(picture) != np.asarray(checks))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width  # a rectangle, and all of it
        assert 0.04 * size[0] * size[1] * 0.6 < height * width < 0.36 * size[0] * size[1] * 1.2
