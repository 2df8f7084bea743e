"""SegFormer with the folded decode head: the same parameters and logits, in less time."""

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import SegformerForSemanticSegmentation
from transformers.models.segformer.modeling_segformer import SegformerDecodeHead, SegformerLayer, SegformerMixMLP

from carmask.networks.products import dropout
from carmask.networks.resizing import resize_matrix


class FoldedDecodeHead(SegformerDecodeHead):
    """SegFormer's decode head with projection and mixing folded into one matrix per stage.

    A 1×1 convolution commutes with bilinear upsampling, so both are applied at each stage's own small size, and the
    results are upsampled and added: same parameters, same state dict, same logits, a third of the operations. The
    upsampling is a matrix product per side, and the one in height adds the stages up as it goes. Outside training the
    batch norm is folded in as well.
    """

    def forward(self, encoder_hidden_states: tuple[Tensor, ...], **kwargs: object) -> Tensor:
        """Maps the stages' features, four times (B, C, h, w), to logits (B, num_labels, H / 4, W / 4)."""
        height, width = encoder_hidden_states[0].shape[-2:]
        mixing, offset = self.linear_fuse.weight[:, :, 0, 0], torch.zeros_like(self.batch_norm.bias)
        if not self.training:
            scale = self.batch_norm.weight * (self.batch_norm.running_var + self.batch_norm.eps).rsqrt()
            mixing = mixing * scale[:, None]
            offset = self.batch_norm.bias - self.batch_norm.running_mean * scale
        blocks = mixing.chunk(len(self.linear_projections), dim=1)[::-1]  # the stock head mixes the last stage first
        pairs = list(zip(blocks, self.linear_projections, strict=True))
        weights = [block @ projection.proj.weight for block, projection in pairs]  # (D, C)
        bias = offset + sum(block @ projection.proj.bias for block, projection in pairs)
        wide, tall = [], []
        for maps, weight in zip(encoder_hidden_states[1:], weights[1:], strict=True):
            mixed = F.linear(maps.permute(0, 2, 3, 1), weight, bias)  # (B, h, w, D)
            wide.append(resize_matrix(maps.shape[3], width, maps) @ mixed)  # (B, h, W, D)
            tall.append(resize_matrix(maps.shape[2], height, maps))  # (H, h)
            bias = None  # once is enough: resizing and adding leave it as it is
        total = torch.cat(tall, dim=1) @ torch.cat(wide, dim=1).flatten(2)  # (B, H, W · D)
        finest = encoder_hidden_states[0].permute(0, 2, 3, 1)
        total = total.view(-1, len(weights[0])) + finest.flatten(0, 2) @ weights[0].T  # (B · H · W, D)
        if self.training:
            maps = total.view(-1, height, width, len(weights[0])).permute(0, 3, 1, 2)
            total = self.batch_norm(maps).permute(0, 2, 3, 1).flatten(0, 2)
        total = F.relu(total)
        if self.training:
            total = dropout(total, self.dropout.p)
        logits = F.linear(total, self.classifier.weight[:, :, 0, 0], self.classifier.bias)
        return logits.view(-1, height, width, self.classifier.out_channels).permute(0, 3, 1, 2)


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
    network.set_attn_implementation("by_products")
    for layer in network.modules():
        if isinstance(layer, SegformerLayer):
            mlp = PictureMixMlp(network.config, layer.mlp.fc1.in_features, layer.mlp.fc1.out_features)
            mlp.load_state_dict(layer.mlp.state_dict())
            layer.mlp = mlp.train(network.training)
    return network
