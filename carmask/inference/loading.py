"""Opens a model: an embedded one, a folder, an exported file, or a SegFormer of the Hub."""

import os
from itertools import chain
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForSemanticSegmentation,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.image_processing_utils import BaseImageProcessor
from transformers.initialization import no_init_weights
from transformers.utils import cached_file, logging

from carmask.errors import ModelError, RuntimeFileError, refused_as, shortened
from carmask.inference.runtimes import Network, exported_file, open_exported, try_exported
from carmask.networks.auto import make_fast
from carmask.networks.limits import MOST_WEIGHTS_BYTES, SPARE_NUMBERS, checked_settings

MODELS = Path(os.environ.get("CARMASK_MODELS") or Path(__file__).resolve().parents[2] / "models")
LONGEST_SIDE = 4096  # pixels at which a network sees a picture at a time
EMBEDDED = {"mask": MODELS / "car-mask-fcn", "dots": MODELS / "car-dots-fcn"}


def mask_folders() -> list[Path]:
    """The folders in models/ that are for masks, sorted; a damaged one counts, so that opening it can say so."""
    return [config.parent for config in sorted(MODELS.glob("*/config.json")) if is_for_masks(config)]


def is_for_masks(config: Path) -> bool:
    """Whether the config.json of a model folder is of a model for masks, as far as it can be read."""
    try:
        return checked_settings(config).get("task") != "dots"
    except ModelError:
        return True


def torch_function(network: PreTrainedModel) -> Network:
    """The network as a plain function from pixels (B, 3, H, W) to logits (B, n, h, w), both on the CPU."""
    device = next(network.parameters()).device
    return lambda pixel_values: network(pixel_values.to(device)).logits.cpu()


def load_processor(model: str | Path) -> BaseImageProcessor:
    """Opens the part of a model that turns pictures into pixels.

    Raises:
        ModelError: it cannot be read, or names its picture size in a way that is not known here.
    """
    with refused_as(ModelError, f"The preprocessor_config.json of {model} cannot be read; fetch it again."):
        checked_settings(settings_file(model, "preprocessor_config.json"))
        processor = AutoImageProcessor.from_pretrained(model, backend="pil", trust_remote_code=False)
        sides = {side: length for side, length in dict(processor.size).items() if length}
        if {*sides} not in ({"height", "width"}, {"max_height", "max_width"}):
            raise ModelError(f"The model {model} cannot be used: its picture size names {', '.join(sorted(sides))}.")
        if not all(1 <= length <= LONGEST_SIDE for length in sides.values()):
            said = ", ".join(map(shortened, sides.values()))
            raise ModelError(f"The model {model} cannot be used: its picture size is {said}, not 1 to {LONGEST_SIDE}.")
    return processor


def settings_file(model: str | Path, name: str) -> Path:
    """Where a file of a model folder or of a model of the Hub lies here; an OSError if it cannot be had."""
    return Path(model) / name if Path(model).is_dir() else Path(cached_file(str(model), name))


def load_exported(file: Path, threads: int = 0) -> tuple[Network, PreTrainedConfig]:
    """Opens the exported network of a model folder, and its configuration.

    Raises:
        ModelError: the folder lacks something, the file is damaged, or its run-time is not installed.
    """
    check_folder(file.parent)
    with refused_as(ModelError, f"The config.json in {file.parent} cannot be used; export the model again."):
        config = AutoConfig.from_pretrained(file.parent, trust_remote_code=False)
    try:
        try_exported(file)
        return open_exported(file, config.num_labels, threads), config
    except RuntimeFileError as error:
        raise ModelError(str(error)) from error


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
    remedy = (
        "it is damaged or no segmentation model, so fetch or train it again"
        if local
        else "it is no folder here, and the Hub cannot be reached or has no such segmentation model"
    )
    with refused_as(ModelError, f"The model {model} cannot be opened: {remedy}."):
        checked_settings(settings_file(model, "config.json"))
        check_size(model)
        network, report = AutoModelForSemanticSegmentation.from_pretrained(
            model,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    wrong = [name for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for name in report[kind]]
    if wrong:
        raise ModelError(
            f"The model {model} does not fit its configuration ({len(wrong)} weights differ); fetch it again."
        )
    if not all(value.isfinite().all() for value in network.state_dict().values()):
        raise ModelError(f"The weights of the model {model} are not finite numbers; train it again or fetch another.")
    return make_fast(network).eval()


def check_size(model: str | Path) -> None:
    """Demands that the files of a model hold about as many weights as its configuration asks for.

    Raises:
        ModelError: it asks for many more, which would all be made up in memory, or they are too large.
    """
    config = AutoConfig.from_pretrained(model, trust_remote_code=False)
    with torch.device("meta"), no_init_weights():  # all but the numbers
        network = AutoModelForSemanticSegmentation.from_config(config, trust_remote_code=False)
    numbers = sum(part.numel() for part in chain(network.parameters(), network.buffers()))
    sizes = [file.stat().st_size for file in Path(model).glob("*.safetensors")]
    held = sum(sizes) if sizes else MOST_WEIGHTS_BYTES
    if held > MOST_WEIGHTS_BYTES:
        raise ModelError(f"The weights of the model {model} are larger than 2 GB; choose a smaller one.")
    if 2 * (numbers - SPARE_NUMBERS) > held:
        raise ModelError(
            f"The model {model} does not fit its configuration, which asks for {numbers / 1e6:,.0f} million numbers; "
            "fetch it again."
        )


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
    checked_settings(folder / "config.json")
    if not (folder / "preprocessor_config.json").is_file():
        raise ModelError(f"The folder {folder} has no preprocessor_config.json; fetch or train the model again.")
    if not any(file.is_file() for file in folder.glob("*.safetensors")) and not exported_file(folder):
        raise ModelError(f"The folder {folder} has no model.safetensors; fetch or train the model again.")
