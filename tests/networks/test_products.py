import copy

import pytest
import torch
from conftest import tiny_network
from torch import nn

from carmask.networks.auto import make_fast
from carmask.networks.products import conv_norm, dropout, use_fast_products


@pytest.fixture(autouse=True)
def _as_before():
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


def test_the_products_that_training_uses_are_float32_s_own():
    use_fast_products()
    left, right = torch.randn(2, 300, 300, generator=torch.Generator().manual_seed(1))
    exact = left.double() @ right.double()
    assert (left @ right - exact).abs().max() < 1e-4 * exact.std()  # products rounded to bfloat16 are off by 1e-2


def test_training_by_plain_products_learns_what_torch_s_attention_learns():
    gradients = []
    for precision in ("highest", "medium"):
        torch.manual_seed(0)
        torch.set_float32_matmul_precision(precision)
        network = make_fast(tiny_network("segformer")).train()
        network(torch.rand(2, 3, 64, 64)).logits.square().sum().backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in network.parameters()]))
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.999  # with AMX the second is in bfloat16


@pytest.mark.parametrize("shape", [(1000, 33), (5, 7, 11, 13), (3,)])
def test_dropout_drops_its_share_scales_the_rest_and_passes_their_gradient_alone(shape):
    torch.manual_seed(0)
    maps = torch.ones(shape, requires_grad=True)
    dropped = dropout(maps, 0.2)
    dropped.sum().backward()
    kept = dropped != 0
    deviation = (0.2 * 0.8 / maps.numel()) ** 0.5
    assert abs(kept.double().mean() - 0.8) < 5 * deviation
    assert torch.equal(dropped, kept / 0.8)
    assert torch.equal(maps.grad, kept / 0.8)


def test_dropout_depends_on_the_seed_alone():
    def drawn(seed):
        torch.manual_seed(seed)
        return dropout(torch.ones(64, 64), 0.1)

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))


@pytest.mark.parametrize("precision", ["highest", "medium"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "groups"), [(1, 1, 1), (3, 1, 1), (3, 2, 1), (5, 1, 6)])
def test_convolution_and_batch_norm_in_one_are_the_two_in_turn(kernel, stride, groups, training, precision):
    torch.manual_seed(0)
    torch.set_float32_matmul_precision(precision)
    conv = nn.Conv2d(6, 12, kernel, stride, kernel // 2, groups=groups, bias=False).double()
    norm = nn.BatchNorm2d(12).double().train(training)
    for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        nn.init.uniform_(values, 0.5, 2)
    maps = torch.randn(2, 6, 9, 7, dtype=torch.float64)
    found = conv_norm(maps, conv, copy.deepcopy(norm), kernel // 2)
    assert (found - norm(conv(maps))).abs().max() < 1e-12
