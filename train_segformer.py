"""Fine-tunes a network to draw masks or to place dots: data set in, model folder out.

    python train_segformer.py --data my-set --output my-model
    python train_segformer.py --data my-set --output my-model --task dots

A plain SegFormer by default; `--network fcn` and `--network unet` train the two classic networks the same way. The
options are in carmask/training/config.py, the steps of a run in carmask/training/run.py.
"""

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from transformers.hf_argparser import HfArgumentParser

from carmask.errors import RunError
from carmask.training.config import HEADINGS, TrainConfig, check
from carmask.training.output_folder import resume_hint


class OptionParser(HfArgumentParser):
    """Shows the options under their headings, with dashes; underscores are read as well."""

    group: argparse._ArgumentGroup | None = None

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:  # noqa: ANN401 - as argparse
        """Adds an option that has all `names` and is shown by the last one, to the latest group or a new one."""
        name, default = names[0].removeprefix("--"), settings.get("default")
        if name in HEADINGS:
            self.group = self.add_argument_group(HEADINGS[name])
        if self.group is None:  # --help itself
            return super().add_argument(*names, **settings)
        if isinstance(default, bool):
            settings["metavar"] = "yes|no"
        elif default not in (None, "", []):
            settings["help"] = f"{settings['help']} (default: %(default)s)"
        action = self.group.add_argument(*names, **settings)
        action.option_strings = [names[-1]]
        return action


def main() -> int:
    """Trains as the command line says; returns the exit code."""
    parser = OptionParser(TrainConfig, description=__doc__.splitlines()[0], formatter_class=argparse.HelpFormatter)
    config, unknown = parser.parse_args_into_dataclasses(return_remaining_strings=True)
    if unknown:
        parser.error(f"there is no option {unknown[0]}; --help lists them all")
    try:
        check(config)
        import_module("carmask.training.run").train(config)  # torch takes seconds, which no refusal should wait for
        return 0
    except RunError as error:
        sentence, this_process_only = str(error), error.this_process_only
    except KeyboardInterrupt:
        sentence, this_process_only = f"Stopped at once.{resume_hint(Path(config.output))}", False
    if this_process_only or os.environ.get("RANK", "0") == "0":
        print(f"train_segformer: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
