"""One row of a data set → one training example; everything random about it follows from one number."""

import io
import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torch.utils.data import Dataset
from transformers.image_processing_utils import BaseImageProcessor

LARGEST_ZOOM = 3.0  # a picture's long side is drawn at 0.6 to 3 times the crop's side
SMALLEST_ZOOM = 0.6
OUTSIDE = 128  # the truth beyond the picture's edge: not judged

Pair = tuple[np.ndarray, np.ndarray]


class Examples(Dataset):
    """A numbered supply of training examples: example n depends on `seed` and n alone.

    Every `len(rows)` examples use each row once, in a new order. So a run can stop after any example and go on with
    the next, on any number of worker processes, without keeping any state but n.
    """

    def __init__(self, rows: Sequence[Pair], task: object, crop: int, seed: int, numbers: range):
        """Supplies the examples `numbers`, squares of `crop` pixels a side, out of `rows`."""
        self.rows, self.task, self.crop, self.seed, self.numbers = rows, task, crop, seed, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        """One example: `grey` uint8 (crop, crop), and its `target` as the task paints it."""
        epoch, draw = divmod(self.numbers[place], len(self.rows))
        row = np.random.default_rng((self.seed, epoch)).permutation(len(self.rows))[draw]
        rng = np.random.default_rng((self.seed, epoch, draw))
        grey, mask = self.rows[row]
        if rng.random() < 0.5:
            grey, mask = grey[:, ::-1], self.task.flip(mask)
        grey, mask = random_crop(grey, mask, self.crop, rng)
        target = self.task.target(mask, (self.crop, self.crop))
        return {"grey": torch.from_numpy(random_light(grey, rng)), "target": target}


def random_crop(grey: np.ndarray, mask: np.ndarray, crop: int, rng: np.random.Generator) -> Pair:
    """Cuts a square of `crop` pixels at a random scale, place, rotation and stretch, in one affine step.

    Half of the crops of a picture with a car are centred on one of its pixels. Beyond the edge the picture is a
    plain grey and the truth is not judged.
    """
    height, width = grey.shape
    zoom = crop * math.exp(rng.uniform(math.log(SMALLEST_ZOOM), math.log(LARGEST_ZOOM))) / max(height, width)
    half = crop / 2 / zoom
    centre = np.array([random_place(side, half, rng) for side in (width, height)])
    cars = np.flatnonzero(mask == 255)
    if len(cars) and rng.random() < 0.5:
        y, x = divmod(int(rng.choice(cars)), width)
        centre = np.array([x, y]) + rng.uniform(-half, half, 2) / 2
    angle = math.radians(rng.normal(0, 5) if rng.random() < 0.5 else 0)
    stretch = math.exp(rng.uniform(-0.15, 0.15))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = turn @ np.diag([1 / (zoom * stretch), stretch / zoom])  # from crop to picture coordinates
    start = centre - matrix @ [crop / 2, crop / 2]
    grey = warp(grey, matrix, start, crop, int(rng.integers(256)))
    return grey, warp(mask, matrix, start, crop, OUTSIDE, is_mask=True)


def random_place(side: float, half: float, rng: np.random.Generator) -> float:
    """A centre for a window of `2 * half` on a picture of `side`: inside it, or around it where it is larger."""
    low, high = sorted((half, side - half))
    return rng.uniform(low, high)


def warp(
    values: np.ndarray, matrix: np.ndarray, start: np.ndarray, crop: int, fill: int, is_mask: bool = False
) -> np.ndarray:
    """Samples uint8 `values` (H, W) at `matrix @ (x, y) + start` for each crop pixel: masks by the nearest pixel."""
    picture = Image.fromarray(np.ascontiguousarray(values))
    shrink = 1 if is_mask else max(1, int(np.linalg.norm(matrix[:, 0])))  # averages before it samples coarsely
    if shrink > 1:
        picture = picture.reduce(shrink)
    sampling = Image.Resampling.NEAREST if is_mask else Image.Resampling.BILINEAR
    rows = (np.column_stack([matrix, start]) / shrink).ravel().tolist()
    return np.array(picture.transform((crop, crop), Image.Transform.AFFINE, rows, sampling, fillcolor=fill))


def random_light(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Changes gamma, contrast, brightness, sharpness, noise and JPEG quality of uint8 `grey`, each now and then."""
    values = grey.astype(np.float32) / 255
    if rng.random() < 0.8:
        values = values ** math.exp(rng.normal(0, 0.3))
        values = (values - 0.5) * math.exp(rng.normal(0, 0.25)) + 0.5 + rng.normal(0, 0.1)
    picture = Image.fromarray((values.clip(0, 1) * 255).astype(np.uint8))
    if rng.random() < 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.8)))
    if rng.random() < 0.15:
        store = io.BytesIO()
        picture.save(store, "JPEG", quality=int(rng.integers(20, 80)))
        picture = Image.open(store)
    values = np.array(picture)
    if rng.random() < 0.3:
        noise = rng.standard_normal(values.shape, dtype=np.float32) * rng.uniform(1, 16)
        values = (values + noise).clip(0, 255).astype(np.uint8)
    return values


def to_pixels(grey: Tensor, processor: BaseImageProcessor) -> Tensor:
    """Grey crops, uint8 (B, H, W), as normalised `pixel_values` float32 (B, 3, H, W), as `processor` makes them."""
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (processor.image_mean, processor.image_std))
    return (grey[:, None].float() / 255 - mean.to(grey.device)) / deviation.to(grey.device)
