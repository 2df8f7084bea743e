"""The task mask: what a mask is to a network, and how its maps become one.

Answers are numpy alone; what training needs imports torch when it is called.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np

from carmask.files.words import DEFAULT_OBJECT
from carmask.tasks.maps import neighbours, resized

if TYPE_CHECKING:
    from torch import Tensor

    Maps = TypeVar("Maps", np.ndarray, Tensor)

IGNORED = 255  # pixels that are not judged, in a target, as SegFormer's configuration calls them


@dataclass(frozen=True)
class MaskTask:
    """Answers with a mask: object or background for every pixel.

    `object` are the indices of the maps that mean the object (several in a network with many labels), and `name` is
    what it is called; a pixel is in the mask where its probability is above `threshold`. With a `mirror` above 0 the
    network also sees the picture's mirror image, so many times as large as the picture, and the mean of both decides.
    The network sees pictures whose sides are multiples of `multiple`: of its longest stride, and the cells of every
    stage tile the picture exactly; of less, and the mask is shifted by some pixels.
    """

    kind: ClassVar[str] = "mask"

    object: tuple[int, ...] = (1,)
    threshold: float = 0.5
    mirror: float = 0.0
    multiple: int = 1
    name: str = DEFAULT_OBJECT

    @property
    def labels(self) -> list[str]:
        """The names of the maps of a network made for this task."""
        return ["background", self.name]

    @property
    def settings(self) -> dict:
        """What a model folder's config.json keeps of the task."""
        return {"task": self.kind, "threshold": self.threshold, "mirror": self.mirror}

    def flip(self, truth: np.ndarray) -> np.ndarray:
        """Mirrors a mask (H, W) left to right."""
        return truth[:, ::-1]

    def flip_maps(self, logits: np.ndarray) -> np.ndarray:
        """Mirrors the maps (..., n, h, w) of a network left to right."""
        return logits[..., ::-1]

    def target(self, truth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Turns a mask of 0, 128 and 255 into int64 (height, width) of 0 background, 1 object, 255 not judged."""
        labels = np.full(256, IGNORED)
        labels[0], labels[255] = 0, 1
        rows, columns = (np.arange(new) * old // new for old, new in zip(truth.shape, size, strict=True))
        return labels[truth[rows[:, None], columns]]

    def margin(self, logits: "Maps") -> "Maps":
        """The log-odds of the object: `logits` (..., n, h, w) become (..., h, w), its best map against the best other.

        Only this difference decides, so it is all that has to be resized; a threshold t on the probability is the
        threshold log(t / (1 - t)) on the margin.
        """
        own = list(self.object)
        other = [label for label in range(logits.shape[-3]) if label not in self.object]
        highest = np.ndarray.max if isinstance(logits, np.ndarray) else type(logits).amax
        return highest(logits[..., own, :, :], -3) - highest(logits[..., other, :, :], -3)

    def loss(self, logits: "Tensor", target: "Tensor") -> "Tensor":
        """Cross-entropy plus one minus the soft Dice overlap; pixels that are not judged take no part.

        `logits` (B, 2, h, w) are resized to `target` (B, H, W) first. A batch without any judged pixel gives 0.

        Source: Milletari et al. 2016, https://arxiv.org/abs/1606.04797 (the overlap term).
        """
        import torch.nn.functional as F

        margin = F.interpolate(self.margin(logits)[:, None].float(), size=target.shape[-2:], mode="bilinear")[:, 0]
        judged = target != IGNORED
        true = (target == 1).float()
        entropy = F.binary_cross_entropy_with_logits(margin, true, reduction="none")
        entropy = (entropy * judged).sum() / judged.sum().clamp(min=1)
        probability = margin.sigmoid() * judged
        overlap = 2 * (probability * true).sum() + 1
        return entropy + 1 - overlap / (probability.sum() + (true * judged).sum() + 1)

    def teacher_loss(self, logits: "Tensor", wanted: "Tensor") -> "Tensor":
        """Cross-entropy with a teacher's soft mask, over every pixel, at the finer of the two sizes.

        `logits` (B, 2, h, w) are the student's; `wanted` (B, h, w) is the margin of the teacher, by its own labels.

        Source: Hinton et al. 2015, https://arxiv.org/abs/1503.02531.
        """
        import torch.nn.functional as F

        size = max(logits.shape[-2:], wanted.shape[-2:])
        margin, wanted = (
            F.interpolate(maps[:, None].float(), size=size, mode="bilinear") for maps in (self.margin(logits), wanted)
        )
        return F.binary_cross_entropy_with_logits(margin, wanted.sigmoid())

    def decode(self, logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Turns `logits` (n, h, w) into a mask, uint8 `size` (height, width), of exactly 0 and 255."""
        return self.decode_margin(self.margin(logits), size)

    def decode_margin(self, margin: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Turns a `margin` (h, w) into a mask, uint8 `size` (height, width), of exactly 0 and 255.

        It is resized bilinearly, along the width first; then the rows of the mask between the same two of the margin
        are compared with the threshold at a time, so that a large picture never lies in memory as floats.
        """
        threshold = np.float32(math.log(self.threshold / (1 - self.threshold)))
        wide = resized(margin, (margin.shape[0], size[1])) - threshold
        above, below, share = neighbours(margin.shape[0], size[0])
        mask = np.empty(size, np.uint8)
        first = np.flatnonzero(np.diff(above, prepend=-1))
        for start, stop in zip(first, [*first[1:], size[0]], strict=True):
            upper, lower = wide[above[start]], wide[below[start]]
            np.multiply(share[start:stop, None] * (lower - upper) > -upper, np.uint8(255), out=mask[start:stop])
        return mask
