"""Where a network's first weights come from: random numbers, a backbone, or a whole model."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, SegformerConfig, SegformerForSemanticSegmentation
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING
from transformers.utils import logging

from carmask.errors import NetworkError, RunError, first_line, refused_as, shortened
from carmask.networks.auto import make_fast
from carmask.networks.efficientnet import pretrained_efficientnet_lite
from carmask.networks.fcn import FcnConfig, FcnForSemanticSegmentation
from carmask.networks.fetching import OWN_WEIGHTS, holds_safetensors
from carmask.networks.limits import WIDEST, faults
from carmask.networks.unet import UnetForSemanticSegmentation
from carmask.tasks.dots_task import DotsTask
from carmask.tasks.mask_task import MaskTask

RARE = -4.0  # log-odds of a dot in any one cell, from which a network for dots starts
HEAD_CHANNELS = 64  # of an FCN that is trained here: the paper's one map per label gives blunter edges
SEGFORMER_SIZES: dict[str, dict] = {
    "b0": {},
    "b1": {"hidden_sizes": [64, 128, 320, 512]},
    "b2": {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 4, 6, 3], "decoder_hidden_size": 768},
}


NETWORKS = {
    "segformer": SegformerForSemanticSegmentation,
    "fcn": FcnForSemanticSegmentation,
    "unet": UnetForSemanticSegmentation,
}


def network_for(weights: str, folder: Path | None, asked: str = "auto") -> str:
    """The network that initial weights are for, which must be the one `asked` for, if one is.

    `folder` is where they lie, None for weights of our own.

    Raises:
        NetworkError: it is another one, or none that is trained here.
    """
    stored = next((name for name, own in OWN_WEIGHTS.items() if weights in own), "")
    if folder:
        kind = stored_type(folder)
        fitting = [name for name, one in NETWORKS.items() if one.config_class.model_type == kind]
        stored = next(iter(fitting), "fcn" if is_backbone(kind) else "")
        if not stored:
            raise NetworkError(f"The initial weights {weights} are of the type {kind}, which is not trained here.")
    if asked not in ("auto", stored):
        raise NetworkError(
            f"The initial weights {weights} are a network of the type {stored}, not {asked}; leave out --network or "
            "--model."
        )
    return stored


def initialise_network(
    network: str, weights: str | Path, task: MaskTask | DotsTask, words: list[str], origin: list[str]
) -> tuple[PreTrainedModel, set[str]]:
    """The network to train for `task`, and the names of its untrained parameters.

    `weights` are of our own, or a folder; `words` are settings of its configuration such as `skips=2`; its folder will
    name its `origin`.

    Raises:
        RunError: the initial weights cannot be opened, or there is no such setting.
    """
    logging.set_verbosity_error()  # which parts are newly initialised is said by who asked
    logging.disable_progress_bar()
    try:
        settings = read_settings(network, words) | task.settings | {"origin": origin}
        return build_network(network, str(weights), task.labels, settings)
    except NetworkError as error:
        raise RunError(str(error)) from error
    except ModuleNotFoundError as error:
        raise RunError(f"The initial weights {weights} need a package: pip install {error.name}.") from error
    except (OSError, ValueError, SafetensorError) as error:
        raise RunError(f"The initial weights {weights} cannot be opened: {first_line(error)}") from error
    except (LookupError, TypeError, RuntimeError) as error:
        raise RunError(f"The --settings do not fit {network}: {error}.") from error


def read_settings(network: str, words: list[str]) -> dict:
    """Settings of a network's configuration from words like `skips=2`.

    Raises:
        NetworkError: a word is no setting of this network, or its value is of the wrong kind.
    """
    default = NETWORKS[network].config_class()
    known = sorted(set(type(default).__annotations__) - {"model_type", "sub_configs", "backbone_config"})
    settings = {}
    for word in words:
        name, equals, text = word.partition("=")
        if name not in known or not equals:
            raise NetworkError(f"--settings {word} means nothing to {network}; it knows {'=, '.join(known)}=.")
        usual = getattr(default, name)
        usual = list(usual) if isinstance(usual, tuple) else usual  # as JSON writes it
        try:
            value = text if isinstance(usual, str) else json.loads(text)
        except ValueError as error:
            raise NetworkError(f"--settings {word} has no readable value; write it like {name}={usual}.") from error
        if isinstance(usual, float) and type(value) is int:
            value = float(value)
        if type(value) is not type(usual):
            raise NetworkError(f"--settings {word} has the wrong kind of value; write it like {name}={usual}.")
        if fault := next(faults({name: value}, WIDEST), None):
            raise NetworkError(f"--settings {shortened(word)} cannot be used: {fault}.")
        settings[name] = value
    return settings


def build_network(network: str, weights: str, labels: list[str], settings: dict) -> tuple[PreTrainedModel, set[str]]:
    """Builds a network to train, with one map per label.

    Args:
        network: "segformer", "fcn" or "unet".
        weights: "scratch-b0", "scratch-b1" or "scratch-b2" for a SegFormer of random weights; "efficientnet-lite0" for
            an FCN on that backbone's ImageNet weights; "scratch" for a U-Net; else a model folder, which for an FCN
            may be any classifier that transformers knows as a backbone.
        labels: the names of the maps.
        settings: what else goes into the configuration.

    Returns:
        The network, and the names of its parameters that no initial weights hold.

    Raises:
        OSError: there are no such initial weights.
        NetworkError: the initial weights are of another kind of network, or a setting does not fit it.
    """
    settings = settings | {"id2label": dict(enumerate(labels)), "label2id": {name: k for k, name in enumerate(labels)}}
    if network == "segformer" and weights.startswith("scratch-"):
        config = SegformerConfig(**SEGFORMER_SIZES[weights.removeprefix("scratch-")] | settings)
        built, trained = SegformerForSemanticSegmentation(config), set[str]()
    elif network == "unet" and weights == "scratch":
        built, trained = UnetForSemanticSegmentation(UnetForSemanticSegmentation.config_class(**settings)), set()
    elif network == "fcn" and weights == "efficientnet-lite0":
        backbone = pretrained_efficientnet_lite()
        built, trained = fcn_on(backbone, {name for name, _ in backbone.named_parameters()}, settings)
    elif network == "fcn" and is_backbone(stored_type(weights)):
        built, trained = fcn_on(*pretrained_backbone(weights), settings)
    else:
        built, trained = pretrained_network(NETWORKS[network], weights, settings)
    make_fast(built)
    newly_initialised = {name for name, _ in built.named_parameters()} - trained
    if settings.get("task") == "dots":
        for name in newly_initialised & {"classifier.bias", "decode_head.classifier.bias"}:
            nn.init.constant_(built.get_parameter(name), RARE)
    return built, newly_initialised


def stored_type(weights: str | Path) -> str | None:
    """The type of network that a model folder says it holds."""
    return PreTrainedConfig.get_config_dict(weights)[0].get("model_type")


def is_backbone(model_type: str | None) -> bool:
    """Whether transformers can take the features of such a network, stage by stage."""
    return model_type in CONFIG_MAPPING and CONFIG_MAPPING[model_type] in MODEL_FOR_BACKBONE_MAPPING


def pretrained_backbone(weights: str) -> tuple[PreTrainedModel, set[str]]:
    """Opens a classifier as a backbone that gives four feature maps, and names the parameters it brought.

    ResNet, ConvNeXt and Swin have four stages, at strides 4 to 32; of a transformer with one stride throughout, such
    as DINOv2, the layers at each quarter of its depth are taken.
    """
    config = CONFIG_MAPPING[stored_type(weights)].from_pretrained(weights)
    stages = len(config.stage_names) - 1  # the first is the stem
    quarters = sorted({-(-stages * quarter // 4) for quarter in (1, 2, 3, 4)})
    config.set_output_features_output_indices(out_features=None, out_indices=quarters)
    kind, given = MODEL_FOR_BACKBONE_MAPPING[type(config)], opening(weights)
    backbone, report = kind.from_pretrained(weights, config=config, **given)
    return backbone, {name for name, _ in backbone.named_parameters()} - set(report["missing_keys"])


def opening(folder: str) -> dict:
    """How `from_pretrained` is to open the weights of a folder: as numbers alone, in float32, with a report.

    A `pytorch_model.bin` is a pickle, which is read so that no code of it can run.

    Raises:
        NetworkError: it cannot be read like that.
    """
    safe = holds_safetensors(Path(folder))
    for file in () if safe else Path(folder).glob("pytorch_model*.bin"):
        with refused_as(
            NetworkError, f"{file} is not opened: it is damaged or holds more than numbers; fetch it again."
        ):
            torch.load(file, map_location="meta", weights_only=True)
    return {"dtype": torch.float32, "use_safetensors": safe, "weights_only": True, "output_loading_info": True}


def fcn_on(backbone: PreTrainedModel, trained: set[str], settings: dict) -> tuple[PreTrainedModel, set[str]]:
    """An FCN with the weights of `backbone`, and the names of the `trained` ones within it."""
    config = FcnConfig(**{"backbone_config": backbone.config, "head_channels": HEAD_CHANNELS} | settings)
    built = FcnForSemanticSegmentation(config)
    built.backbone.load_state_dict(backbone.state_dict())
    return built, {f"backbone.{name}" for name in trained}


def is_background_last(labels: list[str]) -> bool:
    """Whether a network has two maps, and the background's is the second."""
    return len(labels) == 2 and [label.strip().lower() == "background" for label in labels] == [False, True]


