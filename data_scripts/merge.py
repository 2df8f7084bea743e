"""Merges data sets of these programs into one; names and groups get their source in front so that nothing clashes."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from carmask.command_line import exit_code
from carmask.data.card import common_object, count_line, grouped_by_of
from carmask.data.folder import finish_data_set, link_example, staged_folder, stem_of
from carmask.data.layout import SPLITS, file_inside, read_dot_names
from carmask.doctor.row_checks import check_dots, listed_rows, path_of
from carmask.errors import DataError, shortened


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="data set folder to write")
    parser.add_argument("sources", type=Path, nargs="+", help="data sets to merge")
    parser.add_argument("--overwrite", action="store_true", help="replace an older data set at OUT")
    arguments = parser.parse_args(argv)
    return exit_code(merge, arguments)


def merge(arguments: argparse.Namespace) -> int:
    """Writes the merged data set; returns the exit code."""
    with staged_folder(arguments.out, arguments.overwrite) as staged:
        rows = merge_into(staged, arguments.sources, arguments.out.resolve().name)
    sys.stderr.write(f"{arguments.out}: {count_line(rows)}.\n")
    return 0


def merge_into(staged: Path, sources: list[Path], title: str) -> list[dict]:
    """Writes the union of data sets into an empty folder; returns its rows, each with its `split`.

    Raises:
        DataError: One of them is no data set, or they are of different objects, or share neither masks nor dots.
    """
    data_sets = [(source, data_set_rows(source)) for source in sources]
    dot_names, object_name = common_dot_names(sources), common_object(sources)
    if all("mask_file_name" in row for _, rows in data_sets for row in rows):
        lost = []
    else:
        lost = ["mask_file_name"]
        if any("mask_file_name" in row for _, rows in data_sets for row in rows):
            sys.stderr.write("Some pictures have no mask: the merged data set has none.\n")
    lost += [] if dot_names else ["dots"]
    if len(lost) == 2:
        raise DataError("Some data sets have no masks and others not the same dots, so nothing joins them.")
    taken, merged = set(), []
    for source, rows in data_sets:
        for row in rows:
            group, name = (prefixed(row["source"], name) for name in (row["group"], stem_of(row)))
            kept = {column: value for column, value in row.items() if column not in lost} | {"group": group}
            merged.append(link_example(kept, source / row["split"], staged, name, taken))
    grouped_by = " and ".join(dict.fromkeys(filter(None, map(grouped_by_of, sources))))
    finish_data_set(staged, merged, title, dot_names, object_name, grouped_by)
    return merged


def data_set_rows(data_set: Path) -> list[dict]:
    """Reads the rows of a data set, each with its `split`.

    Raises:
        DataError: The folder is no data set, or a table is empty, or a row stands twice, names a file outside the
            folder, or has no such dots as it should.
    """
    rows = listed_rows(data_set)
    if any(row.get(column) is None for row in rows for column in ("file_name", "source", "group")):
        raise DataError(f"{data_set} is no data set of these programs: make one with a program of data_scripts.")
    names = read_dot_names(data_set)
    for row, times in Counter((row["split"], str(row["file_name"])) for row in rows).items():
        if times > 1:
            raise DataError(f"{data_set / row[0]}/metadata.jsonl lists {shortened(row[1])} twice: take one line out.")
    for split in SPLITS:
        if (data_set / split / "metadata.jsonl").is_file() and not any(row["split"] == split for row in rows):
            raise DataError(f"{data_set / split}/metadata.jsonl is empty: mend it, or delete the folder.")
    for row in rows:
        for column in {"file_name", "mask_file_name"} & row.keys():
            if file_inside(data_set, row["split"], row[column]) is None:
                where = f"{data_set / row['split']}/metadata.jsonl"
                name = shortened(row[column])
                raise DataError(f"{where}: {column} {name} is no file in the data set; mend its line, or take it out.")
        if names and (not isinstance(row.get("dots"), list) or check_dots("", row["dots"], names)):
            file = shortened(path_of(row, "file_name"))
            raise DataError(f"{data_set}: {file} has other dots than dot_names.json says; see data_scripts/doctor.py.")
    return rows


def common_dot_names(sources: list[Path]) -> list[str] | None:
    """Returns the dot names if all data sets have the same; says so where dots are lost.

    Raises:
        DataError: A list of names is damaged.
    """
    found = [read_dot_names(source) or None for source in sources]
    if any(found) and any(names != found[0] for names in found):
        sys.stderr.write("The data sets do not all have the same dots: the merged one has none.\n")
        return None
    return found[0]


def prefixed(source: str, name: str) -> str:
    """Puts the source in front of a name, unless it is there already."""
    return name if name.startswith(f"{source}_") else f"{source}_{name}"


if __name__ == "__main__":
    sys.exit(main())
