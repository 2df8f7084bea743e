"""Where initial weights lie: a model folder here, or what the cache holds of a model of the Hub."""

import json
import re
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError

from carmask.errors import NetworkError, refused_as
from carmask.files.progress import is_first
from carmask.networks.limits import checked_settings

HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
REFUSED = (401, 403, 404)  # statuses of HTTP: the Hub says the first of a name that it does not know
SECONDS = 5.0  # that the Hub has to answer
SAFE, PICKLED = ("*.safetensors", "*.safetensors.index.json"), ("pytorch_model*.bin", "pytorch_model.bin.index.json")
OWN_WEIGHTS = {
    "segformer": ["scratch-b0", "scratch-b1", "scratch-b2"],
    "fcn": ["efficientnet-lite0"],
    "unet": ["scratch"],
}
SEGMENTING = [f"{name}ForSemanticSegmentation" for name in ("Segformer", "Fcn", "Unet")]
LIMITS = {"side": (32, 4096), "threshold": (0.001, 0.999), "mirror": (0.0, 1.0)}
BESIDE = ("config.json", "preprocessor_config.json", "README.md")


def is_own(weights: str) -> bool:
    """Whether initial weights are ours, not a model folder or a model of the Hub."""
    return any(weights in own for own in OWN_WEIGHTS.values())


def check_weights(weights: str) -> None:
    """Demands that initial weights are ours or can be had, and fetches those of the Hub.

    Of the processes of a run the first alone asks, so that a Hub that never answers is waited for once.

    Raises:
        NetworkError, ModelError: they cannot be had, or their config.json cannot be used.
    """
    if is_first() and not is_own(weights):
        fetch(weights)


def fetch(weights: str) -> Path:
    """The folder of a model: itself, or for a model of the Hub its revision in the cache, which is fetched if needed.

    Raises:
        NetworkError: there is no such folder or model, the Hub cannot be reached and the cache lacks it, or it has no
            configuration or no weights.
    """
    folder = Path(weights)
    if not folder.exists():
        if not HUB_NAME.fullmatch(weights):
            own = ", ".join(one for group in OWN_WEIGHTS.values() for one in group)
            raise NetworkError(
                f"There is no folder {weights}, and no model of the Hub is called so; give a model folder, a name "
                f"such as nvidia/mit-b0, or {own}."
            )
        folder = from_hub(weights)
    if lack := lacking(folder):
        raise NetworkError(f"The initial weights {weights} have {lack}; give another model folder, or one of the Hub.")
    checked_settings(folder / "config.json")
    return folder


def lacking(folder: Path) -> str:
    """What a model folder lacks to begin from, as a part of a sentence; nothing if it is whole."""
    if not (folder / "config.json").is_file():
        return "no config.json"
    weights = any(list(folder.glob(pattern)) for pattern in (SAFE[0], PICKLED[0]))
    return "" if weights else "neither model.safetensors nor pytorch_model.bin"


def from_hub(name: str) -> Path:
    """The folder of the cache with a model of the Hub, as it is there now or, if nobody answers, as it was fetched.

    Only the main revision is asked, and of its weights the safetensors alone where it has any.

    Raises:
        NetworkError: the Hub has no such model, or it cannot be reached and the cache lacks the model or a part of it.
    """
    reason = "HF_HUB_OFFLINE is set"
    if not constants.HF_HUB_OFFLINE:
        reason = "the Hub cannot be reached"
        try:
            found = HfApi().model_info(name, timeout=SECONDS)
            names = [file.rfilename for file in found.siblings or [] if "/" not in file.rfilename]  # no checkpoints
            weights = SAFE if any(file.endswith(".safetensors") for file in names) else PICKLED
            wanted = [file for file in names if any(map(partial(fnmatch, file), (*BESIDE, *weights)))]
            if not wanted:
                raise NetworkError(f"The model {name} of the Hub has no config.json; give another.")
            return Path([hf_hub_download(name, file) for file in sorted(wanted)][0]).parent
        except (HTTPError, OSError, HFValidationError) as error:
            refused = isinstance(error, HfHubHTTPError) and error.response.status_code in REFUSED
            if isinstance(error, HFValidationError) or refused:
                raise NetworkError(f"The Hub has no model {name} that it would show you; check the name.") from error
    remedy = "unset it" if constants.HF_HUB_OFFLINE else "connect"
    with refused_as(NetworkError, f"{name} is not in the cache and {reason}; {remedy}, or give a model folder."):
        folder = Path(snapshot_download(name, local_files_only=True))
        if lack := lacking(folder):
            raise NetworkError(f"The cache has {lack} of {name} and {reason}; {remedy}, or give a model folder.")
        return folder


def holds_safetensors(folder: Path) -> bool:
    """Whether a model folder has its weights as safetensors, which then are the ones to open."""
    return any(folder.glob(SAFE[0]))


def stored_settings(folder: Path, name: str = "config.json") -> dict:
    """What a JSON file of a fetched model says; nothing where it is missing or cannot be read."""
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def inference_settings(folder: Path, task: str) -> dict[str, float]:
    """The side, threshold and mirror that a model folder says of itself, if it is a network of ours for the `task`.

    The size that a classifier was trained at says nothing of the pictures of a data set.
    """
    stored = stored_settings(folder)
    segments = any(name in str(stored.get("architectures")) for name in SEGMENTING)
    if stored.get("task", "mask") != task or not segments:
        return {}
    size = stored_settings(folder, "preprocessor_config.json").get("size")
    stored["side"] = max(size.values(), default=0) if isinstance(size, dict) else size
    return {
        name: stored[name]
        for name, (low, high) in LIMITS.items()
        if isinstance(stored.get(name), int | float) and low <= stored[name] <= high
    }
