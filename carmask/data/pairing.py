"""Which mask belongs to which picture: by sub-folder and name, whatever tools and systems have made of the names."""

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from os.path import commonprefix
from pathlib import Path
from typing import NamedTuple

from carmask.data.layout import example_name
from carmask.data.mask_names import (
    MASK_AFFIX,
    MASK_NAME,
    NUMBER,
    PICTURE_AFFIX,
    PICTURE_NAME,
    Keys,
    Reading,
    by_template,
    called,
    fitting_template,
    key_of,
    loose_steps,
    other_than,
    strict_steps,
    strip,
)
from carmask.data.pairs import official_split
from carmask.errors import DataError, shortened
from carmask.files.mask_levels import MASK_ENDINGS
from carmask.files.picture_folders import ENDINGS, files_below

LABEL_STUDIO = re.compile(r"task-\d+-annotation-\d+")
LOSSY = {".jpg", ".jpeg", ".jfif", ".mpo", ".webp", ".heic", ".heif", ".avif"}
MASK_FOLDER = re.compile(r"(masks?|labels?|annotations?|annot|gt|SegmentationClass)(/|$)", re.IGNORECASE)
EXPORTS = {".json", ".txt", ".xml", ".jsonl"}

BadFile = tuple[Path, str]  # and the reason


class Match(NamedTuple):
    """A picture, its name in the data set, its masks, which are joined, and the split that a folder says."""

    name: str
    picture: Path
    masks: list[Path]
    split: str | None


def match_names(images: Path, masks: Path, mask_name: str | None = None) -> tuple[list[Match], list[BadFile]]:
    """Pairs the pictures of two folders, or of one, with their masks; what is not plain is said aloud.

    Several masks of one picture, called NAME_0, NAME_1 or NAME/anything, are joined.

    Args:
        images: folder of pictures.
        masks: folder of masks; may be the same one.
        mask_name: what the mask of a picture NAME is called, such as "mask_{name}".

    Returns:
        What belongs together; and the files without a partner or with a clashing name, with reasons.

    Raises:
        DataError: nothing fits, or two masks fit one picture; the sentence says what to do.
    """
    pictures, truths, bad = list_both(images, masks, mask_name)
    left, left_masks = unique_keys(pictures, images, bad), unique_keys(truths, masks, bad)
    found: dict[Path, list[Path]] = {}
    for read_picture, read_mask, joins in strict_steps(left, mask_name):
        found |= take(left, left_masks, compare(left, left_masks, read_picture, read_mask), joins)
    for read_picture, read_mask, joins in [] if found or mask_name else loose_steps(left, left_masks):
        found |= take(left, left_masks, compare(left, left_masks, read_picture, read_mask), joins)
    if not found:
        raise DataError(
            f"{bad[0][0]}: {bad[0][1]}." if bad else nothing_fits(images, masks, pictures, truths, mask_name)
        )
    bad += drop_parts(found, left_masks, masks)
    is_other = other_than(mask_name, unique_keys(found, images, []))
    beside = {mask for mask, key in left_masks.items() if is_other(key)}
    if beside:
        sys.stderr.write(f"{len(beside)} other files such as {min(beside)} are left aside.\n")
    bad += [(path, "missing partner: no single mask has this name") for path in left]
    bad += [(path, "missing partner: no single picture has this name") for path in left_masks if path not in beside]
    return [match_of(picture, images, found[picture], masks) for picture in sorted(found)], bad


def match_of(picture: Path, images: Path, own: list[Path], masks: Path) -> Match:
    """A picture below `images` and its own masks below `masks`, whose folders may say the split."""
    relative = picture.relative_to(images)
    split = official_split(relative) or official_split(own[0].relative_to(masks))
    return Match(example_name(relative), picture, own, split)


