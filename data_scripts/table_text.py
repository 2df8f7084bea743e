"""Reads the lines of a table of strangers, whatever its encoding and its separator."""

import codecs
import csv
import io
from pathlib import Path

from carmask.errors import DataError


def read_lines(path: Path) -> tuple[list[tuple[int, list[str]]], bool]:
    """Reads number and cells of each line, the header first; and whether 0,5 is a number.

    What is blank, begins with # or is Excel's sep=; is left out.

    Raises:
        DataError: It is no text or no CSV, or has no lines.
    """
    lines = io.StringIO(decoded(path.read_bytes(), path), newline=None)
    lines = ["\n" if line.lower().startswith(("#", "sep=")) else line for line in lines]
    header = next(filter(str.strip, lines), "")
    mark = max(",;\t", key=header.count)
    if header and mark not in header:
        raise DataError(f"{path} has no commas, semicolons or tabs in its header: save the table anew as CSV.")
    reader = csv.reader(lines, delimiter=mark, strict=True, skipinitialspace=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}; mend it, or save the table anew as CSV.") from None
    rows = [(number, cells) for number, cells in rows if any(cells)]
    if not rows:
        raise DataError(f"{path} is empty: give it a header and a row for each picture.")
    return rows, mark != ","


def decoded(content: bytes, path: Path) -> str:
    """The text of a table, in UTF-8, or in UTF-16 with its mark.

    What is neither, but names its dots in plain letters, is read in the code page of Western Europe: where that is
    wrong, a file's name fits no picture.

    Raises:
        DataError: It is no text.
    """
    utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    western = content.partition(b"\n")[0].isascii()
    for encoding in ("utf-16",) if utf_16 else ("utf-8-sig", *["cp1252"] * western):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise DataError(f"{path} is no text in UTF-8: save the table as CSV in UTF-8.")
