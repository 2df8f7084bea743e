"""Makes a data set from pictures and COCO annotations (polygons, run lengths and keypoints)."""

import argparse
import functools
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from carmask.command_line import exit_code
from carmask.data.importing import add_options, import_pairs
from carmask.data.layout import example_name
from carmask.data.pairs import Pair
from carmask.errors import DataError
from data_scripts.coco.annotation_file import CocoFile, annotation_files, read_coco
from data_scripts.coco.masks import Notes, listed_dots, listed_mask, say_contents
from data_scripts.coco.pictures import find_listed
from data_scripts.foreign_names import by_number, names
from data_scripts.outlines import are_fractions, has_outline


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("annotations", type=Path, help="COCO JSON file, or a folder with one for each split")
    parser.add_argument("images", type=Path, help="folder that holds the pictures it names")
    parser.add_argument("out", type=Path, help="data set folder to write")
    words = "categories that take no part, such as bus,truck"
    parser.add_argument("--not-judged", type=lower_names, default=[], help=words)
    parser.add_argument("--crowd-is-object", action="store_true", help="iscrowd is the object (default: not judged)")
    parser.add_argument("--fractions", action="store_true", help="outlines are fractions of the picture, not pixels")
    words = "categories (all without --object) are parts that do not cover it"
    parser.add_argument("--parts-of-one-car", action="store_true", help=words)
    parser.add_argument("--margin", type=float, default=0.12, help="of the not-judged hull, share of the car's length")
    parser.add_argument("--only-with-object", action="store_true", help="leave out pictures without the object")
    which = parser.add_mutually_exclusive_group()
    words = "categories whose centres become the column dots; wheel,wheel gives up to two wheels"
    which.add_argument("--dots", type=names, default=[], help=words)
    words = "category whose keypoints (of its largest annotation) become dots"
    which.add_argument("--keypoints", metavar="CATEGORY", type=str.casefold, help=words)
    add_options(parser)
    return exit_code(convert, parser.parse_args(argv))


def lower_names(text: str) -> list[str]:
    """Reads "Bus,truck" as ["bus", "truck"]."""
    return names(text.casefold())


def convert(arguments: argparse.Namespace) -> int:
    """Writes the data set; returns the exit code."""
    kind = "person_keypoints" if arguments.keypoints else "instances"
    files = [read_coco(path, split) for path, split in annotation_files(arguments.annotations, kind)]
    wanted = object_categories(arguments, files)
    dot_names = arguments.dots
    if arguments.keypoints:
        per_file = [file.keypoints.get(arguments.keypoints) for file in files]
        dot_names = next(filter(None, per_file), [])
        if not dot_names:
            raise DataError(f"The category {arguments.keypoints} has no keypoints; choose another.")
    used = wanted | {name.casefold() for name in other_categories(arguments)}
    check_annotations(files, used, arguments)
    found, bad = find_listed(files, arguments, wanted)
    notes: Notes = defaultdict(list)
    pairs = []
    for path, (listed, split) in found.items():
        mask = functools.partial(listed_mask, listed, path, wanted, arguments, notes)
        dots = functools.partial(listed_dots, listed=listed, arguments=arguments, dot_names=dot_names, notes=notes)
        name = example_name(path.relative_to(arguments.images))
        pairs.append(Pair(name, path, mask, dots if dot_names else None, bool(wanted), split))
    if wanted:
        say_contents([listed for listed, _ in found.values()], wanted, arguments.crowd_is_object)
    code = import_pairs(pairs, bad, arguments, dot_names)
    for note, annotations in notes.items():
        sys.stderr.write(f"{note}: {len(annotations)}, such as annotation {annotations[0]}.\n")
    return code


def object_categories(arguments: argparse.Namespace, files: list[CocoFile]) -> set[str]:
    """The categories, in lower case, that are the object; none where dots are all there is to be had.

    Raises:
        DataError: The files do not know one of the categories that are asked for.
    """
    ids: dict[str, set[str]] = defaultdict(set)
    for file in files:
        for identity, name in file.categories.items():
            ids[identity].add(name)
    known = list(dict.fromkeys(name for file in files for name in file.categories.values()))
    chosen = by_number(arguments.object, {one: min(found) for one, found in ids.items() if len(found) == 1})
    lower = {name.casefold() for name in known}
    for name in other_categories(arguments):
        if name.casefold() not in lower:
            raise DataError(f"There is no category {name}; the file knows {', '.join(known)}.")
    dots_wanted, given = arguments.dots or arguments.keypoints, arguments.object.named or arguments.object.numbers
    if arguments.parts_of_one_car and not given:
        return lower
    if dots_wanted and not given and not {name.casefold() for name in chosen.classes} & lower:
        return set()
    wanted = {name.casefold() for name in chosen.among(known, "the file")}
    outlined = any(part["category"] in wanted and has_outline(part) for part in all_parts(files))
    if dots_wanted and not outlined:
        sys.stderr.write(f"No annotation of {', '.join(sorted(wanted))} has an outline: only dots are written.\n")
        return set()
    return wanted


def other_categories(arguments: argparse.Namespace) -> list[str]:
    """The categories that are read beside those of the object."""
    return [*arguments.not_judged, *arguments.dots, *filter(None, [arguments.keypoints])]


def all_parts(files: list[CocoFile]) -> Iterable[dict]:
    """The annotations of all pictures of the files."""
    return (part for file in files for listed in file.pictures for part in listed.parts)


def check_annotations(files: list[CocoFile], used: set[str], arguments: argparse.Namespace) -> None:
    """Checks what concerns the whole set.

    Raises:
        DataError: Outlines are fractions and taken for pixels, or pixels and taken for fractions; or annotations name
            pictures or categories that are not listed, and may not be skipped.
    """
    for what, loose in (("picture", [one for file in files for one in file.dangling]),
                        ("category", [one for file in files for one in file.unknown])):  # fmt: skip
        if loose and not arguments.skip_bad:
            raise DataError(
                f"Annotations that name a {what} id that the file does not list: {len(loose)}, such as {loose[0]}; "
                "mend the ids, or leave out what is in doubt with --skip-bad."
            )
        if loose:
            sys.stderr.write(
                f"Annotations left out as they name no listed {what}: {len(loose)}, such as {loose[0]}.\n"
            )
    fractions = are_fractions(
        (part for part in all_parts(files) if part["category"] in used), bool(arguments.keypoints)
    )
    if fractions and not arguments.fractions:
        raise DataError("The outlines are fractions of the picture, not pixels: read them with --fractions.")
    if arguments.fractions and fractions is False:
        raise DataError("The outlines are pixels, not fractions of the picture: leave --fractions away.")


if __name__ == "__main__":
    sys.exit(main())
