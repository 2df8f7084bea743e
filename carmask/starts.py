"""What a training run starts from, and where those weights come from in the end."""

import json
from pathlib import Path

from transformers import PreTrainedModel

from carmask.model_folder import RunError
from carmask.networks import NetworkKindError, build_network
from carmask.tasks import DotsTask, MaskTask

DEFAULT_STARTS = {"segformer": "nvidia/mit-b0", "fcn": "efficientnet-lite0", "unet": "scratch"}


def origins(models: list[str]) -> list[str]:
    """The starts of these starts and teachers (empty names are none), for the model card."""
    found = []
    for model in filter(None, models):
        file = Path(model) / "config.json"
        stored = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        found += stored.get("origin", [model])
    return sorted(set(found))


def start_network(
    network: str, start: str, task: MaskTask | DotsTask, starts: list[str]
) -> tuple[PreTrainedModel, set[str]]:
    """The network to train for `task`, and the names of its untrained parameters; its folder will name `starts`.

    Raises:
        RunError: there is no such start.
    """
    try:
        return build_network(network, start, task.labels, task.settings | {"origin": starts})
    except KeyError as error:
        raise RunError(f"There is no start {start}; use scratch-b0, scratch-b1 or scratch-b2.") from error
    except NetworkKindError as error:
        raise RunError(str(error)) from error
    except ModuleNotFoundError as error:
        raise RunError(f"The start {start} needs a package: pip install {error.name}.") from error
    except (OSError, ValueError) as error:
        raise RunError(
            f"The start {start} is neither a model folder here nor to be had from the Hub; check the name and the "
            "connection, or start from random weights with --model scratch-b0."
        ) from error