def pretrained_network(kind: type[PreTrainedModel], weights: str, settings: dict) -> tuple[PreTrainedModel, set[str]]:
    """Opens a model folder, with `settings` in its configuration, and names what it brought."""
    old = kind.config_class.from_pretrained(weights)
    other_maps = "dots" in (old.to_dict().get("task"), settings.get("task")) and (
        list(old.id2label.values()) != list(settings["id2label"].values())
    )
    config = kind.config_class.from_dict(PreTrainedConfig.get_config_dict(weights)[0] | settings)
    built, report = kind.from_pretrained(weights, config=config, ignore_mismatched_sizes=True, **opening(weights))
    mismatched = {key[0] if isinstance(key, tuple) else key for key in report["mismatched_keys"]}
    trained = {name for name, _ in built.named_parameters()} - set(report["missing_keys"]) - mismatched
    if settings.get("task") != "dots" and is_background_last(list(old.id2label.values())):
        for name, value in built.named_parameters():
            if "classifier." in name and name in trained:
                value.data = value.data.flip(0)  # ours come first
    if other_maps:  # they may be as many, yet mean something else
        classifier = {name for name in trained if "classifier." in name}
        for name in classifier:
            nn.init.normal_(built.get_parameter(name), std=0.02)
        trained -= classifier
    return built, trained
