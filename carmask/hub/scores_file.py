"""The scores.json of a model folder, and what its scores cannot tell."""

import json
from pathlib import Path

OLD_KEY = "false_car_share", "false_positive_share"  # how the scores of older models are read


def read_scores(folder: Path) -> dict:
    """The scores.json of a model folder: its `scores` by split and source, and the `history` of its training."""
    return json.loads((folder / "scores.json").read_text(encoding="utf-8").replace(*OLD_KEY))


def without_object(scores: dict[str, float]) -> bool:
    """Whether scores as `carmask.evaluation.validation.validate` gives them are of pictures without the object alone.

    Then IoU is all or nothing and says no more. A network that finds no pixel of any object has an IoU of 0 as well,
    but no false positives.
    """
    if "false_positive_share" not in scores or "iou_low" in scores:
        return False
    return scores["iou"] == 1 or scores["iou"] == 0 and scores["false_positive_share"] > 0
