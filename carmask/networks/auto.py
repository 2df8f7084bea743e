"""Knows all three networks: registers them with transformers, and makes a loaded one fast."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoBackbone,
    AutoConfig,
    AutoModelForSemanticSegmentation,
    PreTrainedConfig,
    PreTrainedModel,
    SegformerForSemanticSegmentation,
    initialization,
)
from transformers.modeling_outputs import SemanticSegmenterOutput
from transformers.models.segformer.modeling_segformer import SegformerDecodeHead, SegformerLayer, SegformerMixMLP

from carmask.networks.efficientnet import EfficientNetLiteConfig


def resize_maps(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resizes `maps` (B, n, h, w) bilinearly to `size` (height, width)."""
    if maps.shape[-2:] == torch.Size(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def resize_matrix(old: int, new: int, like: Tensor) -> Tensor:
    """The matrix (new, old) that resizes one side of a map bilinearly, of the type and on the device of `like`."""
    columns = torch.eye(old, dtype=like.dtype, device=like.device)[None, None]
    return F.interpolate(columns, size=(new, old), mode="bilinear", align_corners=False)[0, 0]


class FoldedDecodeHead(SegformerDecodeHead):
    """SegFormer's decode head with projection and mixing folded into one matrix per stage.

    A 1×1 convolution commutes with bilinear upsampling, so both are applied at each stage's own small size, and the
    results are upsampled and added: same parameters, same state dict, same logits, a third of the operations. The
    upsampling is a matrix product per side, and the one in height adds the stages up as it goes. Outside training the
    batch norm is folded in as well.
    """

    def forward(self, encoder_hidden_states: tuple[Tensor, ...], **kwargs) -> Tensor:  # noqa: ANN003 (stock signature)
        """Maps the stages' features, four times (B, C, h, w), to logits (B, num_labels, H / 4, W / 4)."""
        height, width = encoder_hidden_states[0].shape[-2:]
        mixing = self.linear_fuse.weight[:, :, 0, 0]
        offset = torch.zeros_like(self.batch_norm.bias)
        if not self.training:
            scale = self.batch_norm.weight * (self.batch_norm.running_var + self.batch_norm.eps).rsqrt()
            mixing = mixing * scale[:, None]
            offset = self.batch_norm.bias - self.batch_norm.running_mean * scale
        blocks = mixing.chunk(len(self.linear_projections), dim=1)[::-1]  # the stock head mixes the last stage first
        mixed = []
        for features, projection, block in zip(encoder_hidden_states, self.linear_projections, blocks, strict=True):
            weight = block @ projection.proj.weight  # (D, C)
            mixed.append(F.conv2d(features, weight[:, :, None, None], block @ projection.proj.bias + offset))
            offset = torch.zeros_like(offset)
        wide = [maps @ resize_matrix(maps.shape[3], width, maps).T for maps in mixed[1:]]  # (B, D, h, W)
        tall = [resize_matrix(maps.shape[2], height, maps) for maps in wide]  # (H, h)
        total = mixed[0] + torch.cat(tall, dim=1) @ torch.cat(wide, dim=2)
        if self.training:
            total = self.batch_norm(total)
        return self.classifier(self.dropout(F.relu(total)))


class PictureMixMlp(SegformerMixMLP):
    """SegFormer's Mix-FFN with its features laid out as a picture all the way, so that they are not copied in between.

    Outside training its linear layers are 1×1 convolutions: same parameters, same result.
    """

    def forward(self, hidden_states: Tensor, height: int, width: int) -> Tensor:
        """Maps tokens (B, height · width, C) to tokens of the same shape."""
        if self.training:  # the gradients of a linear layer are the faster ones
            return super().forward(hidden_states, height, width)
        maps = hidden_states.transpose(1, 2).unflatten(2, (height, width))
        maps = F.conv2d(maps, self.fc1.weight[:, :, None, None], self.fc1.bias)
        maps = self.activation_fn(self.dwconv.dwconv(maps))
        maps = F.conv2d(maps, self.fc2.weight[:, :, None, None], self.fc2.bias)
        return maps.flatten(2).transpose(1, 2)


def fold(network: SegformerForSemanticSegmentation) -> SegformerForSemanticSegmentation:
    """Gives `network` the folded head and the Mix-FFN above in place; it still saves as a plain SegFormer."""
    head = FoldedDecodeHead(network.config)
    head.load_state_dict(network.decode_head.state_dict())
    network.decode_head = head.train(network.training)
    for layer in network.modules():
        if isinstance(layer, SegformerLayer):
            mlp = PictureMixMlp(network.config, layer.mlp.fc1.in_features, layer.mlp.fc1.out_features)
            mlp.load_state_dict(layer.mlp.state_dict())
            layer.mlp = mlp.train(network.training)
    return network


def make_fast(network: PreTrainedModel) -> PreTrainedModel:
    """Rearranges `network` in place to run faster; it is the same function and saves the same model.

    The parts of a SegFormer are folded. The weights of the others are laid out pixel by pixel, as their convolutions
    on a CPU want them.
    """
    if isinstance(network, SegformerForSemanticSegmentation):
        return fold(network)
    return network.to(memory_format=torch.channels_last)


class NetworkError(ValueError):
    """Says in one sentence why a network cannot be built."""


class FcnConfig(PreTrainedConfig):
    """Configuration of `FcnForSemanticSegmentation`; NetworkError where a setting does not fit.

    `backbone_config` is the configuration of any transformers backbone (default: EfficientNet-Lite0); `skips` says
    how many earlier stages sharpen the coarsest (0 to 3: FCN-32s, -16s, -8s, -4s on strides 4 to 32); `head_channels`
    is the number of maps carried from level to level (0: one per label, as in the paper).
    """

    model_type = "fcn"
    sub_configs = {"backbone_config": AutoConfig}

    backbone_config: dict | PreTrainedConfig | None = None
    skips: int = 3
    head_channels: int = 0

    def __post_init__(self, **kwargs) -> None:  # noqa: ANN003 (transformers hands every other setting through here)
        if self.backbone_config is None:
            self.backbone_config = EfficientNetLiteConfig()
        if isinstance(self.backbone_config, dict):
            settings = dict(self.backbone_config)
            self.backbone_config = AutoConfig.for_model(settings.pop("model_type"), **settings)
        most = len(self.backbone_config.out_features) - 1
        if not 0 <= self.skips <= most:
            raise NetworkError(f"The FCN's skips are {self.skips}; its backbone allows 0 to {most}.")
        if self.head_channels < 0:
            raise NetworkError(f"The FCN's head_channels are {self.head_channels}; they must be 0 or more.")
        super().__post_init__(**kwargs)


def whole_patches(pixel_values: Tensor, backbone: PreTrainedConfig) -> Tensor:
    """Resizes pixels to whole patches, since a `backbone` made of patches drops the rest and would shift its maps."""
    patch = backbone.to_dict().get("patch_size")
    if not isinstance(patch, int):
        return pixel_values
    height, width = (max(1, round(side / patch)) * patch for side in pixel_values.shape[-2:])
    return resize_maps(pixel_values, (height, width))


class FcnForSemanticSegmentation(PreTrainedModel):
    """Fully convolutional network: 1×1 heads turn each stage of a classifier into heat maps; skips sharpen them.

    With `head_channels` above 0 the skips add that many maps per level, each smoothed by a 3×3 convolution, and one
    more 1×1 convolution scores the last sum; with 0 they add the class scores themselves, as in the paper.

    Source: Long, Shelhamer and Darrell 2015, https://arxiv.org/abs/1411.4038.
    """

    config_class = FcnConfig
    main_input_name = "pixel_values"

    def __init__(self, config: FcnConfig):
        super().__init__(config)
        self.backbone = AutoBackbone.from_config(config.backbone_config)
        self.supports_gradient_checkpointing = self.backbone.supports_gradient_checkpointing
        width = config.head_channels or config.num_labels
        channels = self.backbone.channels[::-1][: config.skips + 1]  # coarsest first
        self.scores = nn.ModuleList(nn.Conv2d(channel, width, kernel_size=1) for channel in channels)
        self.smooth = nn.ModuleList(self._smoother(width) for _ in channels)
        self.classifier = nn.Conv2d(width, config.num_labels, 1) if config.head_channels else nn.Identity()
        self.post_init()

    def _smoother(self, width: int) -> nn.Module:
        if not self.config.head_channels:
            return nn.Identity()
        return nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, pixel_values: Tensor, output_hidden_states: bool = False) -> SemanticSegmenterOutput:
        """Maps `pixel_values` (B, 3, H, W) to logits (B, num_labels, h, w) at the stride of the last skip."""
        features = self.backbone(whole_patches(pixel_values, self.config.backbone_config)).feature_maps
        scored = [score(stage) for score, stage in zip(self.scores, features[::-1], strict=False)]  # coarsest first
        maps = self.smooth[0](scored[0])
        for finer, smooth in zip(scored[1:], self.smooth[1:], strict=True):
            maps = smooth(resize_maps(maps, finer.shape[-2:]) + finer)
        return SemanticSegmenterOutput(
            logits=self.classifier(maps), hidden_states=features if output_hidden_states else None
        )


AutoConfig.register(FcnConfig.model_type, FcnConfig)

AutoModelForSemanticSegmentation.register(FcnConfig, FcnForSemanticSegmentation)

NORMS = {"batch": nn.BatchNorm2d, "group": partial(nn.GroupNorm, 8), "none": nn.Identity}


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

    def __post_init__(self, **kwargs) -> None:  # noqa: ANN003 (transformers hands every other setting through here)
        if self.norm not in NORMS:
            raise NetworkError(f"The U-Net's norm is {self.norm}; it must be one of {', '.join(NORMS)}.")
        if not 1 <= self.depth <= 5:
            raise NetworkError(f"The U-Net's depth is {self.depth}; it must lie between 1 and 5.")
        if self.first_width < 1 or (self.norm == "group" and self.first_width % 8):
            rule = "a multiple of 8 with norm=group" if self.norm == "group" else "at least 1"
            raise NetworkError(f"The U-Net's first_width is {self.first_width}; it must be {rule}.")
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
        layers = []
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


AutoConfig.register(UnetConfig.model_type, UnetConfig)

AutoModelForSemanticSegmentation.register(UnetConfig, UnetForSemanticSegmentation)
