"""The data set layout that every data script writes: its splits, its labels and its values in a mask."""

BACKGROUND = 0
SPLITS = ("train", "validation", "test")
NOT_JUDGED, CAR = 128, 255

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation", "eval": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip


def standard_split(name: str) -> str | None:
    """The split that a folder or split of this name is, such as validation for "val" and "train2017"; None if none."""
    return SPLIT_NAMES.get(name.lower().rstrip("0123456789_-"))
