"""Opens a model: an embedded one, a folder, or one of the Hub, in torch or in another run-time."""

import importlib.util
import logging
import os
from functools import cache
from pathlib import Path

from carmask.errors import ModelError, RuntimeFileError, StaleFileError, refused_as
from carmask.inference.model_folder import MODELS, check_folder, is_folder, settings_file, weights_fingerprint
from carmask.inference.preprocessing import Preprocessing
from carmask.inference.runtimes import FILES, PACKAGES, RUNTIMES, TORCH, Network, open_exported, try_exported
from carmask.networks.limits import checked_settings
from carmask.tasks.auto import labels_of

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


def open_model(model: str | Path, threads: int = 0, runtime: str = "") -> tuple[Network, dict, Preprocessing]:
    """Opens the network of a model folder or of the Hub, with what its config.json and its preprocessing say.

    Args:
        model: a folder, or a model of the Hub.
        threads: how many the network takes for one picture (0: one per core); for torch, those of the whole process.
        runtime: one of `RUNTIMES`; without it CARMASK_RUNTIME, or else the fastest that is here.

    Raises:
        ModelError: it cannot be opened, or not in this run-time.
    """
    if is_folder(model):
        check_folder(Path(model))
    runtime, file = exported_file(model, runtime or os.environ.get("CARMASK_RUNTIME", ""))
    opened = open_whole(file, threads, runtime) if file else None
    if not opened:
        from carmask.inference.torch_network import open_torch

        opened = open_torch(model, threads)
    return *opened, load_preprocessing(model)


def exported_file(model: str | Path, runtime: str = "") -> tuple[str, Path | None]:
    """The run-time to take and the exported network in a model folder for it, which torch has none of.

    Without a `runtime` that is ONNX Runtime, where it is installed; and any, where there are no weights for torch.

    Raises:
        ModelError: there is no such run-time, or no file for it.
    """
    folder = Path(model)
    if runtime not in ("", *RUNTIMES):
        raise ModelError(f"There is no run-time {runtime}; choose one of {', '.join(RUNTIMES)}.")
    found = {kind: folder / name for kind, name in FILES.items() if (folder / name).is_file()}
    if runtime == TORCH or not (runtime or found):
        return TORCH, None
    if not runtime:
        weights = any(folder.glob("*.safetensors"))
        usable = (kind for kind in found if not weights or kind == "onnx" and has_onnxruntime())
        runtime = next(usable, TORCH)
        return runtime, found.get(runtime)
    if runtime == "openvino" and "onnx" in found:
        found.setdefault("openvino", found["onnx"])  # it reads both
    if runtime not in found:
        remedy = "write one with carmask export" if is_folder(model) else "fetch it into a folder, whose file is read"
        raise ModelError(f"The model {model} has no {FILES[runtime]}; {remedy}, or choose the run-time torch.")
    return runtime, found[runtime]


@cache
def has_onnxruntime() -> bool:
    """Whether ONNX Runtime is installed; where not, that is said once."""
    found = importlib.util.find_spec(PACKAGES["onnx"]) is not None
    if not found:
        logging.warning("The package onnxruntime is not installed, so torch runs the networks, which takes longer.")
    return found


def open_whole(file: Path, threads: int, runtime: str) -> tuple[Network, dict] | None:
    """Opens an exported network with its folder's config.json; None where it is not of the weights beside it.

    Raises:
        ModelError: the config.json or the file cannot be used, or its run-time is not installed.
    """
    settings = checked_settings(file.parent / "config.json")
    with refused_as(ModelError, f"The config.json in {file.parent} cannot be used; export the model again."):
        labels = len(labels_of(settings))
    try:
        if file.parent.parent != MODELS:
            try_exported(file)
        return open_exported(file, labels, threads, weights_fingerprint(file.parent), runtime), settings
    except StaleFileError as error:
        logging.warning("%s", error)
        return None
    except RuntimeFileError as error:
        raise ModelError(str(error)) from error


def load_preprocessing(model: str | Path) -> Preprocessing:
    """Reads how a model wants its pictures.

    Raises:
        ModelError: it cannot be read, or names its picture size in a way that is not known here.
    """
    with refused_as(ModelError, f"The preprocessor_config.json of {model} cannot be read; fetch it again."):
        return Preprocessing.from_settings(
            checked_settings(settings_file(model, "preprocessor_config.json")), str(model)
        )
