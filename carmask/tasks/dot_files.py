"""Dots as text: JSON for one picture, one CSV for many; x and y are pixels of the upright picture, counted from 0."""

import json
from collections.abc import Iterable, Sequence

from carmask.files.tables import as_csv
from carmask.tasks.dots_task import Dot

COLUMNS = ("name", "x", "y", "score")


def rounded(dot: Dot) -> Dot:
    """A dot to the hundredth of a pixel; x and y stay None where it is not in the picture."""
    x, y = (None if place is None else round(float(place), 2) for place in (dot.x, dot.y))
    return Dot(dot.name, x, y, round(float(dot.score), 4))


def dots_as_json(file: str, size: tuple[int, int], dots: Sequence[Dot]) -> str:
    """The dots of the picture `file` of `size` (height, width); x and y are null for a dot that is not in it."""
    height, width = size
    answer = {"file": file, "width": width, "height": height, "dots": [rounded(dot)._asdict() for dot in dots]}
    return json.dumps(answer, ensure_ascii=False, indent=1) + "\n"


def dots_as_csv(answers: Iterable[tuple[str, Sequence[Dot]]]) -> str:
    """The dots of many pictures, (file, dots) each: one line a dot, x and y blank where it is not in the picture."""
    rows = ((file, *rounded(dot)) for file, dots in answers for dot in dots)
    return as_csv(("file", *COLUMNS), rows)
