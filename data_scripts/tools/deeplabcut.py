"""DeepLabCut's table of points: three rows of header, scorer, bodyparts and coords, and a name in one cell or three.

Source: github.com/DeepLabCut/DeepLabCut, docs/standardDeepLabCut_UserGuide.md.
"""

from pathlib import Path

from carmask.errors import DataError


def header(lines: list[tuple[int, list[str]]], path: Path) -> list[str]:
    """The header of a table whose own three, as DeepLabCut writes them, are scorer, bodyparts and coords.

    Raises:
        DataError: It has others, such as one for several animals in a picture.
    """
    heads = [cells[0].lower() for _, cells in lines[:4]]
    if "individuals" in heads:
        raise DataError(f"{path} has points of several animals in a picture: export a table for each of them.")
    if heads[1:3] != ["bodyparts", "coords"]:
        raise DataError(f"{path} does not begin with DeepLabCut's rows scorer, bodyparts, coords: export it anew.")
    first = index_columns(lines)
    return ["file", *map("_".join, zip(lines[1][1][first:], lines[2][1][first:], strict=False))]


def rows(lines: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """The rows below DeepLabCut's header; a name in three cells, labeled-data, video and picture, becomes one."""
    first = index_columns(lines)
    return [(number, ["/".join(filter(None, cells[:first])), *cells[first:]]) for number, cells in lines[3:]]


def index_columns(lines: list[tuple[int, list[str]]]) -> int:
    """How many of DeepLabCut's columns name the picture: those before the first x."""
    coords = [cell.lower() for cell in lines[2][1]]
    return coords.index("x") if "x" in coords else 1
