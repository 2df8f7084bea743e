"""Types of command-line options, and what becomes of an error: shared by every program."""

import argparse
import sys
from collections.abc import Callable

from PIL import Image

from carmask.errors import DataError


def exit_code(work: Callable[..., int], *arguments: object) -> int:
    """Runs a program's work on its arguments; a refusal or a failing disk becomes one sentence and exit code 1."""
    try:
        return work(*arguments)
    except DataError as error:
        sentence = str(error)
    except KeyboardInterrupt:
        sentence = "Stopped; nothing was written."
    except Image.DecompressionBombError:
        sentence = "A picture or mask has more than 179 megapixels; data_scripts/doctor.py names it."
    except OSError as error:
        sentence = f"{error.filename or 'The disk'}: {error.strerror or error}."
    sys.stderr.write(sentence + "\n")
    return 1


def positive_number(text: str) -> int:
    """Reads a whole number from 1 up, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 up, not {text}")
    return int(text)


def natural_number(text: str) -> int:
    """Reads a whole number from 0 up, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 up, not {text}")
    return int(text)


def percent(text: str) -> tuple[int, int, int]:
    """Reads "80,10,10" as (80, 10, 10).

    Raises:
        ValueError: The text is not three whole numbers that add up to 100.
    """
    train, validation, test = (int(part) for part in text.split(","))
    if min(train, validation, test) < 0 or train + validation + test != 100:
        raise ValueError(f"{text} does not add up to 100.")
    return train, validation, test


def probability(text: str) -> float:
    """Reads a threshold, a number between 0 and 1 (both excluded)."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return value


def times(text: str) -> float:
    """Reads how many times as large the network shall see a picture, from 1 to 100."""
    value = float(text)
    if not 1 <= value <= 100:
        raise argparse.ArgumentTypeError("must be between 1 and 100")
    return value
