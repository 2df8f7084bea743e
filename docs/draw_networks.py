"""Draws docs/networks-*.png from the networks themselves: every shape and every height is read while a picture passes.

python docs/draw_networks.py
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn
from transformers import PreTrainedModel, SegformerConfig, SegformerForSemanticSegmentation

from carmask.networks.fcn import FcnConfig, FcnForSemanticSegmentation
from carmask.networks.initial_weights import HEAD_CHANNELS
from carmask.networks.segformer import fold
from carmask.networks.unet import UnetConfig, UnetForSemanticSegmentation

HERE = Path(__file__).resolve().parent
SIDE = 512
WIDE, HIGH = 1.5, 0.6  # of a box
COLOURS = {"picture": "#eeeeee", "down": "#cfe3f7", "score": "#fde5c0", "up": "#d3efd2", "answer": "#f6cfd0"}


class Box(NamedTuple):
    """One step of a network: its column, its words, its colour in COLOURS, and the name of the shape it shows."""

    x: float
    words: str
    colour: str
    shape: str


class Arrow(NamedTuple):
    """A way from one box to another, by their names; `bend` as matplotlib's arc3 takes it."""

    start: str
    end: str
    words: str = ""
    bend: float = 0.0


def shapes_of(network: PreTrainedModel) -> dict[str, tuple[int, ...]]:
    """The shape (channels, height, width) of what goes into and comes out of each module for one square picture."""
    shapes = {"picture": (3, SIDE, SIDE)}

    def note(name: str) -> Callable:
        def hook(module: nn.Module, inputs: tuple, output: object) -> None:
            ends = {f"into {name}": inputs[0] if inputs else None, name: output}
            maps = {key: value for key, value in ends.items() if isinstance(value, Tensor)}
            if name == "backbone":
                maps |= {f"backbone {k}": stage for k, stage in enumerate(output.feature_maps)}
            shapes.update({key: tuple(value.shape[1:]) for key, value in maps.items()})

        return hook

    for name, module in network.named_modules():
        module.register_forward_hook(note(name))
    with torch.inference_mode():
        logits = network.eval()(torch.zeros(1, *shapes["picture"])).logits
    return shapes | {"logits": tuple(logits.shape[1:])}


def draw(title: str, shapes: dict, boxes: dict[str, Box], arrows: list[Arrow]) -> Figure:
    """Draws boxes, each at the height of its stride, and the arrows between them."""
    places = {name: (box.x, -math.log2(SIDE / shapes[box.shape][1])) for name, box in boxes.items()}
    columns = [x for x, _ in places.values()]
    rows = sorted({y for _, y in places.values()}, reverse=True)
    rank = {y: -1.25 * index for index, y in enumerate(rows)}  # strides that do not occur leave no gap
    places = {name: (x, rank[y]) for name, (x, y) in places.items()}
    left, right, bottom = min(columns) - WIDE, max(columns) + 0.7 * WIDE, rank[rows[-1]] - 0.6
    figure = Figure(figsize=((right - left) * 0.92, (0.9 - bottom) * 0.92), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(left, right), ylim=(bottom, 0.85))
    axes.axis("off")
    axes.set_title(title, fontsize=14, fontweight="bold")
    for y in rows:
        axes.axhline(rank[y], color="#dddddd", linewidth=0.8, zorder=0)
        axes.text(left, rank[y] + 0.06, f"1/{2**-y:g}" if y else "full size", fontsize=9, color="#777777")
    for arrow in arrows:
        draw_arrow(axes, places[arrow.start], places[arrow.end], arrow)
    for name, box in boxes.items():
        draw_box(axes, places[name], box, shapes[box.shape])
    return figure


def draw_box(axes: Axes, place: tuple[float, float], box: Box, shape: tuple[int, ...]) -> None:
    """A filled box with its words and its shape."""
    words = f"{box.words}\n$\\bf{{{shape[0]}}}$ × {shape[1]} × {shape[2]}"
    frame = {"boxstyle": "round,pad=0.35", "facecolor": COLOURS[box.colour], "edgecolor": "#666666"}
    axes.text(*place, words, ha="center", va="center", fontsize=9.5, linespacing=1.35, bbox=frame, zorder=3)


def draw_arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], arrow: Arrow) -> None:
    """An arrow between the borders of two boxes, with words beside its middle."""
    (x, y), (to_x, to_y) = start, end
    if abs(to_x - x) > WIDE / 2 and y == to_y:
        x, to_x = (x + WIDE / 2, to_x - WIDE / 2) if to_x > x else (x - WIDE / 2, to_x + WIDE / 2)
    else:
        y, to_y = (y - HIGH / 2, to_y + HIGH / 2) if to_y < y else (y + HIGH / 2, to_y - HIGH / 2)
    style = {"arrowstyle": "-|>", "color": "#444444", "connectionstyle": f"arc3,rad={arrow.bend}", "shrinkA": 0}
    axes.annotate("", (to_x, to_y), (x, y), arrowprops=style | {"shrinkB": 0}, zorder=2)
    if arrow.words:
        middle = ((x + to_x) / 2, (y + to_y) / 2 + (0.13 if y == to_y else 0))
        frame = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.9}
        axes.text(
            *middle, arrow.words, ha="center", va="center", fontsize=8.5, color="#333333", bbox=frame, zorder=2.5
        )


