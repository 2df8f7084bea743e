"""What a network sees of a picture: its luminance, resized and normalised as preprocessor_config.json says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from carmask.errors import ModelError, shortened

SMALLEST = 32  # pixels; below it a network has no last stage
LONGEST_SIDE = 4096  # pixels at which a network sees a picture at a time
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, which transformers takes if none is told


def network_size(size: tuple[int, int], limits: dict[str, int], multiple: int = 1) -> tuple[int, int]:
    """The size at which a network sees a picture of `size` (height, width).

    `limits` is a preprocessing's `size`: "height" and "width" for a fixed size, "max_height" and "max_width" to fit
    in while keeping the shape. Each side is the nearest multiple of `multiple`, and none falls below 32 pixels.
    """
    if "max_height" not in limits:
        sides = [limits["height"], limits["width"]]
    else:
        scale = min(limits["max_height"] / size[0], limits["max_width"] / size[1])
        sides = [int(side * scale) for side in size]
    height, width = (max(SMALLEST, (side + multiple // 2) // multiple * multiple) for side in sides)
    return height, width


@dataclass(frozen=True)
class Preprocessing:
    """How pictures become pixels: `size` is as for `network_size`, `resample` one of Pillow's filters.

    A channel's pixel is (grey * scale - mean) / deviation, for a grey value of 0 to 255.
    """

    size: dict[str, int]
    resample: Image.Resampling = Image.Resampling.BILINEAR
    scale: float = 1 / 255
    mean: tuple[float, ...] = MEAN
    deviation: tuple[float, ...] = DEVIATION

    @classmethod
    def from_settings(cls, settings: dict, model: str = "") -> "Preprocessing":
        """Reads what a preprocessor_config.json says, of any age; what it leaves out is as in transformers' SegFormer.

        `model` is the name of whose it is.

        Raises:
            ModelError: it is of another kind than SegFormer's, or its picture size is unknown here or out of range.
        """
        refused = f"The model {model} cannot be used: its"
        kind = str(settings.get("image_processor_type") or settings.get("feature_extractor_type") or "Segformer")
        if "auto_map" in settings or not kind.startswith("Segformer"):
            said = shortened(kind, 40)
            raise ModelError(
                f"{refused} preprocessor_config.json names a {said}, and none but SegFormer's is known here."
            )
        if not settings.get("do_resize", True):
            raise ModelError(f"{refused} preprocessor_config.json resizes nothing; set do_resize to true, and a size.")
        given = settings.get("size") or 512
        limits = {"height": given, "width": given} if isinstance(given, int) else dict(given)
        limits = {side: length for side, length in limits.items() if length is not None}
        if {*limits} not in ({"height", "width"}, {"max_height", "max_width"}):
            raise ModelError(f"{refused} picture size names {', '.join(sorted(limits))}.")
        if not all(1 <= length <= LONGEST_SIDE for length in limits.values()):
            said = ", ".join(map(shortened, limits.values()))
            raise ModelError(f"{refused} picture size is {said}, not 1 to {LONGEST_SIDE}.")
        scale = settings.get("rescale_factor", cls.scale) if settings.get("do_rescale", True) else 1.0
        mean, deviation = (0.0,) * 3, (1.0,) * 3
        if settings.get("do_normalize", True):
            mean, deviation = settings.get("image_mean") or MEAN, settings.get("image_std") or DEVIATION
        resample = settings.get("resample")
        filter_ = Image.Resampling.BILINEAR if resample is None else Image.Resampling(resample)
        return cls(limits, filter_, float(scale), tuple(map(float, mean)), tuple(map(float, deviation)))

    def resized(self, picture: Image.Image, size: tuple[int, int]) -> Image.Image:
        """The luminance of a picture at `size` (height, width)."""
        return picture.convert("L").resize(size[::-1], self.resample)  # one channel, not three equal ones

    def pixel_values(self, greys: Sequence[Image.Image]) -> np.ndarray:
        """The pixels of grey pictures of one size, of mode L or F, as float32 (B, 3, H, W)."""
        grey = np.stack([np.asarray(one, np.float64) for one in greys])[:, None]
        mean, deviation = (np.array(values, np.float32)[:, None, None] for values in (self.mean, self.deviation))
        return ((grey * self.scale).astype(np.float32) - mean) / deviation
