"""How much a model may ask for, found out before anything of it is built."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from carmask.errors import ModelError, refused_as, shortened

MOST_SETTINGS_BYTES = 2**23  # the names of 22,000 classes of a backbone, twice, take 2 MB
MOST_WEIGHTS_BYTES = 2**31
SPARE_NUMBERS = 2**24  # that a network may compute for itself, beyond those that its files hold
WIDEST = 4096  # channels of a network to train
MOST_LABELS = 1000
MOST_LETTERS = 100  # of a label
MOST_LAYERS = 200  # of a kind, in all stages together
LARGEST = 2**16  # of all other numbers
LAYERS = re.compile("depth|layers|blocks|repeats")


def checked_settings(file: Path) -> dict:
    """What a config.json or preprocessor_config.json says, once it is known to ask for nothing beyond all measure.

    Raises:
        ModelError: it cannot be read, or it does.
    """
    broken = f"The {file.name} in {file.parent} is not readable; fetch or train the model again."
    with refused_as(ModelError, broken):
        if file.stat().st_size > MOST_SETTINGS_BYTES:
            raise ModelError(f"The {file.name} in {file.parent} is larger than 8 MB; fetch or train the model again.")
        settings = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise ModelError(broken)
        fault = next(faults(settings), None)
    if fault:
        raise ModelError(f"The {file.name} in {file.parent} cannot be used: {fault}; fetch or train the model again.")
    return settings


def faults(settings: dict, largest: int = LARGEST) -> Iterator[str]:
    """What is beyond all measure in the settings of a network or of its pictures, each as a part of a sentence."""
    labels = settings.get("id2label")
    if isinstance(labels, dict) and len(labels) > MOST_LABELS or _number(settings.get("num_labels")) > MOST_LABELS:
        yield f"it has more than {MOST_LABELS} labels"
    for label in labels.values() if isinstance(labels, dict) else ():
        if not isinstance(label, str) or len(label) > MOST_LETTERS:
            yield f"its label {shortened(label, 40)} is no text of at most {MOST_LETTERS} letters"
    yield from _large_numbers("", settings, largest)


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0


def _large_numbers(name: str, value: object, largest: int) -> Iterator[str]:
    """The numbers at any depth below the setting `name` that are too large, or no numbers."""
    most = MOST_LAYERS if LAYERS.search(name) else largest
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _large_numbers(key, inner, largest)
        return
    if isinstance(value, list):
        for inner in value:
            yield from _large_numbers(name, inner, largest)
    size = sum(map(_number, value)) if isinstance(value, list) and most == MOST_LAYERS else _number(value)
    if not abs(size) <= most:
        yield f"its {shortened(name, 40)} is {shortened(value, 40)}, and {most} is the limit"