def list_both(images: Path, masks: Path, mask_name: str | None) -> tuple[list[Path], list[Path], list[BadFile]]:
    """Lists pictures and masks; in one folder they are told apart by name, else by suffix. Links out of it are bad.

    A folder that lies in the other keeps its files to itself.

    Raises:
        DataError: one of the two is no folder, `mask_name` has no {name}, or the masks are called by tasks.
    """
    for folder in (images, masks):
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder.")
    pictures, outside = files_below(images)
    truths, more = files_below(masks, ENDINGS | MASK_ENDINGS)
    bad = [(link, "it is a link that leads out of the folder: copy there what it leads to") for link in outside + more]
    if images.resolve() == masks.resolve():
        keys = {path: key_of(path, masks) for path in truths}
        in_folders = [path for path in truths if MASK_FOLDER.search(path.parent.relative_to(masks).as_posix())]
        if mask_name:
            truths = [path for path in truths if by_template(mask_name)(keys[path])]
        elif in_folders:
            truths = in_folders
        elif named := [path for path in truths if strip(MASK_AFFIX, keys[path]) in {*keys.values()} - {keys[path]}]:
            truths = named
        elif (bare := called(MASK_NAME, truths)) and (shown := called(PICTURE_NAME, pictures)):
            truths, pictures = bare, shown
        elif arrays := [path for path in truths if path.suffix.lower() in MASK_ENDINGS]:
            truths = arrays
        else:
            truths = [path for path in truths if path.suffix.lower() not in LOSSY]
        pictures = sorted(set(pictures) - set(truths))
    elif masks.resolve().is_relative_to(images.resolve()):
        pictures = [path for path in pictures if not path.resolve().is_relative_to(masks.resolve())]
    else:
        truths = [path for path in truths if not path.resolve().is_relative_to(images.resolve())]
    if not mask_name and any(LABEL_STUDIO.match(path.stem) for path in truths):  # task 1 need not be picture 1
        raise DataError(nothing_fits(images, masks, pictures, truths, mask_name))
    return pictures, truths, sorted(set(bad))


def unique_keys(paths: Iterable[Path], root: Path, bad: list[BadFile]) -> Keys:
    """The key of each file that shares it with no other; those that do are added to `bad`."""
    keys = {path: key_of(path, root) for path in paths}
    counts = Counter(keys.values())
    bad += [
        (path, f"name clash: {counts[key]} files are called {key}") for path, key in keys.items() if counts[key] > 1
    ]
    return {path: key for path, key in keys.items() if counts[key] == 1}


def compare(pictures: Keys, masks: Keys, read_picture: Reading, read_mask: Reading) -> dict[Path, list[Path]]:
    """The masks of each picture whose name, as it is read, is that of masks and of no other picture."""
    by_name = defaultdict(list)
    for mask, key in masks.items():
        by_name[read_mask(key)].append(mask)
    read = {picture: read_picture(key) for picture, key in pictures.items()}
    counts = Counter(read.values())
    return {picture: by_name[name] for picture, name in read.items() if name and name in by_name and counts[name] == 1}


def take(pictures: Keys, masks: Keys, pairs: dict[Path, list[Path]], joins: bool) -> dict[Path, list[Path]]:
    """Takes pairs out of what is left and says how they are called; DataError where only one of the masks is meant."""
    if joins:
        check_parts(pairs)
    else:
        check_single(pairs)
    say(pairs, pictures, masks)
    for picture, own in pairs.items():
        del pictures[picture]
        for mask in own:
            del masks[mask]
    return pairs


def drop_parts(found: dict[Path, list[Path]], left: Keys, root: Path) -> list[BadFile]:
    """Takes out pictures whose masks have second parts beside them, such as a_mask2.png: they are bad.

    A single one may be the mask of a picture that is missing.
    """
    names = {strip(NUMBER, strip(MASK_AFFIX, key)): mask for mask, key in left.items() if NUMBER.search(key)}
    doubted = []
    for picture, own in found.items():
        part = names.get(strip(MASK_AFFIX, key_of(own[0], root)))
        if part and len(own) == 1:
            doubted.append((picture, own[0], part))
    bad = []
    for picture, mask, part in doubted if len(doubted) > 1 else ():
        del found[picture], left[part]
        reason = f"undecided: {mask.name} and {part.name} may be two parts: call them NAME_0, NAME_1, or move one"
        bad.append((picture, reason))
    return bad


