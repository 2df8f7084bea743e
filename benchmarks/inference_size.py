"""Measures at which size a network should see pictures: IoU on validation, and milliseconds a picture.

    python benchmarks/inference_size.py models/car-mask-b0 --data data/mixture

The choice is made with `--side` of train_segformer.py, which stores it in the model folder.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from transformers import SegformerImageProcessorPil

from carmask import ModelError, Predictor
from carmask.dataset_folder import DataError
from carmask.reports import validate
from carmask.rows import open_data

KEPT = [{"max_height": side, "max_width": side} for side in (256, 320, 384, 448, 512, 640)]
SQUARE = [{"height": side, "width": side} for side in (384, 512)]


def main() -> None:
    """Reads the command line and prints one line per size, each over the same pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model folder")
    parser.add_argument("--data", required=True, help="data set folder")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture of validation")
    arguments = parser.parse_args()
    try:
        split = open_data(arguments.data)["validation"]
        predictor = Predictor.from_pretrained(arguments.model)
    except (DataError, ModelError) as error:
        sys.exit(str(error))
    split = split.select(range(0, len(split), arguments.every))
    for size in KEPT + SQUARE:
        processor = SegformerImageProcessorPil(size=size)
        start = time.monotonic()
        scores, _ = validate(replace(predictor, processor=processor), split)
        milliseconds = (time.monotonic() - start) / len(split) * 1000
        by_source = ", ".join(f"{source} {values['iou']:.3f}" for source, values in scores.items() if source != "all")
        print(f"{size}: {scores['all']['balanced_iou']:.4f} ({by_source}), {milliseconds:.0f} ms", flush=True)


if __name__ == "__main__":
    main()
