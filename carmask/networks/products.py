"""Matrix products, convolutions, attention and dropout in the ways that are fastest on a CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.models.segformer.modeling_segformer import eager_attention_forward

ROUNDING = 1e-4  # of a product of float32 matrices, of its standard deviation; bfloat16 has 3e-3
DRAWS = 2**16  # values of the random numbers of `dropout`


def use_fast_products() -> None:
    """Lets oneDNN multiply float32 matrices from now on, if it is as exact as MKL on this processor.

    On processors that are not Intel's, MKL takes twice as long. torch asks oneDNN only where it may round to bfloat16
    in between; with AMX it does so, and then nothing changes here.
    """
    left, right = torch.rand(2, 256, 256, generator=torch.Generator().manual_seed(0)) - 0.5
    exact = left.double() @ right.double()
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    if (left @ right - exact).abs().max() > ROUNDING * exact.std():
        torch.set_float32_matmul_precision(before)


def multiplied_by_onednn(values: Tensor) -> bool:
    """Whether products with `values` are oneDNN's."""
    by_onednn = values.dtype == torch.bfloat16 or torch.get_float32_matmul_precision() == "medium"
    return values.device.type == "cpu" and by_onednn


def conv_norm(maps: Tensor, conv: nn.Module, norm: nn.Module, padding: int) -> Tensor:
    """Batch norm after a convolution of `maps` (B, C, H, W) that has no bias of its own, with `padding` on each side.

    Outside training the norm is folded into the convolution. In training a 1×1 convolution is a matrix product.
    """
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    if not norm.training:
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        weight, bias = conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale
        return F.conv2d(maps, weight, bias, conv.stride, padding, groups=conv.groups)
    if conv.kernel_size == (1, 1) and multiplied_by_onednn(maps):
        return norm(F.linear(maps.permute(0, 2, 3, 1), conv.weight[:, :, 0, 0]).permute(0, 3, 1, 2))
    return norm(F.conv2d(maps, conv.weight, None, conv.stride, padding, groups=conv.groups))


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **settings: float
) -> tuple[Tensor, Tensor | None]:
    """Attention as transformers calls it; where oneDNN multiplies in training, by plain matrix products.

    SegFormer's keys are few, so that its scores are small, and torch's own attention multiplies in pieces that are too
    small for oneDNN.
    """
    plain = module.training and multiplied_by_onednn(query)
    return (eager_attention_forward if plain else sdpa_attention_forward)(module, query, key, value, mask, **settings)


AttentionInterface.register("by_products", attend)


def dropout(maps: Tensor, share: float) -> Tensor:
    """Sets a random `share` of `maps` to 0 and scales up the rest; on a CPU a tenth of the time of torch's own.

    A CPU draws 16 bits for each number, four at a time: the share is the nearest multiple of 1 / 65536.
    """
    if maps.device.type != "cpu":
        return F.dropout(maps, share)
    draws = torch.empty(-(-maps.numel() // 4), dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
    kept = draws.view(torch.int16)[: maps.numel()].view(maps.shape) >= round(share * DRAWS) - DRAWS // 2
    return maps * kept.to(maps.dtype).mul_(1 / (1 - share))