def check_parts(pairs: dict[Path, list[Path]]) -> None:
    """Asks which masks are meant where those of several pictures have the same words, which are classes; DataError."""
    names = Counter(mask.stem for masks in pairs.values() for mask in masks if not mask.stem[-1:].isdecimal())
    if len(names) > 1 and max(names.values()) > 1 and any(len(masks) > 1 for masks in pairs.values()):
        raise DataError(
            f"Pictures have the masks {shortened(' and '.join(sorted(names)))}: say which is the object, as in "
            f"--mask-name '{{name}}/{min(names)}'."
        )


def check_single(pairs: dict[Path, list[Path]]) -> None:
    """Asks which masks are meant where two kinds of them fit; DataError."""
    for picture, masks in pairs.items():
        if len(masks) > 1:
            name = commonprefix([mask.stem for mask in masks] + [strip(PICTURE_AFFIX, picture.stem.casefold())])
            kinds = [mask.stem.replace(name, "{name}", 1) for mask in masks] if name else [mask.stem for mask in masks]
            raise DataError(
                f"More than one mask fits {picture.name}: {' and '.join(mask.name for mask in masks)}. Say which kind "
                f"is meant, as in --mask-name '{kinds[-1]}'."
            )


def say(pairs: dict[Path, list[Path]], pictures: Keys, masks: Keys) -> None:
    """Says how masks are called that are not called like their pictures, and how many are joined."""
    joined = sum(len(own) > 1 for own in pairs.values())
    other = next((picture for picture, own in pairs.items() if masks[own[0]] != pictures[picture]), None)
    if other:
        more = f"; of {joined} pictures several masks are joined into one" if joined else ""
        sys.stderr.write(f"{len(pairs)} masks are called like {pairs[other][0].name} for {other.name}{more}.\n")


def nothing_fits(images: Path, masks: Path, pictures: list[Path], truths: list[Path], mask_name: str | None) -> str:
    """Why no mask belongs to any picture, with what to do."""
    exports = files_below(masks, EXPORTS)[0]
    if bool(pictures) != bool(truths) and images.resolve() == masks.resolve() and not exports:
        return (
            f"Nothing tells which files of {images} are pictures and which are masks: give two folders, or say with "
            "--mask-name what masks are called, as in --mask-name '{name}_mask'."
        )
    if not truths or not pictures:
        empty = masks if pictures else images
        tools = " Labels in files of text are read by data_scripts/from_tool.py." if exports else ""
        what = "masks, which are pictures or arrays in files .npy" if pictures else "pictures"
        return f"{empty} holds no {what}.{tools}"
    if any(LABEL_STUDIO.match(path.stem) for path in truths):
        return (
            f"Label Studio calls {truths[0].name} by the number of a task, not by the picture, so that no --mask-name "
            "fits: export the labels as JSON, which data_scripts/from_tool.py reads."
        )
    folders = {path.parent for path in truths if path.stem in {picture.stem for picture in pictures}}
    if folders and folders != {masks}:
        places = {path.parent for path in pictures}
        give = f"{' or '.join(map(str, sorted(places)))} and {' or '.join(map(str, sorted(folders)))}"
        return f"Pictures and masks of the same name lie in different sub-folders: give {give}."
    template = fitting_template(pictures, truths)
    template = None if template == mask_name else template
    remedy = (
        f"say what masks are called with --mask-name '{template}'"
        if template
        else "call masks as their pictures are, or with a word before or behind, as --mask-name 'mask_{name}' says"
    )
    return f"No mask has the name of a picture: {pictures[0].name} is a picture, {truths[0].name} a mask; {remedy}."
