"""Tables as CSV that a spreadsheet takes for what they are: text and numbers."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

FORMULA_STARTS = ("=", "+", "-", "@")


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV; None becomes a blank.

    A text that a spreadsheet would run as a formula, such as a stranger's file name `=1+1.png`, gets an apostrophe
    before it. Source: OWASP, https://owasp.org/www-community/attacks/CSV_Injection.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(map(harmless, rows))
    return text.getvalue()


def harmless(row: Sequence[object]) -> list:
    """A row whose texts are no formulas and lie in one line."""
    texts = [re.sub(r"[\x00-\x1f\x7f]", " ", cell) if isinstance(cell, str) else cell for cell in row]
    return [f"'{cell}" if is_formula(cell) else cell for cell in texts]


def is_formula(cell: object) -> bool:
    """Whether a spreadsheet might run a cell."""
    return isinstance(cell, str) and cell.lstrip().startswith(FORMULA_STARTS)
