"""Examines a data set before a long training run: decodes every pair once and lists each fault with its remedy.

    python data_scripts/doctor.py my-set --out findings

prints the findings by kind; --out also writes them to findings.json, and to findings.html with the pictures and their
masks. The exit code is 1 if there is a fault; what is only worth a look leaves it at 0.
"""

import argparse
import functools
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tqdm import tqdm

from carmask.dataset_card import SPLITS, count_line
from carmask.dataset_folder import exit_code
from carmask.pictures import pictures_below
from data_scripts.doctor_page import write_page
from data_scripts.findings import KINDS, Finding
from data_scripts.near_duplicates import near_duplicates
from data_scripts.row_checks import Examined, examine, path_of, read_dot_names, read_rows

SHOWN = 10  # findings of a kind that the text lists


def find_faults(data: Path, rows: list[dict]) -> list[Finding]:
    """Examines all rows of a data set; returns what was found, by kind."""
    dot_names = read_dot_names(data)
    results = [examine(data, row, dot_names) for row in tqdm(rows, desc="Examining", disable=None)]
    examined = [one for one, _ in results]
    found = [finding for _, findings in results for finding in findings]
    found += unlisted_files(data, rows) + duplicates(examined) + groups_in_two_splits(rows) + car_counts(examined)
    return sorted(found, key=lambda finding: list(KINDS).index(finding.kind))


def unlisted_files(data: Path, rows: list[dict]) -> list[Finding]:
    """The picture files in the folders of the splits that no row names."""
    named = {path_of(row, column) for row in rows for column in ("file_name", "mask_file_name")}
    files = [path.relative_to(data).as_posix() for split in SPLITS for path in pictures_below(data / split)]
    return [Finding("unlisted file", [file], "no row names it") for file in files if file not in named]


def duplicates(examined: list[Examined]) -> list[Finding]:
    """Pictures that look alike, each with the one it resembles most."""
    known = [one for one in examined if one.hash is not None]
    if not known:
        return []
    splits = [one.row["split"] for one in known]
    groups = [str(one.row.get("group") or path_of(one.row, "file_name")) for one in known]
    found = []
    for later, earlier, bits in near_duplicates([one.hash for one in known], splits, groups):
        kind = "duplicate" if splits[later] == splits[earlier] else "duplicate across splits"
        files = [path_of(known[index].row, "file_name") for index in (later, earlier)]
        found.append(Finding(kind, files, f"{bits} of {len(known[later].hash)} bits of their hashes differ"))
    return found


def groups_in_two_splits(rows: list[dict]) -> list[Finding]:
    """The groups with pictures in more than one split, each with its first picture there."""
    places = defaultdict(dict)
    for row in rows:
        if row.get("group"):
            places[row["group"]].setdefault(row["split"], path_of(row, "file_name"))
    return [
        Finding("group in two splits", list(files.values()), f"the group {group} is in {' and '.join(files)}")
        for group, files in places.items()
        if len(files) > 1
    ]


def car_counts(examined: list[Examined]) -> list[Finding]:
    """The splits of masks that all show no car, and the empty masks of sources whose other masks show one."""
    masked = [one for one in examined if one.car is not None]
    with_car = {(key, one.row.get(key)) for one in masked for key in ("split", "source") if one.car}
    found = [
        Finding("split without car", [f"{split}/metadata.jsonl"], f"none of its {number} masks shows a car")
        for split, number in Counter(one.row["split"] for one in masked).items()
        if ("split", split) not in with_car
    ]
    empty = [one.row for one in masked if not one.car and ("source", one.row.get("source")) in with_car]
    return found + [Finding("empty mask", [path_of(row, "file_name")], "no pixel is car") for row in empty]


def as_text(findings: list[Finding]) -> str:
    """The findings by kind, with what to do about each, the first ones of each kind in full."""
    parts = []
    for kind, (remedy, fault) in KINDS.items():
        own = [finding for finding in findings if finding.kind == kind]
        if own:
            parts.append(f"{kind}: {len(own)}{'' if fault else ' (only worth a look)'}. {remedy}")
            parts += [f"  {' and '.join(finding.files)}: {finding.reason}" for finding in own[:SHOWN]]
            parts += [f"  … and {len(own) - SHOWN} more; --out lists them all"] if len(own) > SHOWN else []
    return "\n".join(parts)


def work(data: Path, out: Path | None) -> int:
    """Examines a data set and reports; returns the exit code."""
    rows = read_rows(data)
    findings = find_faults(data, rows)
    faults = sum(KINDS[finding.kind].fault for finding in findings)
    print(f"{as_text(findings)}\n" if findings else "", end="")
    print(f"{data}: {count_line(rows)}; {faults} faults, {len(findings) - faults} worth a look.")
    if out:
        out.mkdir(parents=True, exist_ok=True)
        table = [finding._asdict() | KINDS[finding.kind]._asdict() for finding in findings]
        (out / "findings.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
        write_page(out / "findings.html", data, rows, findings)
        print(f"Written: {out / 'findings.json'} and {out / 'findings.html'}.")
    return int(faults > 0)


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data set folder, as the programs of data_scripts/ write it")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where findings.json and findings.html go")
    arguments = parser.parse_args(argv)
    return exit_code(functools.partial(work, arguments.data, arguments.out))


if __name__ == "__main__":
    sys.exit(main())
