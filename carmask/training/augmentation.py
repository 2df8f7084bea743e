"""Data augmentation: scale jitter, random crops, warps, photometric augmentation and blur."""

import io
import math

import numpy as np
from PIL import Image, ImageFilter

from carmask.data.layout import NOT_JUDGED
from carmask.data.rows import Example, is_mask, places_to_find
from carmask.training.config import LARGEST_SCALE, SMALLEST_SCALE


def random_crop(
    grey: np.ndarray,
    truth: np.ndarray,
    crop: int,
    rng: np.random.Generator,
    scale_jitter: float = LARGEST_SCALE,
    square: bool = False,
) -> Example:
    """Cuts a square of `crop` pixels at a random scale (scale jitter), place, rotation and stretch, in one warp.

    With `square` the whole picture is first resized to a square, for a network that will see it so. Half of the crops
    of a picture with something to find are centred near it. Beyond the edge the picture is a plain grey and a mask is
    not judged; points move with the picture, and those outside the crop lie outside 0 to 1.
    """
    height, width = grey.shape
    sides = np.array([width, height])
    long_side = crop * math.exp(rng.uniform(math.log(SMALLEST_SCALE), math.log(scale_jitter)))
    scale = long_side / (sides if square else np.full(2, sides.max()))
    half = crop / 2 / scale
    centre = np.array([random_place(*of_side, rng) for of_side in zip(sides, half, strict=True)])
    to_find = places_to_find(truth)
    if len(to_find) and rng.random() < 0.5:
        centre = place(truth, rng.choice(to_find), (width, height)) + rng.uniform(-half, half) / 2
    angle = math.radians(rng.normal(0, 5) if rng.random() < 0.5 else 0)
    stretch = math.exp(rng.uniform(-0.15, 0.15))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = turn @ np.diag([1 / (scale[0] * stretch), stretch / scale[1]])  # from crop to picture coordinates
    start = centre - matrix @ [crop / 2, crop / 2]
    grey = warp(grey, matrix, start, crop, int(rng.integers(256)))
    if is_mask(truth):
        return grey, warp(truth, matrix, start, crop, NOT_JUDGED, nearest=True)
    return grey, (truth * [width, height] - start) @ np.linalg.inv(matrix).T / crop


def place(truth: np.ndarray, number: int, size: tuple[int, int]) -> np.ndarray:
    """Where, (x, y) in a picture of `size` (width, height), the place `number` of `places_to_find` is."""
    return np.array(divmod(int(number), size[0])[::-1]) if is_mask(truth) else truth[number] * size


def random_place(side: float, half: float, rng: np.random.Generator) -> float:
    """A centre for a window of `2 * half` on a picture of `side`: inside it, or around it where it is larger."""
    low, high = sorted((half, side - half))
    return rng.uniform(low, high)


def warp(
    values: np.ndarray, matrix: np.ndarray, start: np.ndarray, crop: int, fill: int, nearest: bool = False
) -> np.ndarray:
    """Samples uint8 `values` (H, W) at `matrix @ (x, y) + start` for each crop pixel, or the pixel nearest to it."""
    picture = Image.fromarray(np.ascontiguousarray(values))
    shrink = 1 if nearest else max(1, int(np.linalg.norm(matrix[:, 0])))  # averages pixels before coarse sampling
    if shrink > 1:
        picture = picture.reduce(shrink)
    sampling = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
    rows = (np.column_stack([matrix, start]) / shrink).ravel().tolist()
    return np.array(picture.transform((crop, crop), Image.Transform.AFFINE, rows, sampling, fillcolor=fill))


def photometric_augmentation(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Changes gamma, contrast, brightness, sharpness, noise and JPEG quality of uint8 `grey`, each at random.

    Sometimes only a part is blurred, as a number plate may be: what is pasted or composed is often less sharp than
    its surroundings, and a network must not learn that whatever is less sharp is the object.
    """
    values = grey.astype(np.float32) / 255
    if rng.random() < 0.8:
        values = values ** math.exp(rng.normal(0, 0.3))
        values = (values - 0.5) * math.exp(rng.normal(0, 0.25)) + 0.5 + rng.normal(0, 0.1)
    picture = Image.fromarray((values.clip(0, 1) * 255).astype(np.uint8))
    if rng.random() < 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.8)))
    if rng.random() < 0.1:
        blur_part(picture, rng)
    if rng.random() < 0.15:
        store = io.BytesIO()
        picture.save(store, "JPEG", quality=int(rng.integers(20, 80)))
        picture = Image.open(store)
    values = np.array(picture)
    if rng.random() < 0.3:
        noise = rng.standard_normal(values.shape, dtype=np.float32) * rng.uniform(1, 16)
        values = (values + noise).clip(0, 255).astype(np.uint8)
    return values


def blur_part(picture: Image.Image, rng: np.random.Generator) -> None:
    """Blurs a rectangle of a picture, in place: a fifth to three fifths of its width and of its height."""
    sides = np.array(picture.size)
    size = sides * rng.uniform(0.2, 0.6, 2)
    start = rng.uniform(0, sides - size)
    left, top, right, bottom = np.rint([*start, *(start + size)]).astype(int).tolist()
    blur_box(picture, (left, top, right, bottom), rng.uniform(1, 8))


def blur_box(picture: Image.Image, box: tuple[int, int, int, int], radius: float) -> None:
    """Blurs a rectangle (left, top, right, bottom) of a picture, in place."""
    picture.paste(picture.crop(box).filter(ImageFilter.GaussianBlur(radius)), box)
