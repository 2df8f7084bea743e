"""The U-Net of Ronneberger et al. 2015."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel, initialization
from transformers.modeling_outputs import SemanticSegmenterOutput

from carmask.errors import NetworkError
from carmask.networks.limits import WIDEST
from carmask.networks.resizing import resize_maps

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "group": partial(nn.GroupNorm, 8),
    "none": nn.Identity,
}


class UnetConfig(PreTrainedConfig):
    """Configuration of `UnetForSemanticSegmentation`; NetworkError where a setting does not fit.

    `depth` counts the halvings, `first_width` the channels before the first; `norm` is "batch", "group" or "none" (the
    paper's); `num_channels` is 1 for grey pictures, as in the paper, or 3; `learned_up` chooses between the paper's
    2×2 up-convolution and a bilinear step.
    """

    model_type = "unet"

    depth: int = 4
    first_width: int = 32
    norm: str = "batch"
    num_channels: int = 1
    learned_up: bool = True

    def __post_init__(self, **kwargs: object) -> None:  # transformers hands every other setting through here
        if self.norm not in NORMS:
            raise NetworkError(f"The U-Net's norm is {self.norm}; it must be one of {', '.join(NORMS)}.")
        if not 1 <= self.depth <= 5:
            raise NetworkError(f"The U-Net's depth is {self.depth}; it must lie between 1 and 5.")
        if self.first_width < 1 or (self.norm == "group" and self.first_width % 8):
            rule = "a multiple of 8 with norm=group" if self.norm == "group" else "at least 1"
            raise NetworkError(f"The U-Net's first_width is {self.first_width}; it must be {rule}.")
        if self.first_width * 2**self.depth > WIDEST:
            most = WIDEST // 2**self.depth
            raise NetworkError(f"The U-Net's first_width is {self.first_width}; with its depth at most {most} fits.")
        if self.num_channels not in (1, 3):
            raise NetworkError(f"The U-Net's num_channels are {self.num_channels}; they must be 1 or 3.")
        super().__post_init__(**kwargs)


class UnetForSemanticSegmentation(PreTrainedModel):
    """U-Net: halve the picture while doubling the channels, then go back up, joining what has equal size.

    Source: Ronneberger, Fischer and Brox 2015, https://arxiv.org/abs/1505.04597 (here padded, so maps keep the size).
    """

    config_class = UnetConfig
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = False  # computing a level twice would count its batch norms twice

    def __init__(self, config: UnetConfig):
        super().__init__(config)
        widths = [config.first_width * 2**level for level in range(config.depth + 1)]
        self.contract = nn.ModuleList(map(self._double_conv, [config.num_channels, *widths], widths))
        self.up = nn.ModuleList(map(self._up_step, widths[:0:-1], widths[-2::-1]))
        self.expand = nn.ModuleList(self._double_conv(2 * width, width) for width in widths[-2::-1])
        self.classifier = nn.Conv2d(widths[0], config.num_labels, kernel_size=1)
        self.post_init()

    def _double_conv(self, channels: int, width: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for inputs in (channels, width):
            conv = nn.Conv2d(inputs, width, 3, padding=1, bias=self.config.norm == "none")
            layers += [conv, NORMS[self.config.norm](width), nn.ReLU()]
        return nn.Sequential(*layers)

    def _up_step(self, coarse: int, fine: int) -> nn.Module:
        if self.config.learned_up:
            return nn.ConvTranspose2d(coarse, fine, kernel_size=2, stride=2)
        return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(coarse, fine, kernel_size=1))

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            initialization.kaiming_normal_(module.weight, nonlinearity="relu")
        else:
            super()._init_weights(module)

    def forward(self, pixel_values: Tensor) -> SemanticSegmenterOutput:
        """Maps `pixel_values` (B, 3, H, W) to logits (B, num_labels, H, W)."""
        x = self.contract[0](pixel_values[:, : self.config.num_channels])
        skips = []
        for double_conv in self.contract[1:]:
            skips.append(x)
            x = double_conv(F.max_pool2d(x, 2))  # half the height and width, twice the channels
        for up, double_conv, skip in zip(self.up, self.expand, skips[::-1], strict=True):
            x = double_conv(torch.cat([skip, resize_maps(up(x), skip.shape[-2:])], dim=1))
        return SemanticSegmenterOutput(logits=self.classifier(x))
