"""What the doctor can find in a data set: each kind of finding, and what to do about it."""

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of finding: what to do about it, and whether it is a fault or only worth a look."""

    remedy: str
    fault: bool = True


KINDS = {
    "missing file": Kind("Add the file, or take its line out of metadata.jsonl."),
    "file outside": Kind("Copy the file into the data set and name it from there, or take its line out."),
    "unlisted file": Kind("Add a line for it to metadata.jsonl, or delete it: training does not see it."),
    "undecodable file": Kind("Fetch it again, or take its line out of metadata.jsonl."),
    "size mismatch": Kind("Export the mask at the size of the picture."),
    "EXIF-turned picture": Kind("Save the picture upright: its orientation turns it, but not its mask or dots."),
    "JPEG mask": Kind("Export it as PNG, or import it with data_scripts/from_folders.py --threshold 128."),
    "grey mask": Kind(
        "Import it with data_scripts/from_folders.py --threshold 128, which makes soft edges black and white."
    ),
    "label numbers": Kind("Import it with data_scripts/from_folders.py --object NUMBER: here the object is 255."),
    "255 as not judged": Kind(
        "Import it with data_scripts/from_folders.py --object NUMBER --not-judged 255: here 255 is the object."
    ),
    "inverted mask": Kind(
        "Look at it; if object and background have changed places, data_scripts/from_folders.py --invert mends it."
    ),
    "all object": Kind("Look at it; a mask without background teaches that everything is the object."),
    "nothing judged": Kind("Take it out, or mark what is the object and what is not: this mask teaches nothing."),
    "split without object": Kind("Move pictures with the object into the split, or check which value is the object."),
    "tiny picture": Kind("Use the original picture: a network sees hardly anything on fewer than 64 pixels."),
    "dot outside": Kind("Correct it, or write null where the dot is not in the picture: dots are shares from 0 to 1."),
    "wrong number of dots": Kind("Give one [x, y] or null for each name in dot_names.json."),
    "duplicate across splits": Kind("Keep it in one split: what was trained on cannot test."),
    "group in two splits": Kind(
        "Keep a group in one split, or give its two parts two names if only the name is the same."
    ),
    "duplicate": Kind("Keep one of the two, or give both the same group.", fault=False),
    "empty mask": Kind("Right if the object is not in the picture; others of its source have one.", fault=False),
}


class Finding(NamedTuple):
    """One thing found: its kind, the files it is about, relative to the data set, and what is wrong with them."""

    kind: str
    files: list[str]
    reason: str
