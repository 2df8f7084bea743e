"""Masks of classes: Pascal VOC and CVAT's "Segmentation mask 1.1" by colour or index, Roboflow's by number.

Own reader around our one mask decoder: the rest is a list of names. Source: the VOC2012 development kit (palette and
classes), docs.cvat.ai/docs/dataset_management/formats/format-smask, and Roboflow's "Semantic Segmentation Masks" as it
lies. A picture without a mask has not been labelled.
"""

import functools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import ImageOps

from carmask.data.layout import standard_split
from carmask.data.mask_pairs import colour_names
from carmask.data.pairs import BadPair, official_split
from carmask.data.picture_index import PictureIndex
from carmask.errors import DataError, PictureError
from carmask.files.mask_levels import distinct, mask_levels, open_mask
from carmask.files.picture_folders import files_below, pictures_below
from carmask.files.pictures import opened
from data_scripts.tools.shapes import Export, Labelled, Shape

MASKS, LABEL_MAP = "SegmentationClass", "labelmap.txt"
CLASSES = "class_names.txt"  # of labelme2voc, one in a line
ROBOFLOW = "_classes.csv"
NO_PICTURE = re.compile(r"(^|/)Segmentation(Class|Object)|(^|/)masks_(human|machine)/|_mask\.png$")  # but a mask
VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
VOID, VOID_INDEX = "void", 255  # the border around VOC's objects


