"""Give it a picture, get back the object as a black and white mask, or named dots."""

from importlib import import_module

HOMES = {
    "Dot": "tasks.dots_task",
    "ModelError": "errors",
    "PictureError": "errors",
    "Predictor": "inference.predictor",
    "open_picture": "files.pictures",
}
__all__ = list(HOMES)


def __getattr__(name: str) -> object:
    """Imports what is asked for when it is asked for, so that a program without a network starts without torch."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
