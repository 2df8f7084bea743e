"""The optimizer, its learning rate schedule (warm-up, then cosine), and one step of it."""

import math

from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

NEW_FACTOR = 5  # newly initialised parameters have a learning rate this much higher
WEIGHT_DECAY = 0.02
WARMUP = 0.03  # share of the steps in which the learning rate rises


def make_optimizer(network: nn.Module, newly_initialised: set[str], learning_rate: float) -> AdamW:
    """AdamW with a group of parameters for each pair of learning rate and weight decay.

    A group keeps its highest rate as `initial_lr`. Only matrices and kernels decay.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        rate = learning_rate * (NEW_FACTOR if name in newly_initialised else 1)
        decay = WEIGHT_DECAY if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return AdamW(
        [
            {"params": group, "lr": rate, "initial_lr": rate, "weight_decay": decay}
            for (rate, decay), group in groups.items()
        ],
        fused=True,
    )


def lr_multiplier(step: int, steps: int) -> float:
    """The learning rate schedule: the share of the highest rate at `step` of `steps`.

    A linear warm-up, then half a cosine down to 0.
    """
    warm = max(1, int(WARMUP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def optimizer_step(
    loss: Tensor, criterion: nn.Module, optimizer: Optimizer, accelerator: Accelerator, multiplier: float
) -> float:
    """Adds to the gradient, and after an update's last batch takes a step at `multiplier` times the highest rates.

    Returns:
        The gradient norm; 0 before the last batch, and with fp16, where accelerate skips steps that are not finite.
    """
    accelerator.backward(loss)
    gradient_norm = 0.0
    if accelerator.sync_gradients:
        gradient_norm = float(accelerator.clip_grad_norm_(criterion.parameters(), 1.0))
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * multiplier
    optimizer.step()
    optimizer.zero_grad()
    return gradient_norm if accelerator.scaler is None else 0.0
