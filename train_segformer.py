"""Fine-tunes a network to draw masks or to place dots: data set in, model folder out.

    python train_segformer.py --data my-set --output my-model
    python train_segformer.py --data my-set --output my-model --task dots

A plain SegFormer by default; `--network fcn` and `--network unet` train the two classic networks the same way. The
options are in carmask/training/config.py, the steps of a run in carmask/training/run.py.
"""

import os
import sys
from importlib import import_module

from transformers.hf_argparser import HfArgumentParser

from carmask.errors import RunError
from carmask.training.config import TrainConfig, check
from carmask.training.output_folder import resume_hint


def main() -> int:
    """Trains as the command line says; returns the exit code."""
    parser = HfArgumentParser(TrainConfig, description=__doc__.splitlines()[0])
    config, unknown = parser.parse_args_into_dataclasses(return_remaining_strings=True)
    if unknown:
        parser.error(f"there is no option {unknown[0]}; --help lists them all")
    try:
        check(config)
        import_module("carmask.training.run").train(config)  # torch takes seconds, and no refusal waits for it
        return 0
    except RunError as error:
        sentence, this_process_only = str(error), error.this_process_only
    except KeyboardInterrupt:
        sentence, this_process_only = f"Stopped at once.{resume_hint(config.output)}", False
    if this_process_only or os.environ.get("RANK", "0") == "0":
        print(f"train_segformer: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
