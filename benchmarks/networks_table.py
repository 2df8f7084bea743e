"""The rows of compare_networks.py, and their table, measured from the model folders of the finished ones."""

import json
from functools import partial
from pathlib import Path

from PIL import Image

from benchmarks.machine import median_seconds
from carmask.hub.model_card import markdown_table
from carmask.inference.loading import EMBEDDED
from carmask.inference.model_folder import SETTINGS
from carmask.inference.predictor import Predictor
from carmask.inference.torch_network import load_network

PROCESSES, CROP, SIDE = 2, 192, 384
SAME = f"--batch-size 16 --crop {CROP} --side {SIDE} --workers 1 --seed 0"
TEACHER = EMBEDDED["mask"]
ROWS = {  # folder: title and what differs; newly initialised parts learn 5 times as fast
    "segformer-scratch": (
        "SegFormer-B0, random weights",
        "--network segformer --model scratch-b0 --learning-rate 2e-4",
    ),
    "segformer-taught": (
        "the same, with a teacher",
        "--network segformer --model scratch-b0 --learning-rate 3e-4 --teacher {teacher} --teacher-features",
    ),
    "segformer-start": ("SegFormer-B0, our own start", "--network segformer --model {own_start} --learning-rate 1e-3"),
    "fcn8": (
        "FCN-8s, EfficientNet-Lite0 with ImageNet weights",
        "--network fcn --model efficientnet-lite0 --settings skips=2 head_channels=64 --learning-rate 4e-4",
    ),
    "unet": (
        "U-Net, first width 16, random weights",
        "--network unet --model scratch --settings first_width=16 --learning-rate 1e-3",
    ),
}
REPEATS = 15
PLAN = "plan.json"


def milliseconds(predictor: Predictor) -> float:
    """Median time of the network on a picture of 4:3 at the size at which it sees it."""
    pixel_values = predictor.pixel_values(Image.effect_noise((640, 480), 64))
    return median_seconds(partial(predictor.network, pixel_values), REPEATS) * 1000


def table_row(row: str, out: Path, sources: list[str]) -> list[str]:
    """One row of the table, measured from the model folder of a finished row."""
    network = load_network(out / row)
    timed = json.loads((out / PLAN).read_text(encoding="utf-8"))["plan"][row]
    scores = json.loads((out / row / "scores.json").read_text(encoding="utf-8"))["scores"]["test"]
    batch = json.loads((out / row / SETTINGS).read_text(encoding="utf-8"))["batch_size"]
    return [
        ROWS[row][0],
        f"{sum(value.numel() for value in network.parameters()) / 1e6:.2f}",
        str(timed["steps"]),
        f"{batch / timed['seconds_per_step']:.1f}",
        f"{milliseconds(Predictor.from_pretrained(out / row, runtime='torch')):.0f}",
        *(f"{scores[source][score]:.3f}" for source in sources for score in ("iou", "boundary_iou")),
        f"{(out / row / 'model.safetensors').stat().st_size / 1e6:.1f}",
    ]


def table(rows: list[str], out: Path, sources: list[str]) -> str:
    """The whole table as Markdown."""
    scores = [f"{source} {score}" for source in sources for score in ("IoU", "boundary IoU")]
    head = ["network and start", "parameters (M)", "steps", "training pictures/s", "inference ms"]
    return markdown_table([[*head, *scores, "MB"], *(table_row(row, out, sources) for row in rows)])


def conditions(data: str, minutes: float, own_start: str) -> str:
    """What was the same for every row, and what the start of our own has seen."""
    file = Path(own_start) / SETTINGS
    seen = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    story = f"the model folder {own_start}"
    if seen:
        taught = f", taught by {seen['teacher']}" if seen.get("teacher") else ""
        story += f", {seen['steps']} steps on {seen['data']} from {seen['model'] or 'the usual start'}{taught}"
    same_data = " So it saw these training pictures, and its teacher too." if seen.get("data") == data else ""
    return (
        f"Each row: {minutes:g} minutes of steps, without reading and scoring, on the pictures of {data}, "
        f"with the same augmentation, crops of {CROP} × {CROP}, {PROCESSES} processes of one thread, 8 crops each. "
        f"Scores: test split, full size; a SegFormer sees {SIDE} × {SIDE} pixels, the others a long side "
        f"of {SIDE}. Inference: two threads, a 4:3 picture. The teacher: {TEACHER.name}.\n"
        f"Our own start: {story}.{same_data}"
    )
