"""Bilinear resizing of maps."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_maps(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resizes `maps` (B, n, h, w) bilinearly to `size` (height, width)."""
    if maps.shape[-2:] == torch.Size(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def resize_matrix(old: int, new: int, like: Tensor) -> Tensor:
    """The matrix (new, old) that resizes one side of a map bilinearly, of the type and on the device of `like`."""
    columns = torch.eye(old, dtype=like.dtype, device=like.device)[None, None]
    return F.interpolate(columns, size=(new, old), mode="bilinear", align_corners=False)[0, 0]
