"""Opens the network of a model folder or of the Hub in torch."""

from itertools import chain
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForSemanticSegmentation, PreTrainedModel
from transformers.initialization import no_init_weights
from transformers.utils import logging

from carmask.errors import ModelError, refused_as
from carmask.inference.model_folder import check_folder, is_folder, settings_file
from carmask.inference.runtimes import Network
from carmask.networks.auto import make_fast
from carmask.networks.limits import MOST_WEIGHTS_BYTES, SPARE_NUMBERS, checked_settings


def torch_function(network: PreTrainedModel) -> Network:
    """The network as a plain function from pixels (B, 3, H, W) to logits (B, n, h, w), both of numpy in float32."""

    @torch.inference_mode()
    def run(pixel_values: np.ndarray) -> np.ndarray:
        device = next(network.parameters()).device  # it may be moved
        return network(torch.from_numpy(pixel_values).to(device)).logits.float().cpu().numpy()

    return run


def open_torch(model: str | Path, threads: int = 0) -> tuple[Network, dict]:
    """Opens the network of a model as a plain function, with the settings of its config.json.

    `threads` is as for `carmask.inference.loading.open_model`.

    Raises:
        ModelError: as for `load_network`.
    """
    if threads:
        torch.set_num_threads(min(threads, torch.get_num_threads()))
    network = load_network(model)
    return torch_function(network), network.config.to_dict()


def load_network(model: str | Path) -> PreTrainedModel:
    """Opens the network of a model folder or of the Hub, in float32 and ready for inference.

    Raises:
        ModelError: no such model, cut or foreign weights, missing parts, or weights that are not finite.
    """
    local = is_folder(model)
    if local:
        check_folder(Path(model))
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
    if report["missing_keys"] and all(name.startswith("decode_head.") for name in report["missing_keys"]):
        raise ModelError(f"The model {model} has no head that draws masks; train one on it: --model {model}.")
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
