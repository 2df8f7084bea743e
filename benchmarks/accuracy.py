"""Prints how good models are on a data set's split, through the predictor, at full resolution.

python benchmarks/accuracy.py models/car-mask-b0 --data data/mixture --split test
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from carmask import ModelError, Predictor
from carmask.__main__ import times
from carmask.dataset_folder import DataError
from carmask.dot_rows import open_dots
from carmask.reports import score_table, validate
from carmask.rows import open_data


def main() -> None:
    """Reads the command line and prints one table per model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="model folders")
    parser.add_argument("--data", required=True, help="data set folder")
    parser.add_argument("--split", help="default: test if there is one, else validation")
    parser.add_argument("--tiles", type=times, default=1.0, help="see pictures so many times as large, in pieces")
    arguments = parser.parse_args()
    try:
        for model in arguments.models:
            predictor = replace(Predictor.from_pretrained(model), tiles=arguments.tiles)
            if predictor.task.kind == "dots":
                splits, _ = open_dots(arguments.data, predictor.task.entries)
            else:
                splits = open_data(arguments.data)
            name = arguments.split or ("test" if "test" in splits else "validation")
            if name not in splits:
                raise DataError(f"The data set {arguments.data} has no split {name}; it has {', '.join(splits)}.")
            scores, _ = validate(predictor, splits[name])
            print(f"\n{model} on {name} ({len(splits[name])} pictures)\n\n{score_table(scores)}")
    except (DataError, ModelError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
