"""int8 for an exported network: weights and activations of 8 bits, their ranges measured on given pictures."""

import importlib
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from carmask.inference.predictor import Predictor
from carmask.inference.runtimes import import_optional

QUANTIZED = ["Conv", "MatMul", "Gemm"]  # where the operations are; all else stays float32


def write_int8(onnx_file: Path, file: Path, pixel_values: Iterable[np.ndarray]) -> None:
    """Writes an ONNX file again with int8 products, calibrated on `pixel_values`, each (1, 3, H, W).

    Activations take 7 of their 8 bits, because processors without VNNI add pairs of products in 16 bits.

    Source: Jacob et al. 2018, https://arxiv.org/abs/1712.05877; ONNX Runtime's static quantization.

    Raises:
        RuntimeFileError: onnxruntime is not installed.
    """
    import_optional("onnxruntime")
    quantization = importlib.import_module("onnxruntime.quantization")

    class Reader(quantization.CalibrationDataReader):  # type: ignore[name-defined]  # imported above
        """Hands the pictures to the calibration one by one."""

        rest = iter(pixel_values)

        def get_next(self) -> dict[str, np.ndarray] | None:
            """The next picture's input, or None after the last."""
            pixels = next(self.rest, None)
            return None if pixels is None else {"pixel_values": pixels}

    quantization.quantize_static(
        onnx_file,
        file,
        Reader(),
        per_channel=True,
        reduce_range=True,
        op_types_to_quantize=QUANTIZED,
        weight_type=quantization.QuantType.QInt8,
        activation_type=quantization.QuantType.QUInt8,
    )


def mask_overlap(before: Predictor, after: Predictor, pictures: Iterable[Image.Image]) -> float:
    """The IoU, pooled over pictures, of the masks of two predictors; 1 if neither finds anything."""
    common, either = 0, 0
    for picture in pictures:
        masks = [predictor(picture) > 0 for predictor in (before, after)]
        common += int(np.count_nonzero(masks[0] & masks[1]))
        either += int(np.count_nonzero(masks[0] | masks[1]))
    return common / either if either else 1.0


def dots_in_common(before: Predictor, after: Predictor, pictures: Iterable[Image.Image]) -> tuple[int, int]:
    """How many dots two predictors place within 1 % of a picture's longer side of each other, and how many at all."""
    same, found = 0, 0
    for picture in pictures:
        answers = [[dot for dot in predictor(picture) if dot.x is not None] for predictor in (before, after)]
        near = max(picture.size) / 100
        pairs = sum(
            any(
                one.name == other.name and math.hypot(one.x - other.x, one.y - other.y) <= near for other in answers[1]
            )
            for one in answers[0]
        )
        same, found = same + pairs, found + sum(map(len, answers)) - pairs
    return same, found
