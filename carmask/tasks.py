"""What the maps mean: how truth becomes a target, how far maps are from it, and how they become an answer."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedConfig

IGNORED = 255  # pixels that are not judged, in a target, as SegFormer's configuration calls them


@dataclass(frozen=True)
class MaskTask:
    """Answers with a mask: car or background for every pixel.

    `car` are the indices of the maps that mean car (several in a network with many labels); a pixel is car where its
    probability is above `threshold`.
    """

    car: tuple[int, ...] = (1,)
    threshold: float = 0.5

    @property
    def labels(self) -> list[str]:
        """The names of the maps of a network made for this task."""
        return ["background", "car"]

    def flip(self, truth: np.ndarray) -> np.ndarray:
        """Mirrors a mask (H, W) left to right."""
        return truth[:, ::-1]

    def target(self, truth: np.ndarray, size: tuple[int, int]) -> Tensor:
        """Turns a mask of 0, 128 and 255 into int64 (height, width) of 0 background, 1 car, 255 not judged."""
        labels = np.full(256, IGNORED)
        labels[0], labels[255] = 0, 1
        target = torch.from_numpy(labels[truth])
        if target.shape == torch.Size(size):
            return target
        return F.interpolate(target[None, None].float(), size=size, mode="nearest")[0, 0].long()

    def margin(self, logits: Tensor) -> Tensor:
        """The log-odds of car: `logits` (..., n, h, w) become (..., h, w), the car's best map against the best other.

        Only this difference decides, so it is all that has to be resized; a threshold t on the probability is the
        threshold log(t / (1 - t)) on the margin.
        """
        car = list(self.car)
        other = [label for label in range(logits.shape[-3]) if label not in self.car]
        return logits[..., car, :, :].amax(-3) - logits[..., other, :, :].amax(-3)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy plus one minus the soft Dice overlap; pixels that are not judged take no part.

        `logits` (B, 2, h, w) are resized to `target` (B, H, W) first. A batch without any judged pixel gives 0.

        Source: Milletari et al. 2016, https://arxiv.org/abs/1606.04797 (the overlap term).
        """
        margin = F.interpolate(self.margin(logits)[:, None].float(), size=target.shape[-2:], mode="bilinear")[:, 0]
        judged = target != IGNORED
        car = (target == 1).float()
        entropy = F.binary_cross_entropy_with_logits(margin, car, reduction="none")
        entropy = (entropy * judged).sum() / judged.sum().clamp(min=1)
        probability = margin.sigmoid() * judged
        overlap = 2 * (probability * car).sum() + 1
        return entropy + 1 - overlap / (probability.sum() + (car * judged).sum() + 1)

    def teacher_loss(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """Cross-entropy with a teacher's soft mask, over every pixel, at the finer of the two sizes.

        `logits` (B, 2, h, w) are the student's; `wanted` (B, h, w) is the margin of the teacher, by its own labels.

        Source: Hinton et al. 2015, https://arxiv.org/abs/1503.02531.
        """
        size = max(logits.shape[-2:], wanted.shape[-2:])
        margin, wanted = (
            F.interpolate(maps[:, None].float(), size=size, mode="bilinear") for maps in (self.margin(logits), wanted)
        )
        return F.binary_cross_entropy_with_logits(margin, wanted.sigmoid())

    def decode(self, logits: Tensor, size: tuple[int, int]) -> np.ndarray:
        """Turns `logits` (n, h, w) into a mask, uint8 `size` (height, width), of exactly 0 and 255."""
        margin = F.interpolate(self.margin(logits)[None, None], size=size, mode="bilinear", align_corners=False)
        car = margin[0, 0] > math.log(self.threshold / (1 - self.threshold))
        return car.to(torch.uint8).mul_(255).numpy()


def task_for(config: PreTrainedConfig) -> MaskTask:
    """The task a model folder was made for, from its configuration.

    Raises:
        ValueError: no label of the network is named "car", or no other, or its threshold is no probability.
    """
    car = tuple(index for index, name in config.id2label.items() if name.lower() == "car")
    if not car or len(car) == len(config.id2label):
        names = ", ".join(list(config.id2label.values())[:5])
        raise ValueError(f"it has no label named car beside others (its labels: {names}); choose one that has")
    threshold = config.to_dict().get("threshold", 0.5)
    if not isinstance(threshold, float) or not 0 < threshold < 1:
        raise ValueError(f"the threshold in its config.json is {threshold}; it must be a number between 0 and 1")
    return MaskTask(car, threshold)
