"""What accuracy.py does to pictures before a network sees them: disturbances, and more pixels."""

import io
import math

import numpy as np
from PIL import Image, ImageFilter

from carmask.training.augmentation import blur_box


def blurred(grey: Image.Image) -> Image.Image:
    """The picture out of focus, by 0.5 % of its longer side."""
    return grey.filter(ImageFilter.GaussianBlur(0.005 * max(grey.size)))


def part_blurred(grey: Image.Image) -> Image.Image:
    """The picture with a fifth of it, in the middle of the upper half, out of focus by 1.5 % of its longer side."""
    box = tuple(round(share * side) for share, side in zip((0.25, 0.05, 0.75, 0.45), grey.size * 2, strict=True))
    whole = grey.copy()
    blur_box(whole, box, 0.015 * max(grey.size))
    return whole


def noisy(grey: Image.Image) -> Image.Image:
    """The picture with noise of 20 grey levels; equal sizes get equal noise."""
    noise = np.random.default_rng(0).normal(0, 20, (grey.height, grey.width))
    return Image.fromarray((np.asarray(grey) + noise).clip(0, 255).astype(np.uint8))


def darkened(grey: Image.Image) -> Image.Image:
    """The picture with a quarter of its light."""
    return grey.point(lambda value: value // 4)


def jpeg_30(grey: Image.Image) -> Image.Image:
    """The picture after JPEG of quality 30."""
    store = io.BytesIO()
    grey.save(store, "JPEG", quality=30)
    return Image.open(store)


def half_size(grey: Image.Image) -> Image.Image:
    """The picture at half its size, and enlarged again so that its truth stays what it is."""
    small = grey.resize((max(1, grey.width // 2), max(1, grey.height // 2)), Image.Resampling.BOX)
    return small.resize(grey.size, Image.Resampling.BILINEAR)


DISTURBANCES = {
    "blur": blurred,
    "blurred part": part_blurred,
    "noise": noisy,
    "dark": darkened,
    "JPEG 30": jpeg_30,
    "half size": half_size,
}


def enlarged(picture: Image.Image, truth: np.ndarray, megapixels: float) -> tuple[Image.Image, np.ndarray]:
    """A picture and its truth at `megapixels`, if they have fewer; the outlines of the truth stay smooth."""
    scale = math.sqrt(megapixels * 1e6 / truth.size)
    if scale <= 1:
        return picture, truth
    size = round(scale * picture.width), round(scale * picture.height)
    object_, not_judged = (
        np.asarray(Image.fromarray(np.uint8(255) * (truth == value)).resize(size, Image.Resampling.BICUBIC)) > 127
        for value in (255, 128)
    )
    return picture.resize(size, Image.Resampling.BICUBIC), np.select([object_, not_judged], [255, 128]).astype(
        np.uint8
    )
