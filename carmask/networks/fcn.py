"""The fully convolutional network of Long et al. 2015."""

from torch import Tensor, nn
from transformers import AutoBackbone, AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SemanticSegmenterOutput

from carmask.errors import NetworkError
from carmask.networks.efficientnet import EfficientNetLiteConfig
from carmask.networks.products import conv_norm
from carmask.networks.resizing import resize_maps


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

    def __post_init__(self, **kwargs: object) -> None:  # transformers hands every other setting through here
        if self.backbone_config is None:
            self.backbone_config = EfficientNetLiteConfig()
        if isinstance(self.backbone_config, dict):
            settings = dict(self.backbone_config)
            self.backbone_config = AutoConfig.for_model(settings.pop("model_type"), **settings)
        most = len(self.backbone_config.out_features) - 1  # type: ignore[union-attr]  # no dict any more
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
    height, width = (max(patch, (side + patch // 2) // patch * patch) for side in pixel_values.shape[-2:])
    return resize_maps(pixel_values, (height, width))


class Smoother(nn.Sequential):
    """A 3×3 convolution, batch norm and ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to maps of the same shape."""
        conv, norm, relu = self
        return relu(conv_norm(x, conv, norm, padding=1))


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
        return Smoother(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())

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
