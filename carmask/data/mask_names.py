"""How tools call the mask of a picture, and what of two names is compared."""

import re
import unicodedata
from collections.abc import Callable
from functools import partial
from os.path import commonprefix
from pathlib import Path

from carmask.data.layout import standard_split
from carmask.errors import DataError
from carmask.files.picture_folders import ENDINGS

# What tools add to a name, in lower case.
MASK_AFFIX = re.compile(
    r"^(masks?|labels?|seg|gt|annotations?)[-_. ]"
    r"|[-_. ](gt_?(fine|coarse)_)?(label_?(train)?_?ids?|train_?ids?|labels?|masks?|seg(mentation)?|gt|"
    r"annot(ation)?s?|matte|alpha|l)$"
)
PICTURE_AFFIX = re.compile(
    r"^(images?|img|photo|picture|rgb)[-_. ]|[-_. ](leftimg8bit|rightimg8bit|images?|img|photo|rgb|sat)$"
)
NUMBER = re.compile(r"[-_. ]((masks?|obj(ect)?|inst(ance)?|seg|label)[-_. ]?)?\d+$")

Keys = dict[Path, str]  # what a file is compared by: its path below the folder without suffix, in one form
Reading = Callable[[str], str | None]  # what of a key is compared; None: the file is not of that kind


def key_of(path: Path, root: Path) -> str:
    """A file's path below the root without suffix: composed Unicode, lower case, `val` for what it is."""
    *folders, name = path.relative_to(root).with_suffix("").parts
    parts = [*(standard_split(folder) or folder for folder in folders), name]
    return unicodedata.normalize("NFC", "/".join(parts)).casefold()


def steps(pictures: Keys, masks: Keys, mask_name: str | None) -> list[tuple[Reading, Reading, bool]]:
    """How names are compared, the strictest way first: the readings of picture and mask, and if masks may be many."""
    short, shared = partial(strip, PICTURE_AFFIX), without_shared(pictures)
    if mask_name:
        template = by_template(mask_name)
        return [(str, template, False), (short, template, False), (shared, template, False)]
    bare = partial(strip, MASK_AFFIX)
    return [
        (str, str, False),
        (str, without_ending, False),
        (str, bare, False),
        (short, bare, False),
        (str, lambda key: strip(NUMBER, strip(MASK_AFFIX, key)), True),
        (str, lambda key: re.sub(r"(/masks?)?/[^/]+$", "", key), True),
        (shared, without_shared(masks), False),
    ]


def strip(affix: re.Pattern[str], key: str) -> str:
    """A key without what a tool has put before or behind the name."""
    folder, slash, name = key.rpartition("/")
    return folder + slash + (affix.sub("", name) or name)


def without_ending(key: str) -> str:
    """A key without the suffix of the picture that a tool has left in the mask's name: photo.jpg.png."""
    ending = Path(key).suffix
    return key.removesuffix(ending) if ending in ENDINGS else key


def without_shared(keys: Keys) -> Reading:
    """Reads keys without what all names begin and end with, but for digits: image_10 and image_11 are 10 and 11."""
    names = [key.rpartition("/")[2] for key in keys.values()]
    start = commonprefix(names).rstrip("0123456789")
    end = commonprefix([name[len(start) :][::-1] for name in names])[::-1].lstrip("0123456789")

    def read(key: str) -> str | None:
        folder, slash, name = key.rpartition("/")
        return f"{folder}{slash}{name[len(start) : len(name) - len(end)]}" if len(names) > 1 else None

    return read


def by_template(mask_name: str) -> Reading:
    """Reads the picture's name out of the names of masks that are called like the template.

    Raises:
        DataError: it has no {name}, or two.
    """
    before, *after = unicodedata.normalize("NFC", mask_name).casefold().split("{name}")
    if len(after) != 1:
        raise DataError(
            f"--mask-name {mask_name} must hold {{name}} once, for the name of the picture: 'mask_{{name}}'."
        )
    end = without_ending(after[0]).removesuffix(".npy")
    pattern = re.compile(f"{re.escape(before)}(.+){re.escape(end)}")

    def read(key: str) -> str | None:
        folder, slash, name = key.rpartition("/") if "/" not in mask_name else ("", "", key)
        match = pattern.fullmatch(name)
        return folder + slash + match[1] if match else None

    return read
