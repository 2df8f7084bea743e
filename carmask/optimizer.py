"""How fast each part of a network learns, and when."""

import math

from torch import nn
from torch.optim import AdamW

FRESH_FACTOR = 5  # parts that no start has trained learn this much faster


def make_optimizer(network: nn.Module, fresh: set[str], learning_rate: float, weight_decay: float) -> AdamW:
    """AdamW with a group of parameters for each pair of rates; a group keeps its highest rate as `initial_lr`.

    `fresh` names the parameters that no start has trained. Only matrices and kernels decay.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        rate = learning_rate * (FRESH_FACTOR if name in fresh else 1)
        decay = weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return AdamW(
        [
            {"params": group, "lr": rate, "initial_lr": rate, "weight_decay": decay}
            for (rate, decay), group in groups.items()
        ]
    )


def rate_factor(step: int, steps: int, warmup: float) -> float:
    """Share of the highest step size at `step` of `steps`: a linear rise, then half a cosine down to 0.

    `warmup` is the share of the steps in which it rises.
    """
    warm = max(1, int(warmup * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
