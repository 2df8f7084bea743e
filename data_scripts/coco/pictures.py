"""Finds the pictures that COCO files list, and tells what is in doubt."""

import argparse
import itertools
import sys
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from carmask.data.importing import BadFile
from carmask.data.layout import standard_split
from carmask.data.pairs import BadPair, official_split
from carmask.data.picture_index import PictureIndex
from carmask.errors import DataError
from data_scripts.coco.annotation_file import CocoFile, Listed
from data_scripts.foreign_names import spellings


def find_listed(
    files: list[CocoFile], arguments: argparse.Namespace, wanted: set[str]
) -> tuple[dict[Path, tuple[Listed, str | None]], list[BadFile]]:
    """Finds the listed pictures.

    Returns:
        What is listed of each picture to be imported, and its split; and the bad ones with reasons.

    Raises:
        DataError: Not one is there.
    """
    everywhere = PictureIndex(arguments.images)
    named: dict[Path, list[tuple[Listed, str | None]]] = defaultdict(list)
    bad = []
    for file in files:
        places = [*own_places(file, arguments.images), everywhere]
        for listed in file.pictures:
            try:
                path = find(listed.names, places)
            except BadPair as error:
                if is_wanted(listed, wanted, arguments):
                    bad.append((arguments.images / Path(listed.names[0]).name, str(error)))
                continue
            named[path].append((listed, file.split or everywhere.split_of(path)))
    if not named:
        first = next((listed.names[0] for file in files for listed in file.pictures), None)
        looked = f": looked for {first} first" if first else ", as it lists none"
        raise DataError(f"Not one picture that {arguments.annotations} lists is in {arguments.images}{looked}.")
    say_elsewhere({path: entries[0][1] for path, entries in named.items()}, arguments.images)
    say_unlisted([path for path in everywhere.pictures if path not in named], arguments.images)
    dangling = any(file.dangling for file in files) and not arguments.only_with_object
    kept = {}
    for path, entries in named.items():
        reason = why_in_doubt([listed for listed, _ in entries], dangling)
        if reason:
            bad.append((path, reason))
        elif is_wanted(entries[0][0], wanted, arguments):
            kept[path] = entries[0]
    return kept, bad


def say_elsewhere(splits: dict[Path, str | None], images: Path) -> None:
    """Says how many pictures lie in the folder of another split than that of the file that lists them."""
    places = {path: official_split(path.relative_to(images)) for path in splits}
    elsewhere = [path for path, place in places.items() if place not in (None, splits[path])]
    if elsewhere:
        sys.stderr.write(
            f"Pictures found in the folder of another split than that of the file: {len(elsewhere)}, such as "
            f"{elsewhere[0]}; if it is another picture of the same name, add the missing one.\n"
        )


def say_unlisted(unlisted: list[Path], images: Path) -> None:
    """Says how many pictures of the folder no file lists."""
    if unlisted:
        example = unlisted[0].relative_to(images)
        sys.stderr.write(f"Pictures left aside as they are not listed: {len(unlisted)}, such as {example}.\n")


def why_in_doubt(entries: list[Listed], dangling: bool) -> str | None:
    """Why it is not known what is in a picture that is listed as `entries`; None if it is."""
    if len(entries) > 1:
        return f"named twice: the file lists it as {entries[0].names[0]} and as {entries[1].names[0]}"
    if any(part["category"] is None for part in entries[0].parts):
        return "unknown category: an annotation of it names a category id that the file does not list"
    if dangling and not entries[0].parts:
        return "dangling annotations: it has none, and those that name no listed picture may be its own"
    return None


def is_wanted(listed: Listed, wanted: set[str], arguments: argparse.Namespace) -> bool:
    """Whether a picture is to be imported: with --only-with-object those alone that show it."""
    return not arguments.only_with_object or any(part["category"] in wanted for part in listed.parts)


def own_places(file: CocoFile, images: Path) -> list[PictureIndex]:
    """Where to look for a file's pictures first: in its own folder, then in those of its split."""
    own, root = file.path.resolve().parent, images.resolve()
    folders = [images / own.relative_to(root)] if own != root and own.is_relative_to(root) else []
    if file.split:
        folders += [path for path in sorted(images.rglob("*")) if standard_split(path.name) == file.split]
    places = []
    for folder in (path for path in folders if path.resolve().is_relative_to(root)):
        with suppress(DataError):  # no folder, or one without pictures
            places.append(PictureIndex(folder))
    return places


def find(names: list[str], places: list[PictureIndex]) -> Path:
    """The picture of the first of these names, however it is spelt, in the first of the places that has it.

    Raises:
        BadPair: none has, or the last has several.
    """
    for name, place in itertools.product(itertools.chain.from_iterable(map(spellings, names)), places):
        with suppress(BadPair):
            return place.find(name)
    return places[-1].find(names[0])
