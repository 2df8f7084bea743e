"""How fast each part of a network learns, when, and one step of it."""

import math

from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

FRESH_FACTOR = 5  # parts that no start has trained learn this much faster

WEIGHT_DECAY = 0.02

WARMUP = 0.03  # share of the steps in which the rate rises


def make_optimizer(network: nn.Module, newly_initialised: set[str], learning_rate: float) -> AdamW:
    """AdamW with a group of parameters for each pair of rates; a group keeps its highest rate as `initial_lr`.

    `newly_initialised` names the parameters that no start has trained. Only matrices and kernels decay.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        rate = learning_rate * (FRESH_FACTOR if name in newly_initialised else 1)
        decay = WEIGHT_DECAY if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return AdamW(
        [
            {"params": group, "lr": rate, "initial_lr": rate, "weight_decay": decay}
            for (rate, decay), group in groups.items()
        ]
    )


def lr_multiplier(step: int, steps: int) -> float:
    """Share of the highest step size at `step` of `steps`: a linear rise, then half a cosine down to 0."""
    warm = max(1, int(WARMUP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def optimizer_step(
    loss: Tensor, criterion: nn.Module, optimizer: Optimizer, accelerator: Accelerator, factor: float
) -> float:
    """Adds to the gradient, and after an update's last batch takes the step at `factor` of the highest rates.

    Returns:
        The gradient's length; 0 before the last batch, and with fp16, where accelerate leaves out infinite ones.
    """
    accelerator.backward(loss)
    length = 0.0
    if accelerator.sync_gradients:
        length = float(accelerator.clip_grad_norm_(criterion.parameters(), 1.0))
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
    optimizer.step()
    optimizer.zero_grad()
    return length if accelerator.scaler is None else 0.0
