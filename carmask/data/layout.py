"""The data set layout that every data script writes: its splits, its labels and its values in a mask."""

BACKGROUND = 0
SPLITS = ("train", "validation", "test")
NOT_JUDGED, CAR = 128, 255
