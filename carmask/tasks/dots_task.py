"""What the maps of named points mean: how truth becomes a target, how far maps are from it, and the dots in them.

Answers are numpy alone; what training needs imports torch when it is called.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from carmask.tasks.peaks import find_peaks

if TYPE_CHECKING:
    from torch import Tensor

MULTIPLE = 32  # the longest stride of the networks here
THINNEST = 0.7  # cells: the radius below which a bump could fall between the cells


class Dot(NamedTuple):
    """A named point: x and y in pixels of the upright picture, or None where it is not in the picture.

    The centre of the top left pixel is (0.5, 0.5). `score` is the map's probability at its peak, in 0 to 1.
    """

    name: str
    x: float | None
    y: float | None
    score: float


OTHER_SIDE = {"left": "right", "Left": "Right", "LEFT": "RIGHT", "l": "r", "L": "R"}
OTHER_SIDE |= {right: left for left, right in OTHER_SIDE.items()}
SIDE = re.compile("left|right|Left|Right|LEFT|RIGHT|(?<![A-Za-z])[lrLR](?![A-Za-z])")


def left_right_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of names that differ in left and right alone (left_eye and right_eye, light_l and light_r), left first."""
    mirrored = {name: SIDE.sub(lambda side: OTHER_SIDE[side[0]], name) for name in names}
    left = [name for name in mirrored if (side := SIDE.search(name)) and side[0][0] in "lL"]
    return [(name, mirrored[name]) for name in left if mirrored[name] in mirrored]


@dataclass(frozen=True)
class DotsTask:
    """Answers with named points: each name has a map, and a dot is where its map is highest.

    `names` are the maps' names and `peaks` how many dots each may have; `pairs` are the names that change places in a
    mirrored picture; `sigma` is the radius of a painted bump as a share of the longer side of the maps; a dot is in
    the picture where its score is at least `threshold`; `mirror` is as for a `MaskTask`.

    Truth is float (entries, 2): x and y as fractions of width and height, NaN where the dot is not in the picture,
    with `peaks` entries for each name, name after name.

    Source: Tompson et al. 2014, https://arxiv.org/abs/1406.2984 (dots as maps).
    """

    kind: ClassVar[str] = "dots"
    multiple: ClassVar[int] = MULTIPLE  # then the cells of every stage tile the picture exactly, and none is shifted

    names: tuple[str, ...]
    peaks: tuple[int, ...]
    pairs: tuple[tuple[str, str], ...] = ()
    sigma: float = 0.03
    focal: float = 0.0
    threshold: float = 0.5
    mirror: float = 0.0

    @classmethod
    def from_entries(cls, entries: Sequence[str], **settings: Any) -> "DotsTask":  # noqa: ANN401 - its other fields
        """The task of a data set whose points have these names, the same name several times for several dots."""
        names = tuple(dict.fromkeys(entries))
        return cls(names, tuple(entries.count(name) for name in names), **settings)

    @property
    def labels(self) -> list[str]:
        """The names of the maps of a network made for this task."""
        return list(self.names)

    @property
    def settings(self) -> dict:
        """What a model folder's config.json keeps of the task, beside the names of its maps."""
        peaks = dict(zip(self.names, self.peaks, strict=True))
        pairs = [list(pair) for pair in self.pairs]
        settings = {"sigma": self.sigma, "peaks": peaks, "pairs": pairs}
        return {"task": self.kind, "threshold": self.threshold, "mirror": self.mirror, **settings}

    @property
    def entries(self) -> list[str]:
        """The name of each point of the truth."""
        return [name for name, count in zip(self.names, self.peaks, strict=True) for _ in range(count)]

    def flip(self, truth: np.ndarray) -> np.ndarray:
        """Mirrors points left to right; the dots of a left and a right name change places."""
        order = [k for name in self._partners() for k, entry in enumerate(self.entries) if entry == name]
        return truth[order] * [-1, 1] + [1, 0]

    def flip_maps(self, logits: np.ndarray) -> np.ndarray:
        """Mirrors the maps (..., n, h, w) of a network; those of a left and a right name change places."""
        return logits[..., [self.names.index(name) for name in self._partners()], :, ::-1]

    def _partners(self) -> list[str]:
        """What each of the names is called in a mirrored picture."""
        partner = {name: other for pair in self.pairs for name, other in (pair, pair[::-1])}
        return [partner.get(name, name) for name in self.names]

    def target(self, truth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Turns points into float32 (entries, 2): fractions of width and height, NaN where outside the picture.

        They do not depend on `size`: `loss` paints them at the size of the logits, whatever the network's stride.
        """
        inside = ((truth >= 0) & (truth <= 1)).all(axis=1, keepdims=True)
        return np.where(inside, truth, np.nan).astype(np.float32)

    def paint(self, target: "Tensor", size: Sequence[int]) -> "Tensor":
        """Paints points (B, entries, 2) as maps (B, n, height, width): a bump of peak 1 for each dot, else 0."""
        import torch

        height, width = size
        radius = max(self.sigma * max(size), THINNEST)
        across = torch.arange(width, device=target.device) + 0.5 - target[..., :1] * width  # (B, entries, width)
        along = torch.arange(height, device=target.device) + 0.5 - target[..., 1:] * height
        distance = along[..., :, None] ** 2 + across[..., None, :] ** 2
        bumps = torch.exp(distance / (-2 * radius**2)).nan_to_num(0.0)  # (B, entries, height, width)
        return torch.stack([group.amax(1) for group in bumps.split(list(self.peaks), dim=1)], dim=1)

    def loss(self, logits: "Tensor", target: "Tensor") -> "Tensor":
        """Binary cross-entropy between each pixel's sigmoid and the painted bumps, for logits (B, n, h, w).

        A mean over pixels would hardly hear one bump among thousands of empty ones, so the sum over a map is divided
        by the cells of one bump instead: a dot counts the same on a map of any size, and a missed dot as much as a
        false one, so that a score stays a probability. The empty cells do not drown it at the start, since a network
        for dots starts from rare ones (`RARE` in initial_weights.py). `focal` above 0 multiplies each pixel by that
        power of its error, so that what is already right is heard less.

        Source: Li et al. 2020, https://arxiv.org/abs/2006.04388 (focal weighting of soft targets).
        """
        import torch.nn.functional as F

        bumps = self.paint(target, logits.shape[-2:])
        loss = F.binary_cross_entropy_with_logits(logits.float(), bumps, reduction="none")
        if self.focal:
            loss = loss * (logits.sigmoid() - bumps).abs().detach() ** self.focal
        radius = max(self.sigma * max(logits.shape[-2:]), THINNEST)
        return loss.sum((-2, -1)).mean() / (2 * math.pi * radius**2)

    def decode(self, logits: np.ndarray, size: tuple[int, int]) -> list[Dot]:
        """Turns `logits` (n, h, w) into the dots of a picture of `size` (height, width), name after name.

        Each name has at least one `Dot`, a name of several peaks up to as many as it may have. A dot whose score is
        below the threshold has no place.
        """
        height, width = logits.shape[1:]
        apart = max(2.0, 2 * self.sigma * max(height, width))
        dots = []
        for name, count, one_map in zip(self.names, self.peaks, logits, strict=True):
            peaks = find_peaks(one_map, count, apart)
            found = [peak for peak in peaks if peak[2] >= self.threshold]
            dots += [Dot(name, x / width * size[1], y / height * size[0], score) for x, y, score in found]
            if not found:
                dots.append(Dot(name, None, None, peaks[0][2]))
        return dots
