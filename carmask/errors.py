"""The errors that more than one room knows; each is said to a person in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager


class DataError(ValueError):
    """The whole job cannot be done; the text is one sentence for a person."""


class PictureError(ValueError):
    """A picture that is refused; the text is one sentence for a person and holds no path or file name."""


class RunError(ValueError):
    """Says in one sentence why a run cannot start or go on, or its model not be published.

    `this_process_only`: of several processes perhaps this one alone knows it, so it says it itself.
    """

    def __init__(self, sentence: str, this_process_only: bool = False):
        """Keeps both."""
        super().__init__(sentence)
        self.this_process_only = this_process_only


class NetworkError(ValueError):
    """Says in one sentence why a network cannot be built."""


class ModelError(ValueError):
    """Says in one sentence why a model cannot be used."""


class RuntimeFileError(ValueError):
    """Says in one sentence why an exported network cannot be used."""


class ExportError(ValueError):
    """Says in one sentence why a model cannot be exported."""


class StaleFileError(RuntimeFileError):
    """Says in one sentence that an exported network is not of the weights beside it."""


@contextmanager
def refused_as(kind: type[ValueError], sentence: str, *passing: type[Exception]) -> Iterator[None]:
    """Around a foreign reader of untrusted bytes: whatever fails in the block, of whatever class, is one sentence.

    An error of the `kind` itself, or one that is `passing`, stays as it is.

    Raises:
        kind: something failed.
    """
    try:
        yield
    except (kind, *passing):
        raise
    except Exception as error:  # here and nowhere else: any list of classes misses one
        raise kind(sentence) from error


def shortened(value: object, longest: int = 80) -> str:
    """What a file says, as a part of a sentence: printable, in one line, and no longer than `longest` letters."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in str(value)).split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def first_line(error: Exception) -> str:
    """The first line of a library's words, as the end of a sentence of ours."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".") + "."
