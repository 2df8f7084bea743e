"""Flat drawings, as a child or an icon has them: a car of four shapes, or a house, between plain sky and ground."""

import io

import numpy as np
from PIL import Image, ImageDraw

HOUSES = 0.3  # share of the drawings that show a house and no car, so that not any box is one


def draw_flat(seed: int, index: int) -> tuple[Image.Image, Image.Image]:
    """Draws flat picture number `index` of the series `seed`: RGB, and its mask, L of 0 and 255, of the same size."""
    random = np.random.default_rng([seed, index])
    width, height = (int(side) for side in random.integers((96, 64), (420, 300)))
    grey = random.integers(0, 256, 6)
    grey[2] = (grey[1] + random.integers(60, 196)) % 256  # the body is not as grey as the ground
    picture, mask = Image.new("L", (width, height), int(grey[0])), Image.new("L", (width, height))
    horizon = random.uniform(0.45, 0.8) * height
    ImageDraw.Draw(picture).rectangle((0, horizon, width, height), fill=int(grey[1]))
    half = random.uniform(0.15, 0.42) * width
    middle = random.uniform(half, width - half)
    bottom = min(horizon + random.uniform(0.02, 0.25) * height, height - 0.12 * height)
    tall = min(half * random.uniform(0.5, 0.9), bottom * 0.8)
    if random.random() < HOUSES:
        draw_house(picture, (middle, bottom), half * 0.7, tall, grey)
    else:
        draw_car((picture, mask), (middle, bottom), half, tall, grey, random)
    return as_photographed(picture, random), mask


def draw_car(
    layers: tuple[Image.Image, Image.Image],
    foot: tuple[float, float],
    half: float,
    tall: float,
    grey: np.ndarray,
    random: np.random.Generator,
) -> None:
    """Draws body, cabin and two wheels on a picture and its mask; `foot` is (x, y) under the middle of the body."""
    (x, y), shift = foot, random.uniform(-0.15, 0.15) * half
    radius, waist = tall * random.uniform(0.2, 0.3), y - tall * random.uniform(0.5, 0.65)
    top, bottom, slope = y - tall, half * random.uniform(0.5, 0.7), random.uniform(0, 0.25) * half
    cabin = [(x + shift - bottom, waist), (x + shift - bottom + slope, top)]
    cabin += [(x + shift + bottom - slope, top), (x + shift + bottom, waist)]
    wheels = [(x + side * half * random.uniform(0.5, 0.65), y) for side in (-1, 1)]
    for layer, inks in zip(layers, (grey[2:5], (255, 255, 255)), strict=True):
        draw = ImageDraw.Draw(layer)
        draw.rectangle((x - half, waist, x + half, y), fill=int(inks[0]))
        draw.polygon(cabin, fill=int(inks[1]))
        for left, low in wheels:
            draw.ellipse((left - radius, low - radius, left + radius, low + radius), fill=int(inks[2]))


def draw_house(picture: Image.Image, foot: tuple[float, float], half: float, tall: float, grey: np.ndarray) -> None:
    """Draws wall, roof and door; `foot` is (x, y) under the middle."""
    (x, y), draw = foot, ImageDraw.Draw(picture)
    draw.rectangle((x - half, y - 0.6 * tall, x + half, y), fill=int(grey[2]))
    draw.polygon(
        [(x - 1.1 * half, y - 0.6 * tall), (x, y - tall), (x + 1.1 * half, y - 0.6 * tall)], fill=int(grey[3])
    )
    draw.rectangle((x - 0.15 * half, y - 0.35 * tall, x + 0.15 * half, y), fill=int(grey[4]))


def as_photographed(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Packs a drawing as JPEG half of the time, since flat drawings show its faults most."""
    if random.random() < 0.5:
        packed = io.BytesIO()
        picture.save(packed, "JPEG", quality=int(random.integers(40, 95)))
        picture = Image.open(packed)
    return picture.convert("RGB")
