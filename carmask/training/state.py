"""The state of a training run: the network, its EMA, the optimizer, and how far they are; and what its loop needs."""

import copy
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer
from transformers import PreTrainedModel
from transformers.image_processing_utils import BaseImageProcessor

from carmask.training.optimizer import make_optimizer


@dataclass
class Run:
    """The network, the exponential moving average (EMA) of its weights, the optimizer, and how far they are.

    `losses` are those since the last validation, `history` has a line for each validation; `timed` is the step and the
    moment of the last one, or of the beginning, `saved` the moment of the last checkpoint; `validation_due` says that
    the EMA of this step is still to be validated.
    """

    network: nn.Module
    ema: PreTrainedModel
    optimizer: Optimizer
    step: int = 0
    losses: list[float] = field(default_factory=list)
    history: list[dict] = field(default_factory=list)
    timed: tuple[int, float] = (0, 0.0)
    validation_due: bool = False
    saved: float = field(default_factory=time.monotonic)

    @torch.no_grad()
    def update_ema(self, decay: float) -> None:
        """Moves the EMA towards the network's weights and batch statistics."""
        pairs = list(zip(self.ema.state_dict().values(), self.network.state_dict().values(), strict=True))
        means, values = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        torch._foreach_lerp_(means, values, 1 - decay)
        for count, value in pairs:
            if not count.is_floating_point():
                count.copy_(value)


def start_run(network: nn.Module, newly_initialised: set[str], learning_rate: float) -> Run:
    """A new run; the parameters named in `newly_initialised` learn at a higher rate."""
    optimizer = make_optimizer(network, newly_initialised, learning_rate)
    return Run(network, copy.deepcopy(network).eval().requires_grad_(False), optimizer)


@dataclass(frozen=True)
class LoopSettings:
    """What the training loop needs of the options."""

    output: Path
    steps: int
    crops_per_update: int  # of all processes together
    validate_every: int
    patience: float  # steps for which validation may not have risen before the run stops
    stage_wise_steps: float  # so many first steps of a distillation are stage-wise
    seed: int
    half: bool
    processor: BaseImageProcessor

    def is_stage_wise(self, step: int) -> bool:
        """Whether each stage learns on its own in a step."""
        return step < self.stage_wise_steps

    def is_validation_step(self, step: int) -> bool:
        """Whether the EMA of the weights is to be validated after a step."""
        return step == self.steps or step > 0 and step % self.validate_every == 0
