"""From a picture to its answer, the one way that the app, the command line, validation and the tests all take."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from carmask.errors import ModelError, refused_as
from carmask.files.pictures import upright_rgb
from carmask.files.words import DEFAULT_OBJECT
from carmask.inference.loading import open_model
from carmask.inference.preprocessing import Preprocessing, network_size
from carmask.inference.runtimes import Network
from carmask.inference.sliding_window import blended
from carmask.tasks.auto import labels_of, task_for
from carmask.tasks.dots_task import DotsTask
from carmask.tasks.maps import resized
from carmask.tasks.mask_task import MaskTask

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.image_processing_utils import BaseImageProcessor

TRIED = 64  # pixels of the side of the picture that a network sees when it is opened
MOST_TRIED = 2**20  # pixels of a picture of the only size that it takes
BRIGHTEST = 1000  # what a pixel may be for a network, dark or bright


@dataclass(frozen=True)
class Predictor:
    """Answers one picture, as its task says: `predictor(picture)` is a mask or a list of dots.

    A mask is uint8 (height, width) of exactly 0 and 255; dots are in pixels of the upright picture. `network` maps
    pixels (B, 3, H, W) to logits (B, n, h, w), arrays of float32 in any run-time; `name` says which model it is.
    With `magnification` above 1 a sliding window sees a picture up to so many times as large as usual, though no
    larger than it is: for masks of small objects in large pictures.
    """

    network: Network
    preprocessing: Preprocessing
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
        return network_size(size, self.preprocessing.size, self.task.multiple)

    def mirror_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size (height, width) at which the network sees the mirror image of a view of `size`."""
        height, width = (round(self.task.mirror * side) for side in size)
        return network_size((height, width), {"height": height, "width": width}, self.task.multiple)

    def seen_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size at which the network sees a whole picture of `size`, in one window or, magnified, in several."""
        window = self.window_size(size)
        zoom = max(1, min(self.magnification, size[0] / window[0], size[1] / window[1]))
        return round(window[0] * zoom), round(window[1] * zoom)

    def _view(self, picture: Image.Image, size: tuple[int, int] | None) -> Image.Image:
        return self.preprocessing.resized(picture, self.window_size(size or (picture.height, picture.width)))

    def pixel_values(self, picture: Image.Image, size: tuple[int, int] | None = None) -> np.ndarray:
        """What the network sees of an upright picture: its luminance in one window, float32 (1, 3, H, W).

        `size` is as for a call.
        """
        return self.preprocessing.pixel_values([self._view(picture, size)])

    def logits(self, picture: Image.Image, size: tuple[int, int] | None = None) -> np.ndarray:
        """The network's maps for an upright `picture`, seen in one window, float32 (n, h, w); `size` as for a call."""
        return self._maps([self._view(picture, size)])[0]

    def _maps(self, views: list[Image.Image]) -> np.ndarray:
        """The maps (B, n, h, w) of grey views of one size: the network's own, or their mean with a mirror image's."""
        maps = self.network(self.preprocessing.pixel_values(views))
        if not self.task.mirror:
            return maps
        size = self.mirror_size((views[0].height, views[0].width))
        mirror_images = [
            view.transpose(Image.Transpose.FLIP_LEFT_RIGHT).convert("F").resize(size[::-1], Image.Resampling.BILINEAR)
            for view in views
        ]
        mirrored = self.task.flip_maps(self.network(self.preprocessing.pixel_values(mirror_images)))
        return (maps + resized(mirrored, maps.shape[-2:])) / 2

    def __call__(self, picture: Image.Image, size: tuple[int, int] | None = None) -> Any:  # noqa: ANN401 - np.ndarray or list[Dot], by task
        """Answers for `picture` at the full size it has when upright; the picture itself stays as it is.

        `size` (height, width) is the full size of a picture that was opened smaller, as `open_reduced` does.
        """
        picture = upright_rgb(picture)
        size = size or (picture.height, picture.width)
        if isinstance(self.task, DotsTask):
            return self.task.decode(self.logits(picture, size), size)
        return self.task.decode_margin(self.margin(picture, size), size)

    def margin(self, picture: Image.Image, size: tuple[int, int] | None = None) -> np.ndarray:
        """The log-odds of the object in an upright `picture`, float32 (h, w), for `MaskTask.decode_margin`.

        `size` is as for a call.
        """
        assert isinstance(self.task, MaskTask)
        task, size = self.task, size or (picture.height, picture.width)
        window, seen = self.window_size(size), self.seen_size(size)
        if seen == window:
            return task.margin(self.logits(picture, size))
        grey = self.preprocessing.resized(picture, seen)
        return blended(grey, window, lambda views: task.margin(self._maps(views)))

    @classmethod
    def from_network(cls, network: "PreTrainedModel", processor: "BaseImageProcessor", name: str = "") -> "Predictor":
        """Wraps a network in memory, as validation does during training."""
        from carmask.inference.torch_network import torch_function

        preprocessing = Preprocessing.from_settings(processor.to_dict())
        return cls(torch_function(network), preprocessing, task_for(network.config.to_dict()), name)

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        threads: int = 0,
        object_labels: Sequence[str] = (),
        runtime: str = "",
        object_name: str = DEFAULT_OBJECT,
    ) -> "Predictor":
        """Opens a model folder or a model of the Hub.

        `threads` and `runtime` are as for `carmask.inference.loading.open_model`. `object_labels` are the labels that
        mean the object, by name or number, in a network for masks that has many; without them it is `object_name`.

        Raises:
            ModelError: it cannot be opened, or is no network with finite weights for masks of the object or for dots.
        """
        network, settings, preprocessing = open_model(model, threads, runtime)
        with refused_as(ModelError, f"The config.json of {model} cannot be used; fetch or train the model again."):
            try:
                task = task_for(settings, object_labels, object_name)
            except ValueError as error:
                raise ModelError(f"The model {model} cannot be used: {error}.") from error
        predictor = cls(network, preprocessing, task, Path(model).name)
        predictor.try_out(len(labels_of(settings)))
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

    def _see(self, size: tuple[int, int], labels: int) -> None:
        wrong = f"The preprocessor_config.json of {self.name} makes no usable pixels; fetch or train the model again."
        with refused_as(ModelError, wrong), np.errstate(all="ignore"):
            view = self.preprocessing.resized(Image.linear_gradient("L"), size)
            pixels = self.preprocessing.pixel_values([view])
            if pixels.shape != (1, 3, *size) or not np.abs(pixels).max() <= BRIGHTEST:
                raise ModelError(wrong)
        wrong = f"The network of {self.name} gives no usable numbers; fetch or train the model again."
        with refused_as(ModelError, wrong):
            maps = self._maps([view])
            if maps.shape[:2] != (1, labels) or not np.isfinite(maps).all():
                raise ModelError(wrong)


def open_to_judge(model: str, object_name: str | None) -> Predictor:
    """Opens a model to be compared with data that calls its object `object_name`; None where the data does not say.

    A model that finds something else by its own words is judged as if it were the same, which is said.

    Raises:
        ModelError: it cannot be opened, or has many labels and none of that name.
    """
    predictor = Predictor.from_pretrained(model, object_name=object_name or DEFAULT_OBJECT)
    found = predictor.task.name if isinstance(predictor.task, MaskTask) else None
    if object_name and found and found.casefold() != object_name.casefold():
        sys.stderr.write(f"{model} finds {found} and the data shows {object_name}: they are taken for the same.\n")
    return predictor


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
