"""What every labelling tool's export comes down to: pictures, each with shapes of some class that paint a mask."""

import base64
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from carmask.data.pairing import BadFile
from carmask.data.pairs import BadPair
from carmask.errors import DataError
from carmask.files.mask_levels import HALF, open_mask
from carmask.files.picture_limits import MAX_PIXELS
from data_scripts.outlines import Size, paint_polygons

FARTHEST = 1e7  # no pixel lies further out
MARGIN = 0.05  # share of a side by which an outline may leave the picture
UNNAMED = "unnamed"  # the class of a shape to which nobody gave one
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

Paint = Callable[[Size], np.ndarray]  # from the (height, width) of the picture to a bool mask of that size


@dataclass(frozen=True)
class Shape:
    """A shape of a class; for a box, a line or a point, which are no outline, `paint` gives where one may be."""

    label: str
    kind: str  # as its tool calls it
    paint: Paint
    is_outline: bool = True

    def __post_init__(self) -> None:
        """TypeError unless class and kind are texts: a file may hold anything."""
        if not isinstance(self.label, str) or not isinstance(self.kind, str):
            raise TypeError


@dataclass(frozen=True)
class Labelled:
    """A picture, its name in the data set, its shapes, and the (height, width) and split that the export states."""

    picture: Path
    name: str
    shapes: list[Shape]
    size: Size | None = None
    split: str | None = None


@dataclass
class Export:
    """Everything in an export: its `classes` in order, and what is bad in it with the reasons.

    `numbered`: classes may be named by their place; `void`: classes that are not judged; `layered`: a shape hides what
    stands before it.
    """

    classes: list[str] = field(default_factory=list)
    pictures: list[Labelled] = field(default_factory=list)
    bad: list[BadFile] = field(default_factory=list)
    numbered: bool = False
    layered: bool = False
    void: tuple[str, ...] = ()

    def collect(self, path: Path, items: Iterable, read: Callable[..., Labelled | None]) -> None:
        """Adds what `read` makes of each item of a file; what it refuses or cannot make out is bad."""
        for item in items:
            try:
                labelled = read(item)
            except (BadPair, DataError) as refusal:
                self.bad.append(bad_file(path, refusal))
            except MALFORMED:
                self.bad.append((path, "undecodable: an entry in it is not as the tool writes it; export it again"))
            else:
                self.pictures += [labelled] if labelled else []

    def all_classes(self) -> list[str]:
        """The classes that are declared, and those that only shapes have."""
        used = (shape.label for labelled in self.pictures for shape in labelled.shapes)
        return list(dict.fromkeys([*self.classes, *used]))


def bad_file(path: Path, refusal: Exception) -> BadFile:
    """A file with the reason why it is refused, which does not name it again."""
    return path, str(refusal).removeprefix(f"{path} ").removesuffix(".")


def numbers(values: Iterable, count: int) -> list[float]:
    """Checks that values, also numbers as text, are `count` finite numbers; ValueError if not."""
    checked = [float(value) for value in values]
    if len(checked) != count or not all(abs(value) < FARTHEST for value in checked):
        raise ValueError("These are not the numbers of a shape.")
    return checked


def stated_size(height: object, width: object) -> Size | None:
    """The size that an export states, if it does; TypeError or ValueError if these are no numbers."""
    return None if height is None or width is None else (int(str(height)), int(str(width)))


def polygon(label: str, points: Sequence, kind: str = "polygon", unit: float = 0, holes: Sequence = ()) -> Shape:
    """A polygon with holes, its points (n, 2) or (2 n) in pixels, or such that `unit` is the whole picture.

    Raises:
        ValueError: They are not points.
    """
    corners, *gaps = (np.asarray(part, float).reshape(-1, 2) for part in [points, *holes])
    if not all((np.abs(part) < FARTHEST).all() for part in [corners, *gaps]):  # NaN is not, either
        raise ValueError("These are not the points of a polygon.")
    if len(corners) < 3:
        return no_outline(label, f"{kind} of less than three points")

    def paint(size: Size) -> np.ndarray:
        scale = np.array(size[::-1]) / unit if unit else 1
        beyond = np.maximum(-corners * scale, corners * scale - size[::-1]).max(axis=0)
        if (beyond > 1 + MARGIN * np.array(size[::-1])).any():
            raise BadPair(f"outside: a {kind} of {label} leaves the picture; was it drawn on one of another size?")
        mask = paint_polygons([corners * scale], size)
        for gap in gaps:
            mask &= ~paint_polygons([gap * scale], size)
        return mask

    return Shape(label, kind, paint)


def box(label: str, corners: Iterable, kind: str, unit: float = 0, is_outline: bool = False) -> Shape:
    """A box by its left, top, right and bottom: an outline only where its tool paints it as one."""
    left, top, right, bottom = numbers(corners, 4)
    area = polygon(label, [left, top, right, top, right, bottom, left, bottom], kind, unit)
    return Shape(label, kind, area.paint, is_outline)


def no_outline(label: str, kind: str) -> Shape:
    """A line, a point or whatever else has no area; the outline of its object may be anywhere."""
    return Shape(label, kind, lambda size: np.ones(size, bool), is_outline=False)


def ellipse(label: str, values: Iterable, kind: str = "ellipse", turn: float = 0, unit: float = 0) -> Shape:
    """An ellipse by x and y of its centre and two radii, turned by `turn` radians; it may leave the picture."""
    x, y, across, along = numbers(values, 4)
    turn = numbers([turn], 1)[0]
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)

    def paint(size: Size) -> np.ndarray:
        height, width = (side / unit if unit else 1 for side in size)
        right, down = across * width * np.cos(angles), along * height * np.sin(angles)
        cosine, sine = math.cos(turn), math.sin(turn)
        points = [x * width + right * cosine - down * sine, y * height + right * sine + down * cosine]
        return paint_polygons([np.stack(points, axis=1)], size)

    return Shape(label, kind, paint)


def patch(label: str, kind: str, origin: Iterable, read: Callable[[], np.ndarray]) -> Shape:
    """A bool mask, which `read` gives, with its corner at `origin` (x, y); ValueError if these are no numbers."""
    left, top = (round(value) for value in numbers(origin, 2))

    def paint(size: Size) -> np.ndarray:
        part, mask = read(), np.zeros(size, bool)
        rows, columns = part.shape
        if min(left, top) < 0 or top + rows > size[0] or left + columns > size[1]:
            raise BadPair(f"outside: a {kind} of {label} leaves the picture; was it drawn on one of another size?")
        mask[top : top + rows, left : left + columns] = part
        return mask

    return Shape(label, kind, paint)


def bitmap(label: str, kind: str, origin: Iterable, content: bytes) -> Shape:
    """A mask stored as a picture, with its corner at `origin` (x, y); ValueError if these are no numbers."""

    def read() -> np.ndarray:
        levels = open_mask(content)
        return levels.colours > 0 if levels.alpha is None else levels.alpha >= HALF

    return patch(label, kind, origin, read)


def decoded(text: str) -> bytes:
    """The bytes that base64 stands for; ValueError or TypeError if it does not."""
    return base64.b64decode(text.partition("base64,")[2] or text, validate=True)


def runs(counts: Sequence[int], size: Size) -> np.ndarray:
    """Run lengths row by row, background first, as a bool mask; ValueError unless they fill the (height, width)."""
    if min(size) < 0 or min(counts) < 0 or sum(counts) != size[0] * size[1] or size[0] * size[1] > MAX_PIXELS:
        raise ValueError("The run lengths do not fill the mask.")
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(size)
