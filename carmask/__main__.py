"""The command `carmask`: one subcommand for each thing that is done with a model."""

import io
import os
import sys
from importlib import import_module

COMMANDS = {
    "predict": "pictures in, a mask or a file of dots per picture out",
    "tune": "find the size, the threshold and whether to mirror at which a model is best",
    "compare": "say whether one model is better than another, and how sure that is",
    "uncertain": "find the pictures to label next",
    "export": "write a model for ONNX Runtime or OpenVINO, or a site that needs no server",
    "publish": "put a model folder on the Hugging Face Hub",
}
USAGE = "usage: carmask COMMAND [options]; carmask COMMAND --help lists them\n\n" + "\n".join(
    f"  {name:<10} {purpose}" for name, purpose in COMMANDS.items()
)


def main(argv: list[str] | None = None) -> int:
    """Runs the subcommand that the command line names; returns its exit code."""
    name, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help"):
        print(USAGE)
        return 0
    if name not in COMMANDS:
        print(f"carmask: there is no command {name}; choose one of {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every console, nor a file on Windows, has the minus of a table
    try:
        code = import_module(f"carmask.commands.{name}").main(rest)  # torch takes seconds, and no help waits for it
        if sys.stdout:  # none where it is closed
            sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read along has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end of Python
        return 1
    except ModuleNotFoundError as error:
        if (error.name or "carmask").startswith("carmask"):
            raise
        wanted = "export" if name == "export" else "train"
        remedy = f"run pip install '.[{wanted}]' in a checkout"
        print(f"carmask {name}: {error.name} is not installed; {remedy}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"carmask {name}: stopped; what is written so far is whole.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
