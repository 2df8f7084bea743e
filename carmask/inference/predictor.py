"""From a picture to its answer, the one way that the app, the command line, validation and the tests all take."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel
from transformers.image_processing_utils import BaseImageProcessor

from carmask.errors import ModelError, refused_as
from carmask.files.pictures import upright_rgb
from carmask.inference.loading import load_exported, load_network, load_processor, torch_function
from carmask.inference.runtimes import exported_file
from carmask.inference.sliding_window import blended
from carmask.networks.resizing import resize_maps
from carmask.tasks.auto import task_for
from carmask.tasks.dots_task import DotsTask
from carmask.tasks.mask_task import MaskTask

TRIED = 64  # pixels of the side of the picture that a network sees when it is opened
MOST_TRIED = 2**20  # pixels of a picture of the only size that it takes
BRIGHTEST = 1000  # what a pixel may be for a network, dark or bright
SMALLEST = 32  # pixels; below it a network has no last stage


def network_size(size: tuple[int, int], limits: dict[str, int], multiple: int = 1) -> tuple[int, int]:
    """The size at which a network sees a picture of `size` (height, width).

    `limits` is a processor's `size`: "height" and "width" for a fixed size, "max_height" and "max_width" to fit in
    while keeping the shape. Each side is the nearest multiple of `multiple`, and none falls below 32 pixels.
    """
    if "max_height" not in limits:
        sides = [limits["height"], limits["width"]]
    else:
        scale = min(limits["max_height"] / size[0], limits["max_width"] / size[1])
        sides = [int(side * scale) for side in size]
    height, width = (max(SMALLEST, (side + multiple // 2) // multiple * multiple) for side in sides)
    return height, width


@dataclass(frozen=True)
class Predictor:
    """Answers one picture, as its task says: `predictor(picture)` is a mask or a list of dots.

    A mask is uint8 (height, width) of exactly 0 and 255; dots are in pixels of the upright picture. `network` maps
    pixels (B, 3, H, W) to logits (B, n, h, w) and may be torch or any other run-time; `name` says which model it is.
    With `magnification` above 1 a sliding window sees a picture up to so many times as large as usual, though no
    larger than it is: for masks of small objects in large pictures.
    """

    network: Callable[[Tensor], Tensor]
    processor: BaseImageProcessor
    task: MaskTask | DotsTask
    name: str = ""
    magnification: float = 1.0

    def __post_init__(self) -> None:
        """Demands that sliding-window inference is for masks (ModelError)."""
        if self.magnification > 1 and self.task.kind != "mask":
            raise ModelError("Sliding-window inference is for masks alone; leave it out with a model for dots.")

    @property
    def threshold(self) -> float:
        """The probability above which a pixel is in the mask, or a dot is in the picture."""
        return self.task.threshold

    def with_threshold(self, threshold: float) -> "Predictor":
        """The same predictor with another threshold between 0 and 1."""
        return replace(self, task=replace(self.task, threshold=threshold))

    def with_object(self, name: str) -> "Predictor":
        """The same predictor, for masks, with another name for what it finds."""
        assert isinstance(self.task, MaskTask)
        return replace(self, task=replace(self.task, name=name))

    def window_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size (height, width) of what the network sees at a time of a picture of `size` (height, width)."""
        limits = {side: length for side, length in dict(self.processor.size).items() if length is not None}
        return network_size(size, limits, self.task.multiple)

    def seen_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size at which the network sees a whole picture of `size`, in one window or, magnified, in several."""
        window = self.window_size(size)
        zoom = max(1, min(self.magnification, size[0] / window[0], size[1] / window[1]))
        return round(window[0] * zoom), round(window[1] * zoom)

    def pixel_values(self, picture: Image.Image, size: tuple[int, int] | None = None) -> Tensor:
        """What the network sees of an upright picture: its luminance in one window, float32 (1, 3, H, W).

        `size` is as for a call.
        """
        return self._normalised([self._resized(picture, self.window_size(size or (picture.height, picture.width)))])

    def _resized(self, picture: Image.Image, size: tuple[int, int]) -> Image.Image:
        # One channel is resized, not three equal ones.
        return picture.convert("L").resize(size[::-1], Image.Resampling(self.processor.resample))

    def _normalised(self, views: list[Image.Image]) -> Tensor:
        views = [view.convert("RGB") for view in views]
        return self.processor(views, do_resize=False, return_tensors="pt").pixel_values

    def logits(self, picture: Image.Image, size: tuple[int, int] | None = None) -> Tensor:
        """The network's maps for an upright `picture`, seen in one window, float32 (n, h, w); `size` as for a call."""
        return self._maps(self.pixel_values(picture, size))[0]

    def _maps(self, pixel_values: Tensor) -> Tensor:
        """The maps (B, n, h, w) for pixels (B, 3, H, W), float32: the network's own, or their mean with a mirror's."""
        maps = self.network(pixel_values).float()
        if not self.task.mirror:
            return maps
        height, width = (round(self.task.mirror * side) for side in pixel_values.shape[-2:])
        size = network_size((height, width), {"height": height, "width": width}, self.task.multiple)
        mirror_image = F.interpolate(pixel_values.flip(-1), size=size, mode="bilinear", antialias=True)
        mirrored = self.task.flip_maps(self.network(mirror_image).float())
        return (maps + resize_maps(mirrored, maps.shape[-2:])) / 2

    @torch.inference_mode()
    def __call__(self, picture: Image.Image, size: tuple[int, int] | None = None) -> Any:  # noqa: ANN401 - np.ndarray or list[Dot], by task
        """Answers for `picture` at the full size it has when upright; the picture itself stays as it is.

        `size` (height, width) is the full size of a picture that was opened smaller, as `open_reduced` does.
        """
        picture = upright_rgb(picture)
        size = size or (picture.height, picture.width)
        if isinstance(self.task, DotsTask):
            return self.task.decode(self.logits(picture, size), size)
        return self.task.decode_margin(self.margin(picture, size), size)

    @torch.inference_mode()
    def margin(self, picture: Image.Image, size: tuple[int, int] | None = None) -> Tensor:
        """The log-odds of the object in an upright `picture`, float32 (h, w), for `MaskTask.decode_margin`.

        `size` is as for a call.
        """
        assert isinstance(self.task, MaskTask)
        task, size = self.task, size or (picture.height, picture.width)
        window, seen = self.window_size(size), self.seen_size(size)
        if seen == window:
            return task.margin(self.logits(picture, size))
        grey = self._resized(picture, seen)
        return blended(grey, window, lambda views: task.margin(self._maps(self._normalised(views))))

    @torch.inference_mode()
    def activations(self, picture: Image.Image) -> np.ndarray:
        """The network's maps for `picture`, to look at: float32 (n, h, w) in 0 to 1."""
        return self.task.activations(self.logits(upright_rgb(picture))).numpy()

    @classmethod
    def from_network(cls, network: PreTrainedModel, processor: BaseImageProcessor, name: str = "") -> "Predictor":
        """Wraps a network in memory, as validation does during training."""
        return cls(torch_function(network), processor, task_for(network.config), name)

    @classmethod
    def from_pretrained(cls, model: str | Path, threads: int = 0, object_labels: Sequence[str] = ()) -> "Predictor":
        """Opens a model folder, of torch or exported, or a model of the Hub.

        `threads` says how many an exported network takes for one picture (0: one per core); torch has its own switch.
        `object_labels` are the labels that mean the object, by name or number, in a network for masks that has many.

        Raises:
            ModelError: it cannot be opened, or is no network with finite weights for masks of the object or for dots.
        """
        exported = exported_file(Path(model))
        if exported:
            function, config = load_exported(exported, threads)
        else:
            network = load_network(model)
            function, config = torch_function(network), network.config
        processor = load_processor(model)
        with refused_as(ModelError, f"The config.json of {model} cannot be used; fetch or train the model again."):
            try:
                task = task_for(config, object_labels)
            except ValueError as error:
                raise ModelError(f"The model {model} cannot be used: {error}.") from error
        predictor = cls(function, processor, task, Path(model).name)
        predictor.try_out(config.num_labels)
        return predictor

    def try_out(self, labels: int) -> None:
        """Has the network, of so many `labels`, see a small picture, so that what cannot work is told at once.

        Raises:
            ModelError: its pixels or its maps are not what they must be.
        """
        try:
            self._see((TRIED, TRIED), labels)
        except ModelError:
            window = self.window_size((TRIED, TRIED))
            if math.prod(window) > MOST_TRIED:
                raise
            self._see(window, labels)  # some networks take no other size than their own

    @torch.inference_mode()
    def _see(self, size: tuple[int, int], labels: int) -> None:
        wrong = f"The preprocessor_config.json of {self.name} makes no usable pixels; fetch or train the model again."
        with refused_as(ModelError, wrong), np.errstate(all="ignore"):
            pixels = self._normalised([self._resized(Image.linear_gradient("L"), size)])
            if pixels.shape != (1, 3, *size) or not pixels.abs().max() <= BRIGHTEST:
                raise ModelError(wrong)
        wrong = f"The network of {self.name} gives no usable numbers; fetch or train the model again."
        with refused_as(ModelError, wrong):
            maps = self._maps(pixels)
            if maps.shape[:2] != (1, labels) or not maps.isfinite().all():
                raise ModelError(wrong)


def check_task(predictor: Predictor, kind: str) -> None:
    """Demands a model of the task `kind`, "mask" or "dots".

    Raises:
        ModelError: it is made for the other task.
    """
    if predictor.task.kind != kind:
        does = {"mask": "draws masks", "dots": "places dots"}
        raise ModelError(
            f"The model {predictor.name} {does[predictor.task.kind]}, but one that {does[kind]} is needed; "
            "choose another model."
        )
