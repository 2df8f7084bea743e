"""How tools call the mask of a picture, and what of two names is compared."""

import re
import unicodedata
from collections.abc import Callable
from functools import partial
from os.path import commonprefix
from pathlib import Path

from carmask.data.layout import SPLITS, standard_split, without_kind
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
MASK_NAME = re.compile(r"masks?|labels?|seg(mentation)?|gt|annotations?")  # in a folder for each picture
PICTURE_NAME = re.compile(r"images?|img|photo|picture|rgb")
MOST_TRIED = 100  # templates
NUMBER = re.compile(r"[-_. ]((masks?|obj(ect)?|inst(ance)?|seg|label)[-_. ]?)?\d+$|[-_. ]?\(\d+\)$")
PART = re.compile(r"[-_. ]?(\d+|\(\d+\))$")

Keys = dict[Path, str]  # what a file is compared by: its path below the folder without suffix, in one form
Reading = Callable[[str], str | None]  # what of a key is compared; None: the file is not of that kind
Step = tuple[Reading, Reading, bool]  # of pictures and of masks, and whether a picture may have many of these


def key_of(path: Path, root: Path) -> str:
    """A file's path below the root without suffix: composed Unicode, lower case, `val_images` for what it is."""
    *folders, name = path.relative_to(root).with_suffix("").parts
    parts = [*filter(None, map(plain_folder, folders)), name]
    return unicodedata.normalize("NFC", "/".join(parts)).casefold()


def plain_folder(folder: str) -> str:
    """What a folder says beside the kind of its files: "train1_masks" train1, but "val2017" and "valid" validation."""
    number = re.search(r"(?<!\d)\d{1,3}$", without_kind(folder))  # four digits are a year
    split = standard_split(folder)
    return split + (number[0] if number else "") if split else without_kind(folder)


def strict_steps(pictures: Keys, mask_name: str | None) -> list[Step]:
    """How names are compared, the strictest way first: the readings of picture and mask, and if masks may be many."""
    short = partial(strip, PICTURE_AFFIX)
    if mask_name:
        template = by_template(mask_name)
        return [
            (str, template, False),
            (short, template, False),
            (without_shared(pictures), template, False),
            (unpadded, lambda key: unpadded(template(key)), False),
            (str, lambda key: template(strip(PART, key)), True),
            (base_name, lambda key: base_name(template(key)), False),
        ]
    bare = partial(strip, MASK_AFFIX)
    return [
        (str, str, False),
        (str, without_ending, False),
        (str, bare, False),
        (short, bare, False),
        (str, lambda key: strip(NUMBER, bare(key)), True),
        (str, folder_of, True),
        (short, folder_of, True),
        (lambda key: folder_of(key) if key.endswith(f"{folder_of(key)}/{folder_of(key)}") else None, folder_of, True),
    ]


def loose_steps(pictures: Keys, masks: Keys) -> list[Step]:
    """How names are compared where nothing fits strictly: without what all share, numbers by value, then folders."""
    short, bare = partial(strip, PICTURE_AFFIX), partial(strip, MASK_AFFIX)
    shared, shared_masks = without_shared(pictures), without_shared(masks)
    steps: list[Step] = [
        (shared, shared_masks, False),
        (lambda key: unpadded(short(key)), lambda key: unpadded(bare(key)), False),
        (lambda key: unpadded(shared(key)), lambda key: unpadded(shared_masks(key)), False),
        (lambda key: unnumbered(short(key)), lambda key: unnumbered(bare(key)), False),
    ]
    if not any("/" in key for key in pictures.values()) and {folder_of(key) for key in masks.values()} <= {*SPLITS}:
        steps.append((short, lambda key: base_name(bare(key)), False))
    if not any("/" in key for key in masks.values()):
        if not {folder_of(key) for key in pictures.values()} & {*SPLITS}:  # whose names are not as they were
            steps.append((lambda key: short(key).replace("/", "_"), bare, False))
        steps.append((lambda key: base_name(short(key)), bare, False))
    return steps


def other_than(mask_name: str | None, matched: Keys) -> Callable[[str], bool]:
    """Tells what is no mask at all: not called like the template, or another view of a picture that has its mask."""
    if mask_name:
        template = by_template(mask_name)
        return lambda key: template(key) is None
    names = {*matched.values(), *(strip(PICTURE_AFFIX, name) for name in matched.values())}

    def is_view(key: str) -> bool:
        cuts = [cut.start() for cut in re.finditer(r"[-_. ]", key)]
        return any(key[:cut] in names and re.search(r"[^\W\d_]", key[cut:]) for cut in cuts)

    return is_view


def called(name: re.Pattern[str], paths: list[Path]) -> list[Path]:
    """Those of some files that are called so, such as image.png in a folder for each picture."""
    return [path for path in paths if name.fullmatch(path.stem.casefold())]


def fitting_template(pictures: list[Path], masks: list[Path]) -> str | None:
    """What most masks are called for the name of their picture, such as "mask_{name}"; None where nothing fits."""
    names = [unpadded(strip(PICTURE_AFFIX, picture.stem.casefold())) or "" for picture in pictures]
    padded = re.sub("[0-9]+", lambda number: f"0*{int(number[0])}", re.escape(names[0]))
    pattern = re.compile(rf"(?<![^\W_]){padded}(?![^\W_])", re.IGNORECASE)  # as a word
    matches = filter(None, (pattern.search(mask.stem) for mask in masks))
    templates = {f"{match.string[: match.start()]}{{name}}{match.string[match.end() :]}" for match in matches}
    stems = [mask.stem.casefold() for mask in masks]
    for template in sorted({strip(PART, template) for template in templates} | templates, key=len)[:MOST_TRIED]:
        read = by_template(template)
        found = {unpadded(read(stem) or read(strip(PART, stem))) for stem in stems}
        if template != "{name}" and 2 * len(found & {*names}) > len({*names}):
            return template
    return None


def base_name(key: str | None) -> str | None:
    """A key without its folders."""
    return key and key.rpartition("/")[2]


def folder_of(key: str) -> str:
    """The folder of a key; nothing at the top."""
    return key.rpartition("/")[0]


def unpadded(key: str | None) -> str | None:
    """A key whose numbers have no zeros in front: 1 for 001."""
    return key and re.sub(r"(?<!\d)0+(?=\d)", "", key)


def unnumbered(key: str) -> str:
    """A key whose folder of a split has no number behind: train for train512."""
    return re.sub(r"(^|/)(train|validation|test)\d+(?=/)", r"\1\2", key)


def strip(affix: re.Pattern[str], key: str) -> str:
    """A key without what a tool has put before or behind the name."""
    folder, slash, name = key.rpartition("/")
    return folder + slash + (affix.sub("", name) or name)


def without_ending(key: str) -> str:
    """A key without the suffix of the picture that a tool has left in the mask's name: photo.jpg.png."""
    ending = Path(key).suffix
    return key.removesuffix(ending) if ending in ENDINGS else key


def without_shared(keys: Keys) -> Reading:
    """Reads keys without the words that all names begin and end with: image_10 and image_11 are 10 and 11."""
    names = [key.rpartition("/")[2] for key in keys.values()]
    start = re.split(r"\d", commonprefix(names))[0]
    end = re.split(r"\d", commonprefix([name[len(start) :][::-1] for name in names])[::-1])[-1]

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