def voc_colour(index: int) -> int:
    """The colour 0xRRGGBB of an index in VOC's palette: its bits, lowest first, in turn for red, green and blue."""
    return sum((index >> place & 1) << 7 - place // 3 + 8 * (2 - place % 3) for place in range(8))


VOC_COLOURS = {name: voc_colour(index) for index, name in enumerate(VOC_NAMES)}


def read(folder: Path, places: list[Path], index: PictureIndex) -> Export:
    """Reads the exports whose folders of masks are `places`; DataError if a list of classes is damaged, or lacking."""
    export = Export(void=(VOID,))

    def read_mask(path: Path, place: Path, colours: dict[str, int], splits: dict[str, str]) -> Labelled:
        name = path.relative_to(place).with_suffix("").as_posix()
        picture = index.find((place.parent.relative_to(folder) / "JPEGImages" / f"{name}.jpg").as_posix())
        if NO_PICTURE.search(picture.relative_to(index.folder).as_posix()):
            raise BadPair(f"missing partner: there is no picture for {path.name}")
        numbers = {label: number for number, label in enumerate([*colours, VOID])}
        shapes = class_shapes(path, numbers, functools.partial(by_colour, colours=[*colours.values()]))
        split = splits.get(name) or official_split(path.relative_to(folder))
        return Labelled(picture, index.name_of(picture), shapes, split=split)

    for place in places:
        colours = class_colours(place)
        export.classes += [name for name in colours if name not in export.classes]
        read_one = functools.partial(read_mask, place=place, colours=colours, splits=listed_splits(place.parent))
        for path in pictures_below(place):
            export.collect(path, [path], read_one)
    return export


def class_colours(place: Path) -> dict[str, int]:
    """The colour of each class of the masks in `place`, in the order of their numbers.

    Raises:
        DataError: A list of classes is damaged, or lacking: black and white masks have none of VOC's.
    """
    label_map, classes = place.parent / LABEL_MAP, place.parent / CLASSES
    if label_map.is_file():
        return colour_names(label_map)
    if classes.is_file():
        lines = classes.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        return {name.strip(): voc_colour(number) for number, name in enumerate(filter(str.strip, lines))}
    masks = pictures_below(place)
    if masks and all(map(is_black_and_white, masks)):
        raise DataError(
            f"The masks in {place} have no classes, only black and white: "
            f"data_scripts/from_folders.py {place.parent / 'JPEGImages'} {place} OUT reads them."
        )
    return VOC_COLOURS


def is_black_and_white(path: Path) -> bool:
    """Whether a mask is grey and has at most 0 and one of 1 and 255; what cannot be decoded is not."""
    try:
        levels = open_mask(path)
    except PictureError:
        return False
    return levels.kind == "grey" and distinct(levels.numbers) in ({0}, {0, 1}, {0, 255}, {1}, {255})


def listed_splits(folder: Path) -> dict[str, str]:
    """The split of each name that a train.txt, val.txt or test.txt of VOC lists."""
    splits = {}
    for path in sorted((folder / "ImageSets" / "Segmentation").glob("*.txt")):
        split = standard_split(path.stem)
        if split:
            lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
            splits |= dict.fromkeys(map(str.strip, lines), split)
    return splits


def read_roboflow(folder: Path, files: list[Path], index: PictureIndex) -> Export:
    """Reads the splits whose tables of classes are `files`; DataError if one is damaged."""
    export = Export()

    def read_mask(path: Path, numbers: dict[str, int]) -> Labelled:
        place = path.relative_to(folder)
        picture = index.find(place.with_name(path.stem.removesuffix("_mask") + ".jpg").as_posix())
        shapes = class_shapes(path, numbers, functools.partial(by_number, known=frozenset(numbers.values())))
        return Labelled(picture, index.name_of(picture), shapes, split=official_split(place))

    for table in files:
        try:
            lines = table.read_text(encoding="utf-8-sig").splitlines()[1:]
            rows = [line.split(",", 1) for line in lines if line.strip()]
            numbers = {name.strip(): int(number) for number, name in rows}
        except ValueError:
            raise DataError(f"{table} is no table of pixel values and classes; export it again.") from None
        export.classes += [name for name in numbers if name not in export.classes]
        for path in files_below(table.parent, {".png"})[0]:
            if path.stem.endswith("_mask"):
                export.collect(path, [path], functools.partial(read_mask, numbers=numbers))
    return export


def class_shapes(path: Path, numbers: dict[str, int], decode: Callable[[Path], np.ndarray]) -> list[Shape]:
    """One shape for each class, painted where the decoded mask has its number."""

    def paint(size: tuple[int, int], number: int) -> np.ndarray:
        try:
            return decode(path) == number
        except PictureError as error:
            raise BadPair(f"undecodable: the mask {path.name}: {error}") from None

    return [Shape(name, "mask", functools.partial(paint, number=number)) for name, number in numbers.items()]


def by_number(path: Path, known: frozenset[int]) -> np.ndarray:
    """The numbers of a mask, int (height, width); BadPair if its table does not know one."""
    levels = open_mask(path).numbers
    strange = distinct(levels) - known
    if strange:
        raise BadPair(f"unknown value: {path.name} has {min(strange)}, and {ROBOFLOW} does not")
    return levels


def by_colour(path: Path, colours: list[int]) -> np.ndarray:
    """The places in `colours` of a mask's pixels, int (height, width), and behind them all that of VOC's border.

    A mask of one channel may hold the places themselves.

    Raises:
        BadPair: It has a colour or number that is none of these.
        PictureError: It cannot be decoded.
    """
    with opened(path) as stored:
        upright = ImageOps.exif_transpose(stored)
        levels, shown = mask_levels(upright), mask_levels(upright.convert("RGB")).colours
    place_of = {voc_colour(VOID_INDEX): len(colours)} | {colour: place for place, colour in enumerate(colours)}
    values, which = np.unique(shown, return_inverse=True)
    if place_of.keys() >= {*values.tolist()}:
        return np.array([place_of[value] for value in values.tolist()])[which].reshape(shown.shape)
    if levels.kind in ("grey", "palette") and distinct(levels.numbers) <= {*range(len(colours)), VOID_INDEX}:
        return np.where(levels.numbers == VOID_INDEX, len(colours), levels.numbers)
    strange = min({*values.tolist()} - place_of.keys())
    rgb = ",".join(str(strange >> shift & 255) for shift in (16, 8, 0))
    raise BadPair(f"unknown colour: {path.name} has {rgb}, which is no class of VOC or of {LABEL_MAP} or {CLASSES}")
