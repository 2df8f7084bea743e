"""Publishes a model folder on the Hugging Face Hub, after checking it.

    carmask publish my-model anna/my-model --private

The folder must open and have its card. Only the model, its card, scores and curves go up: pictures of worst.png and
the settings of the run stay here. The card gets the scores as metadata that the Hub shows, and the licence of the
weights that the model started from. The token of `hf auth login` or of the variable HF_TOKEN is used.
"""

import argparse
import sys
from pathlib import Path

from carmask.errors import RunError
from carmask.hub.upload import upload


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns 0, or 1 if nothing was published."""
    parser = argparse.ArgumentParser(
        prog="carmask publish", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="model folder that the training program wrote")
    parser.add_argument("name", help="of the model on the Hub, such as anna/my-model")
    parser.add_argument("--private", action="store_true", help="for nobody but its owner")
    arguments = parser.parse_args(argv)
    try:
        print(upload(arguments.model.resolve(), arguments.name, arguments.private))
        return 0
    except RunError as error:
        print(f"carmask publish: {error}", file=sys.stderr)
        return 1
