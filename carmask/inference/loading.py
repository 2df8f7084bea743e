"""Opens a model: an embedded one, a folder, an exported file, or a SegFormer of the Hub."""

import json
import os
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForSemanticSegmentation,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.image_processing_utils import BaseImageProcessor
from transformers.utils import logging

from carmask.errors import ModelError, RuntimeFileError
from carmask.inference.runtimes import Network, exported_file, open_exported
from carmask.networks.auto import make_fast

MODELS = Path(os.environ.get("CARMASK_MODELS") or Path(__file__).resolve().parents[2] / "models")
EMBEDDED = {"mask": MODELS / "car-mask-fcn", "dots": MODELS / "car-dots-fcn"}

# transformers answers damaged, foreign or missing models with errors of all these kinds.
OPENING_ERRORS = (
    OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, SafetensorError, StrictDataclassError,
)  # fmt: skip


def mask_folders() -> list[Path]:
    """The folders in models/ that are for masks, sorted; a damaged one counts, so that opening it can say so."""
    return [config.parent for config in sorted(MODELS.glob("*/config.json")) if is_for_masks(config)]


def is_for_masks(config: Path) -> bool:
    """Whether the config.json of a model folder is of a model for masks, as far as it can be read."""
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    return not isinstance(settings, dict) or settings.get("task") != "dots"


def torch_function(network: PreTrainedModel) -> Network:
    """The network as a plain function from pixels (B, 3, H, W) to logits (B, n, h, w), both on the CPU."""
    device = next(network.parameters()).device
    return lambda pixel_values: network(pixel_values.to(device)).logits.cpu()


def load_processor(model: str | Path) -> BaseImageProcessor:
    """Opens the part of a model that turns pictures into pixels.

    Raises:
        ModelError: it cannot be read, or names its picture size in a way that is not known here.
    """
    try:
        processor = AutoImageProcessor.from_pretrained(model, backend="pil", trust_remote_code=False)
    except OPENING_ERRORS as error:
        raise ModelError(f"The preprocessor_config.json of {model} cannot be read; fetch it again.") from error
    sides = {side for side, length in dict(processor.size).items() if length}
    if sides not in ({"height", "width"}, {"max_height", "max_width"}):
        raise ModelError(f"The model {model} cannot be used: its picture size names {', '.join(sorted(sides))}.")
    return processor


def load_exported(file: Path, threads: int = 0) -> tuple[Network, PreTrainedConfig]:
    """Opens the exported network of a model folder, and its configuration.

    Raises:
        ModelError: the folder lacks something, the file is damaged, or its run-time is not installed.
    """
    check_folder(file.parent)
    try:
        config = AutoConfig.from_pretrained(file.parent, trust_remote_code=False)
        return open_exported(file, config.num_labels, threads), config
    except RuntimeFileError as error:
        raise ModelError(str(error)) from error
    except OPENING_ERRORS as error:
        raise ModelError(f"The config.json in {file.parent} cannot be used; export the model again.") from error


def load_network(model: str | Path) -> PreTrainedModel:
    """Opens the network of a model folder or of the Hub, in float32 and ready for inference.

    Raises:
        ModelError: no such model, cut or foreign weights, missing parts, or weights that are not finite.
    """
    folder = Path(model)
    local = folder.exists() or str(model).startswith((".", "/", "~")) or str(model).count("/") != 1
    if local:
        check_folder(folder)
    logging.set_verbosity_error()  # what is wrong with the weights is said below, in one sentence
    logging.disable_progress_bar()
    try:
        network, report = AutoModelForSemanticSegmentation.from_pretrained(
            model,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except OPENING_ERRORS as error:
        remedy = (
            "it is damaged or no segmentation model, so fetch or train it again"
            if local
            else "it is no folder here, and the Hub cannot be reached or has no such segmentation model"
        )
        raise ModelError(f"The model {model} cannot be opened: {remedy}.") from error
    wrong = [name for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for name in report[kind]]
    if wrong:
        raise ModelError(
            f"The model {model} does not fit its configuration ({len(wrong)} weights differ); fetch it again."
        )
    if not all(value.isfinite().all() for value in network.state_dict().values()):
        raise ModelError(f"The weights of the model {model} are not finite numbers; train it again or fetch another.")
    return make_fast(network).eval()


def check_folder(folder: Path) -> None:
    """Says early, and in one sentence, what a model folder lacks.

    Raises:
        ModelError: no folder, no readable configuration, or neither weights in safetensors form nor an exported file.
    """
    if not folder.is_dir():
        remedy = "give a folder with a config.json, or a model of the Hub"
        if folder.parent == MODELS:
            remedy += ", or set CARMASK_MODELS to the folder models/ of a checkout"
        raise ModelError(f"There is no model folder {folder}; {remedy}.")
    if not (folder / "config.json").is_file():
        raise ModelError(f"The folder {folder} has no config.json; give the folder that the training program wrote.")
    try:
        json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"The config.json in {folder} is not readable; fetch or train the model again.") from error
    if not (folder / "preprocessor_config.json").is_file():
        raise ModelError(f"The folder {folder} has no preprocessor_config.json; fetch or train the model again.")
    if not list(folder.glob("*.safetensors")) and not exported_file(folder):
        raise ModelError(f"The folder {folder} has no model.safetensors; fetch or train the model again.")
