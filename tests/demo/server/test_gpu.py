"""The laws of a Space that lends a GPU, with a stand-in for it."""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import drawn_car
from serving import ROOT

from carmask import Predictor
from carmask.demo.batch_tab import seen_together
from carmask.demo.mask_answer import mask_at, object_margin
from carmask.demo.picture_zips import BatchPicture
from carmask.demo.server.gpu import make_find_maps, maps_of, view_of
from carmask.errors import PictureError


@pytest.mark.slow
def test_a_hundred_requests_are_answered_as_the_processor_would_in_few_seconds_of_the_gpu():
    models = [ROOT / "models/car-mask-fcn", ROOT / "models/car-dots-fcn"]  # large enough for threads of OpenMP
    command = [sys.executable, ROOT / "tests/zero_gpu.py", *models]
    settings = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    calls, views, seconds, longest = map(int, done.stdout.split())
    assert (calls, views) == (100, 75 + 25 * 3)  # one request for a batch
    assert longest <= 6
    assert seconds <= 6 * 90  # a refused one asks for none
    assert done.stderr.count("exceeded your ZeroGPU quota") == 10


def test_where_no_gpu_is_lent_networks_run_here(tiny_mask_model, monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert make_find_maps({"tiny-mask": tiny_mask_model}, lambda name: None) is maps_of


def test_what_the_network_sees_is_small_and_gives_the_mask_of_the_whole_picture(any_model):
    predictor = Predictor.from_pretrained(any_model)
    picture, _ = drawn_car((300, 500))
    view, size = view_of(predictor, picture)
    assert max(view.size) <= 64
    assert np.array_equal(
        mask_at(maps_of(predictor, [(view, size)])[0], predictor.threshold, size), predictor(picture)
    )


def test_a_batch_is_seen_in_one_run_without_the_pictures_that_cannot_be_read(tiny_mask_model):
    predictor, runs = Predictor.from_pretrained(tiny_mask_model), []

    def refuse():
        raise PictureError("This is not a picture.")

    def find_maps(predictor, views):
        runs.append(len(views))
        return maps_of(predictor, views)

    pictures = [drawn_car(seed=seed)[0] for seed in range(3)]
    given = [BatchPicture(f"{seed}.png", lambda one=one: one) for seed, one in enumerate(pictures)]
    given.insert(1, BatchPicture("bad.png", refuse))
    *_, seen = seen_together(given, predictor, find_maps)
    assert runs == [3]
    assert seen[1].margin is None
    for one, picture in zip([seen[0], *seen[2:]], pictures, strict=True):
        assert np.array_equal(one.margin, object_margin(predictor, picture))
