"""Give it a picture of a car, get back a black and white mask."""

from carmask.pictures import PictureError, open_picture
from carmask.predictor import ModelError, Predictor

__all__ = ["ModelError", "PictureError", "Predictor", "open_picture"]
