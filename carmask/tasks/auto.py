"""Which task a model folder was made for, masks or dots, and which of its labels are the object."""

from collections.abc import Sequence

from carmask.files.words import DEFAULT_OBJECT
from carmask.tasks.dots_task import MULTIPLE, DotsTask
from carmask.tasks.mask_task import MaskTask

CHOOSE = "choose with --object, or for the page with CARMASK_OBJECT"
MOST_PEAKS = 1000  # dots of one name in a picture


def task_for(
    settings: dict, object_labels: Sequence[str] = (), object_name: str = DEFAULT_OBJECT
) -> "MaskTask | DotsTask":
    """The task a model folder was made for, from the settings of its config.json.

    `object_labels` are the labels that mean the object, by name in upper or lower case or by number, if it is made for
    masks. Without them it is the one beside "background" in a network with two labels, and `object_name` in one with
    more.

    Raises:
        ValueError: a setting is out of range, a network for masks lacks one of those labels or has no other, or one
            for dots is to have such labels.
    """
    threshold = settings.get("threshold", 0.5)
    if not isinstance(threshold, float) or not 0 < threshold < 1:
        raise ValueError(f"the threshold in its config.json is {threshold}; it must be a number between 0 and 1")
    mirror = settings.get("mirror", 0.0)
    if not isinstance(mirror, float) or not 0 <= mirror <= 1:
        raise ValueError(f"the mirror in its config.json is {mirror}; it must be a number between 0.0 and 1.0")
    labels = labels_of(settings)
    if settings.get("task") == "dots":
        if object_labels:
            raise ValueError("it places dots, and none of its labels can be the object; leave --object out")
        return dots_task(labels, settings)
    # transformers' own pipeline rounds no side of a SegFormer's picture, and its mask shall be ours.
    multiple = 1 if settings.get("model_type") == "segformer" else MULTIPLE
    found = object_indices(labels, object_labels or [lone_object(labels) or object_name])
    return MaskTask(found, threshold, mirror, multiple, labels[found[0]].strip())


def labels_of(settings: dict) -> list[str]:
    """The names of a network's maps, in their order; without names in its config.json those of transformers.

    Raises:
        ValueError: they are not numbered from 0 on.
    """
    names = settings.get("id2label") or {number: f"LABEL_{number}" for number in range(settings.get("num_labels", 2))}
    names = {int(number): name for number, name in names.items()}
    if sorted(names) != list(range(len(names))):
        raise ValueError("the labels in its config.json are not numbered from 0 on")
    return [names[number] for number in range(len(names))]


def lone_object(labels: Sequence[str]) -> str | None:
    """The label beside "background", where there are just these two."""
    others = [label for label in labels if label.strip().lower() != "background"]
    return others[0] if (len(labels), len(others)) == (2, 1) else None


def object_indices(labels: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...]:
    """The places in `labels` of the `wanted` ones, given by name, whatever their case, or by number.

    Raises:
        ValueError: one of them is not there, or all labels would mean the object.
    """
    plain = [label.strip().lower() for label in labels]
    names = [name.strip().lower() for name in wanted]
    numbers = [int(name) for name in names if name not in plain and name.isdecimal() and int(name) < len(labels)]
    missing = [name for name in names if name not in plain and (not name.isdecimal() or int(name) >= len(labels))]
    its = f"its labels are {', '.join(labels)}"
    if missing:
        raise ValueError(f"it has no label named {' or '.join(missing)}; {its}; {CHOOSE}")
    found = tuple(index for index, label in enumerate(plain) if label in names or index in numbers)
    if len(found) == len(labels):
        raise ValueError(f"some of its labels must be the object and others not; {its}; {CHOOSE}")
    return found


def dots_task(names: Sequence[str], settings: dict) -> DotsTask:
    """The task of a network with these maps, with the settings of its configuration.

    Raises:
        ValueError: a setting is not what the training program writes.
    """
    peaks, pairs, sigma = settings.get("peaks", {}), settings.get("pairs", []), settings.get("sigma", 0.03)
    if not isinstance(peaks, dict) or not all(
        isinstance(count, int) and 0 < count <= MOST_PEAKS for count in peaks.values()
    ):
        raise ValueError(
            f"the peaks in its config.json are {peaks}; they must be a count for each name, at most {MOST_PEAKS}"
        )
    if not isinstance(sigma, float) or not 0 < sigma < 1:
        raise ValueError(f"the sigma in its config.json is {sigma}; it must be a number between 0 and 1")
    if not all(name in names for pair in pairs for name in pair):
        raise ValueError(f"the pairs in its config.json are {pairs}; they must be pairs of its names")
    counts = tuple(peaks.get(name, 1) for name in names)
    decision = {name: settings[name] for name in ("threshold", "mirror") if name in settings}
    return DotsTask(tuple(names), counts, tuple(map(tuple, pairs)), sigma, **decision)
