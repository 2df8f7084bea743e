"""What the maps of a mask mean: how truth becomes a target, how far maps are from it, and how they become a mask.

And which task, this or `carmask.tasks.dots_task`, a model folder was made for.
"""

from collections.abc import Sequence

from transformers import PreTrainedConfig

from carmask.tasks.dots_task import MULTIPLE, DotsTask
from carmask.tasks.mask_task import MaskTask

CAR_LABELS = ("car",)


def task_for(config: PreTrainedConfig, car_labels: Sequence[str] = CAR_LABELS) -> "MaskTask | DotsTask":
    """The task a model folder was made for, from its configuration.

    `car_labels` are the names of the labels that mean car, in upper or lower case, if it is made for masks.

    Raises:
        ValueError: a setting is out of range, a network for masks lacks one of those labels or has no other, or one
            for dots is to have labels that mean car.
    """
    settings = config.to_dict()
    threshold = settings.get("threshold", 0.5)
    if not isinstance(threshold, float) or not 0 < threshold < 1:
        raise ValueError(f"the threshold in its config.json is {threshold}; it must be a number between 0 and 1")
    mirror = settings.get("mirror", 0.0)
    if not isinstance(mirror, float) or not 0 <= mirror <= 1:
        raise ValueError(f"the mirror in its config.json is {mirror}; it must be a number between 0.0 and 1.0")
    if settings.get("task") == "dots":
        if tuple(car_labels) != CAR_LABELS:
            raise ValueError("it places dots, and none of its labels can mean car; leave the car labels out")
        return dots_task(list(config.id2label.values()), settings)
    # transformers' own pipeline rounds no side of a SegFormer's picture, and its mask shall be ours.
    multiple = 1 if config.model_type == "segformer" else MULTIPLE
    return MaskTask(car_indices(list(config.id2label.values()), car_labels), threshold, mirror, multiple)


def car_indices(labels: Sequence[str], car_labels: Sequence[str]) -> tuple[int, ...]:
    """The places in `labels` of those that mean car, whatever their case.

    Raises:
        ValueError: one of them is not there, or all labels would mean car.
    """
    plain, wanted = [label.strip().lower() for label in labels], [name.strip().lower() for name in car_labels]
    missing = [name for name in wanted if name not in plain]
    if missing:
        raise ValueError(f"it has no label named {' or '.join(missing)}; its labels are {', '.join(labels)}")
    car = tuple(index for index, label in enumerate(plain) if label in wanted)
    if len(car) in (0, len(labels)):
        raise ValueError(f"some of its labels must mean car and others not; its labels are {', '.join(labels)}")
    return car


def dots_task(names: Sequence[str], settings: dict) -> DotsTask:
    """The task of a network with these maps, with the settings of its configuration.

    Raises:
        ValueError: a setting is not what the training program writes.
    """
    peaks, pairs, sigma = settings.get("peaks", {}), settings.get("pairs", []), settings.get("sigma", 0.03)
    if not isinstance(peaks, dict) or not all(isinstance(count, int) and count > 0 for count in peaks.values()):
        raise ValueError(f"the peaks in its config.json are {peaks}; they must be a count for each name")
    if not isinstance(sigma, float) or not 0 < sigma < 1:
        raise ValueError(f"the sigma in its config.json is {sigma}; it must be a number between 0 and 1")
    if not all(name in names for pair in pairs for name in pair):
        raise ValueError(f"the pairs in its config.json are {pairs}; they must be pairs of its names")
    counts = tuple(peaks.get(name, 1) for name in names)
    decision = {name: settings[name] for name in ("threshold", "mirror") if name in settings}
    return DotsTask(tuple(names), counts, tuple(map(tuple, pairs)), sigma, **decision)
