"""Prints how good models are on a data set's split, through the predictor, at full resolution.

python benchmarks/accuracy.py models/car-mask-b0 --data data/mixture --split test
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from carmask import Predictor
from carmask.reports import score_table, validate
from carmask.rows import open_data


def main() -> None:
    """Reads the command line and prints one table per model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="model folders")
    parser.add_argument("--data", required=True, help="data set folder")
    parser.add_argument("--split", default="test")
    arguments = parser.parse_args()
    split = open_data(arguments.data)[arguments.split]
    for model in arguments.models:
        scores, _ = validate(Predictor.from_pretrained(model), split)
        print(f"\n{model} on {arguments.split} ({len(split)} pictures)\n\n{score_table(scores)}")


if __name__ == "__main__":
    main()
