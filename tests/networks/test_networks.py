import copy

import pytest
import torch
from conftest import NETWORKS, tiny_network
from transformers import AutoModelForSemanticSegmentation, SegformerConfig, SegformerForSemanticSegmentation

from carmask.networks.auto import make_fast
from carmask.networks.fcn import FcnConfig, FcnForSemanticSegmentation
from carmask.networks.initial_weights import SEGFORMER_SIZES
from carmask.networks.segformer import fold
from carmask.networks.unet import UnetConfig, UnetForSemanticSegmentation


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_made_fast_is_the_same_function_and_saves_the_same_weights(name, tmp_path):
    network = tiny_network(name)
    fast = make_fast(copy.deepcopy(network)).eval()
    for size in ((64, 64), (33, 47)):
        pixel_values = torch.rand(2, 3, *size)
        wanted, found = network(pixel_values).logits, fast(pixel_values).logits
        assert (found - wanted).abs().max() <= 1e-5 * wanted.std()
    fast.save_pretrained(tmp_path)
    stored = AutoModelForSemanticSegmentation.from_pretrained(tmp_path).state_dict()
    assert stored.keys() == network.state_dict().keys()
    assert all(torch.equal(stored[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("size", ["b0", "b2"])
@pytest.mark.parametrize("shape", [(64, 64), (65, 99)])
@pytest.mark.parametrize("training", [False, True])
def test_folded_head_equals_the_stock_head_with_its_gradients(size, shape, training):
    torch.manual_seed(0)
    config = SegformerConfig(**SEGFORMER_SIZES[size], classifier_dropout_prob=0.0, drop_path_rate=0.0)
    stock = SegformerForSemanticSegmentation(config)
    stock.decode_head.batch_norm.running_mean.normal_()
    stock.decode_head.batch_norm.running_var.uniform_(0.5, 2)
    # In float64 the order of sums, which differs from processor to processor, does not count.
    folded, stock = fold(copy.deepcopy(stock)).double(), stock.double()
    pixel_values = torch.rand(2, 3, *shape, dtype=torch.float64)
    results = []
    for network in (stock, folded):
        logits = network.train(training)(pixel_values).logits
        logits.square().mean().backward()
        results.append((logits, {name: value.grad for name, value in network.named_parameters()}))
    (wanted, gradients), (found, folded_gradients) = results
    assert (wanted - found).abs().max() <= 1e-12 * wanted.std()
    largest = max(gradient.abs().max() for gradient in gradients.values())
    for name, gradient in gradients.items():
        assert (gradient - folded_gradients[name]).abs().max() <= 1e-12 * largest, name


def test_the_folded_head_in_float32_is_as_exact_as_float32_sums_are():
    torch.manual_seed(0)
    stock = SegformerForSemanticSegmentation(SegformerConfig(**SEGFORMER_SIZES["b0"])).eval()
    pixel_values = torch.rand(2, 3, 65, 99)
    wanted = stock(pixel_values).logits
    found = fold(copy.deepcopy(stock))(pixel_values).logits
    # A sum of the head's 1,024 products in another order is off by at most 1,024 rounding errors of 6e-8.
    assert (wanted - found).abs().max() <= 1024 * 6e-8 * wanted.abs().max()


def test_folded_network_saves_as_a_plain_segformer(tmp_path):
    network = tiny_network("segformer")
    network.save_pretrained(tmp_path)
    plain, report = SegformerForSemanticSegmentation.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert type(plain.decode_head).__name__ == "SegformerDecodeHead"
    assert plain.config.architectures == ["SegformerForSemanticSegmentation"]


@pytest.mark.parametrize(("skips", "stride"), [(0, 32), (1, 16), (2, 8), (3, 4)])
@pytest.mark.parametrize("head_channels", [0, 8])
def test_each_skip_of_an_fcn_halves_the_stride(skips, stride, head_channels):
    network = FcnForSemanticSegmentation(FcnConfig(skips=skips, head_channels=head_channels)).eval()
    assert network(torch.rand(1, 3, 64, 96)).logits.shape == (1, 2, 64 // stride, 96 // stride)


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("learned_up", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_unet_maps_have_the_picture_s_size_for_every_norm_and_up_step(norm, learned_up, channels):
    config = UnetConfig(depth=2, first_width=8, norm=norm, learned_up=learned_up, num_channels=channels)
    network = UnetForSemanticSegmentation(config).eval()
    assert network(torch.rand(1, 3, 45, 62)).logits.shape == (1, 2, 45, 62)
