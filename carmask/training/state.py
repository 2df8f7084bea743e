"""The state of a training run: the network, its EMA, the optimizer, and how far they are."""

import time
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.optim import Optimizer


@dataclass
class Run:
    """The network, the running average of its weights, the optimizer, and how far they are.

    `losses` are those since the last validation, `history` has a line for each validation; `timed` is the step and the
    moment of the last one, or of the start, `saved` the moment of the last checkpoint, and
    a validation of this step may be `validation_due`.
    """

    network: nn.Module
    ema: nn.Module
    optimizer: Optimizer
    step: int = 0
    losses: list[float] = field(default_factory=list)
    history: list[dict] = field(default_factory=list)
    timed: tuple[int, float] = (0, 0.0)
    validation_due: bool = False
    saved: float = field(default_factory=time.monotonic)

    @torch.no_grad()
    def update_ema(self, decay: float) -> None:
        """Moves the running average towards the network's weights and batch statistics."""
        for mean, value in zip(self.ema.state_dict().values(), self.network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)
