"""Examines a data set before a long training run: decodes every pair once and lists each fault with its remedy.

    python data_scripts/doctor.py my-set --out findings

prints the findings by kind; --out also writes them to findings.json, and to findings.html with the pictures and their
masks. The exit code is 1 if there is a fault; what is only worth a look leaves it at 0.
"""

import argparse
import json
import sys
from pathlib import Path

from carmask.command_line import exit_code
from carmask.data.card import count_line
from carmask.doctor.data_set_checks import find_faults
from carmask.doctor.findings import KINDS, Finding
from carmask.doctor.page import write_page
from carmask.doctor.row_checks import listed_rows
from carmask.errors import shortened

SHOWN = 10  # findings of a kind that the text lists
LONGEST = 400  # letters of a line


def as_text(findings: list[Finding]) -> str:
    """The findings by kind, with what to do about each, the first ones of each kind in full."""
    parts = []
    for kind, (remedy, fault) in KINDS.items():
        own = [finding for finding in findings if finding.kind == kind]
        if own:
            parts.append(f"{kind}: {len(own)}{'' if fault else ' (only worth a look)'}. {remedy}")
            shown = [f"{' and '.join(finding.files)}: {finding.reason}" for finding in own[:SHOWN]]
            parts += [f"  {shortened(line, LONGEST)}" for line in shown]
            parts += [f"  … and {len(own) - SHOWN} more; --out lists them all"] if len(own) > SHOWN else []
    return "\n".join(parts)


def work(data: Path, out: Path | None) -> int:
    """Examines a data set and reports; returns the exit code."""
    rows = listed_rows(data)
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
    return exit_code(work, arguments.data, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
