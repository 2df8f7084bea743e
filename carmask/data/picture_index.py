"""Finds the pictures below a folder by the names that a table or an annotation file has for them."""

import unicodedata
from collections import defaultdict
from pathlib import Path

from carmask.data.layout import example_name, without_kind
from carmask.data.pairs import BadPair, official_split
from carmask.errors import shortened
from carmask.files.picture_folders import ENDINGS, find_pictures

LONGEST_NAME = 4096  # letters, as of a path


class PictureIndex:
    """The pictures in and below a folder, to be found by name; none outside it ever is."""

    def __init__(self, folder: Path):
        """Lists the folder; DataError if it holds no pictures."""
        self.folder = folder
        self.pictures = find_pictures(folder)
        self.folders = {any_case(part) for path in self.pictures for part in path.relative_to(folder).parts[:-1]}
        self.by_tail: list[dict[str, list[Path]]] = [defaultdict(list) for _ in KEYS]
        for path in self.pictures:
            for tail in tails(path.relative_to(folder).as_posix()):
                for places, key in zip(self.by_tail, KEYS, strict=True):
                    places[key(tail)].append(path)

    def find(self, file_name: str) -> Path:
        """The picture that a file calls `file_name`, which may be a path of Windows.

        As much of the end of its path as there is decides: `images/0.jpg`, `/photos/0.jpg` and `../0.jpg` are
        the one picture called 0.jpg, unless it lies in one of the other folders here that the path names. Case and
        ending count only where names differ in nothing else.

        Raises:
            BadPair: there is none, or more than one.
        """
        if len(file_name) > LONGEST_NAME:
            raise BadPair(f"missing partner: {shortened(file_name)} is too long for a name")
        for places, key in zip(self.by_tail, KEYS, strict=True):
            for tail in tails(file_name.replace("\\", "/")):
                found = places.get(key(tail), [])
                if len(found) == 1:
                    if self.is_in_another(found[0], tail, file_name):
                        break
                    return found[0]
                if found:
                    names = " and ".join(path.relative_to(self.folder).as_posix() for path in found[:2])
                    raise BadPair(f"name clash: {shortened(file_name)} may be {names}")
        raise BadPair(f"missing partner: there is no picture {shortened(file_name) or 'without a name'}")

    def is_in_another(self, path: Path, tail: str, file_name: str) -> bool:
        """Whether before the `tail` that fits, the name has one folder of those that are here, the picture another."""
        length = tail.count("/") + 1
        own, named = path.relative_to(self.folder).parts, file_name.replace("\\", "/").split("/")
        before = [[part for part in map(any_case, parts[:-length]) if without_kind(part)] for parts in (own, named)]
        return all(before) and before[0][-1] != before[1][-1] in self.folders

    def name_of(self, path: Path) -> str:
        """What a picture is called in a data set."""
        return example_name(path.relative_to(self.folder))

    def split_of(self, path: Path) -> str | None:
        """The split that the folders of a picture say; None where none does."""
        return official_split(path.relative_to(self.folder))


def tails(path: str) -> list[str]:
    """A path, and what is left of it without its first folder, its first two, and so on: `a/b/c`, `b/c`, `c`."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return ["/".join(parts[start:]) for start in range(len(parts))]


def exact(tail: str) -> str:
    """A path in the composed form of Unicode: macOS hands names out decomposed."""
    return unicodedata.normalize("NFC", tail)


def any_case(tail: str) -> str:
    """A path whatever its case."""
    return exact(tail).casefold()


def any_ending(tail: str) -> str:
    """A path whatever its case and, if it has that of a picture, its suffix."""
    plain = any_case(tail)
    ending = Path(plain).suffix
    return plain.removesuffix(ending) if ending in ENDINGS else plain


KEYS = (exact, any_case, any_ending)
