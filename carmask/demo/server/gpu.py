"""Where the page's networks run: on a GPU that a Space lends for some seconds (ZeroGPU), and else on this machine."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image

from carmask.errors import ModelError
from carmask.inference.predictor import Predictor

START_SECONDS = 5  # of the GPU: a process is forked and the networks are moved
VIEWS_PER_SECOND = 10  # a fiftieth of what it does: a visitor's quota counts the seconds that are used, not asked for

View = tuple[Image.Image, tuple[int, int]]
FindMaps = Callable[[Predictor, Sequence[View]], list[np.ndarray]]


def view_of(predictor: Predictor, picture: Image.Image) -> View:
    """What the network sees of an upright picture, grey and small, and the full size (height, width)."""
    size = (picture.height, picture.width)
    return predictor.preprocessing.resized(picture, predictor.seen_size(size)), size


def maps_of(predictor: Predictor, views: Sequence[View]) -> list[np.ndarray]:
    """Of each view the margin (h, w), or for dots the logits (n, h, w); float32."""
    see = predictor.margin if predictor.task.kind == "mask" else predictor.logits
    return [see(*view) for view in views]


def is_lent() -> bool:
    """Whether this is a Space that lends a GPU."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def make_find_maps(models: dict[str, str | Path], open_model: Callable[[str], Predictor]) -> FindMaps:
    """Returns `maps_of`, or on a Space that lends a GPU the same on the GPU, for all views in one request.

    It is to be called before the page is launched, since then the Space takes the networks that lie on its GPU. What
    the Space refuses, for a quota or else, is computed on this machine.
    """
    if not is_lent():
        return maps_of
    import spaces

    on_gpu = {}
    for name, model in models.items():
        try:
            on_gpu[name] = on_cuda(open_model(name), model)
        except ModelError as error:  # the page says so where it is chosen
            logging.error("%s", error)

    def run(name: str, magnification: float, views: Sequence[View]) -> list[np.ndarray]:
        import torch

        torch.set_num_threads(1)  # several would wait for those of the process that this one was forked from
        return maps_of(replace(on_gpu[name], magnification=magnification), views)

    lent = spaces.GPU(run, duration=lambda name, zoom, views: START_SECONDS + len(views) // VIEWS_PER_SECOND)

    def find_maps(predictor: Predictor, views: Sequence[View]) -> list[np.ndarray]:
        if predictor.name not in on_gpu:
            return maps_of(predictor, views)
        try:
            return lent(predictor.name, predictor.magnification, list(views))
        except (gr.Error, RuntimeError) as error:
            logging.warning("No GPU was lent, so the processor answers: %s", error)
            return maps_of(predictor, views)

    return find_maps


def on_cuda(predictor: Predictor, model: str | Path) -> Predictor:
    """The same predictor with its network, in torch, on the GPU.

    Raises:
        ModelError: the model has no weights for torch.
    """
    from carmask.inference.torch_network import load_network, torch_function

    return replace(predictor, network=torch_function(load_network(model).to("cuda")))