def segformer() -> Figure:
    """SegFormer-B0: four transformer stages, and the head folded into one 1×1 convolution per stage."""
    network = fold(SegformerForSemanticSegmentation(SegformerConfig()))
    shapes = shapes_of(network)
    boxes = {"picture": Box(0, "picture", "picture", "picture")}
    arrows = [Arrow("picture", "stage 1", "7×7 patches, step 4")]
    stages = len(network.segformer.stages)
    for k in range(1, stages + 1):
        stage = shapes[f"segformer.stages.{k - 1}"]
        shapes[f"folded {k}"] = (shapes["into decode_head.classifier"][0], *stage[1:])
        boxes[f"stage {k}"] = Box(
            0, f"stage {k}: {network.config.depths[k - 1]} blocks", "down", f"segformer.stages.{k - 1}"
        )
        boxes[f"folded {k}"] = Box(3, "folded 1×1", "score", f"folded {k}")
        arrows.append(Arrow(f"stage {k}", f"folded {k}"))
        if k > 1:
            arrows.append(Arrow(f"stage {k - 1}", f"stage {k}", "3×3 patches, step 2"))
    return finish_segformer(shapes, boxes, arrows, stages)


def finish_segformer(shapes: dict, boxes: dict[str, Box], arrows: list[Arrow], stages: int) -> Figure:
    """Adds the sum of the stages and the answer."""
    boxes["sum"] = Box(5.6, "sum, norm, ReLU", "up", "into decode_head.classifier")
    boxes["logits"] = Box(8.1, "1×1: logits", "answer", "logits")
    boxes["mask"] = Box(8.1, "mask", "picture", "mask")
    shapes["mask"] = (1, SIDE, SIDE)
    arrows += [Arrow("folded 1", "sum")]
    arrows += [Arrow(f"folded {k}", "sum", f"bilinear ×{2 ** (k - 1)}", 0.12) for k in range(2, stages + 1)]
    arrows += [Arrow("sum", "logits"), Arrow("logits", "mask", "bilinear ×4, threshold")]
    return draw("SegFormer-B0", shapes, boxes, arrows)


def fcn() -> Figure:
    """FCN-8s: scores of three stages of a classifier, coarse to fine."""
    config = FcnConfig(skips=2, head_channels=HEAD_CHANNELS)
    network = FcnForSemanticSegmentation(config)
    shapes = shapes_of(network) | {"mask": (1, SIDE, SIDE)}
    boxes = {"picture": Box(0, "picture", "picture", "picture")}
    arrows = []
    stages = len(network.backbone.channels)
    for k in range(stages):
        boxes[f"stage {k}"] = Box(0, f"classifier, stage {k + 1}", "down", f"backbone {k}")
        arrows.append(Arrow(f"stage {k - 1}" if k else "picture", f"stage {k}"))
    for k in range(config.skips + 1):
        boxes[f"score {k}"] = Box(2.8, "1×1 scores", "score", f"scores.{k}")
        boxes[f"maps {k}"] = Box(5.6, "add, 3×3 smooth" if k else "3×3 smooth", "up", f"smooth.{k}")
        arrows.append(Arrow(f"stage {stages - 1 - k}", f"score {k}", "skip" if k else ""))
        arrows.append(Arrow(f"score {k}", f"maps {k}"))
        if k:
            arrows.append(Arrow(f"maps {k - 1}", f"maps {k}", "bilinear ×2"))
    boxes["logits"] = Box(8.2, "1×1: logits", "answer", "logits")
    boxes["mask"] = Box(8.2, "mask", "picture", "mask")
    arrows += [Arrow(f"maps {config.skips}", "logits"), Arrow("logits", "mask", "bilinear ×8, threshold")]
    return draw("FCN-8s on EfficientNet-Lite0", shapes, boxes, arrows)


def unet() -> Figure:
    """The U-Net: down by pooling, up by 2×2 up-convolutions, joined at equal sizes."""
    config = UnetConfig()
    shapes = shapes_of(UnetForSemanticSegmentation(config))
    shapes["seen"] = shapes["into contract.0"]
    step, depth = 1.25, config.depth
    boxes = {"picture": Box(-2.2, "grey picture", "picture", "seen")}
    arrows = [Arrow("picture", "down 0")]
    for k in range(depth + 1):
        boxes[f"down {k}"] = Box(k * step, "two 3×3", "down", f"contract.{k}")
        if k:
            arrows.append(Arrow(f"down {k - 1}", f"down {k}", "pool 2×2"))
    for k in range(depth):
        level = depth - 1 - k
        boxes[f"up {level}"] = Box((2 * depth - level) * step, "two 3×3", "up", f"expand.{k}")
        below = f"up {level + 1}" if k else f"down {depth}"
        arrows += [Arrow(below, f"up {level}", "up 2×2"), Arrow(f"down {level}", f"up {level}", "join")]
    boxes["logits"] = Box(2 * depth * step + 2.2, "1×1: logits", "answer", "logits")
    arrows.append(Arrow("up 0", "logits"))
    return draw(f"U-Net, depth {depth}, first width {config.first_width}", shapes, boxes, arrows)


def main() -> None:
    """Reads the command line and writes one PNG per network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HERE, help="folder for the three PNGs (%(default)s)")
    arguments = parser.parse_args()
    for name, figure in {"segformer": segformer, "fcn": fcn, "unet": unet}.items():
        figure().savefig(arguments.output / f"networks-{name}.png", dpi=90)


if __name__ == "__main__":
    main()
