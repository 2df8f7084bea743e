"""Made-up surroundings for drawn cars: streets, car parks, hills, studios, textures and clutter."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from data_scripts.drawn_cars.car_views import Camera
from data_scripts.drawn_cars.scenery import (
    Canvas,
    ink,
    noise,
    paint_floor,
    paint_house,
    paint_line_away,
    paint_person,
    paint_post,
    paint_sky,
    paint_strip,
    paint_tree,
    some_grey,
)

SCALE = 2  # drawn larger, then reduced


@dataclass(frozen=True)
class Scene:
    """One background: the picture, and the light it throws on a car; colours are RGB in 0–255."""

    picture: Image.Image
    sky: np.ndarray
    ground: np.ndarray


def draw_background(random: np.random.Generator, size: tuple[int, int], camera: Camera) -> Scene:
    """Paints one background at random.

    Args:
        random: source of chance.
        size: (height, width) in pixels.
        camera: how the car stands; the scenery keeps behind it.
    """
    height, width = size
    names = list(SCENES)
    weights = np.array([SCENES[name][1] for name in names], float)
    paint = SCENES[names[random.choice(len(names), p=weights / weights.sum())]][0]
    picture = Image.new("RGB", (width * SCALE, height * SCALE))
    draw = ImageDraw.Draw(picture)
    room = camera.distance + 2.5 + 2 * abs(np.sin(camera.turn))
    canvas = Canvas(picture, draw, random, camera.horizon * SCALE, camera.focal * SCALE, camera.eye_height, room)
    sky, ground = paint(canvas)
    return Scene(picture.reduce(SCALE), sky, ground)


def _street(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    random, sky = canvas.random, paint_sky(canvas)
    road = some_grey(random, 60, 135, 0.05)
    paint_floor(canvas, road, 3.5)
    away = canvas.room + random.uniform(4, 14)
    span = 0.6 * canvas.picture.width / canvas.focal * away
    x = -span - random.uniform(0, 6)
    while x < span:
        width = random.uniform(5, 14)
        if random.random() < 0.85:
            paint_house(canvas, x, width, random.uniform(4, 14), away)
        x += width + random.choice([0, 0, random.uniform(0.5, 5)])
    pavement = some_grey(random, 110, 190, 0.05)
    kerb = away - random.uniform(2, 4)
    paint_strip(canvas, kerb, away, pavement)
    paint_strip(canvas, kerb - 0.25, kerb, pavement * 0.7)
    for _ in range(random.integers(0, 5)):
        paint_tree(canvas, random.uniform(-span, span), away - 1, random.uniform(3, 8))
    for _ in range(random.integers(0, 4)):
        random.choice([paint_person, _person_or_post])(
            canvas, random.uniform(-span, span), away - random.uniform(0.5, 2)
        )
    if random.random() < 0.6:
        start = random.uniform(0, 4)
        mark = kerb * random.uniform(0.4, 0.7)
        for left in np.arange(-span - start, span, 5):
            corners = [(left, mark), (left + 2.5, mark), (left + 2.5, mark + 0.25), (left, mark + 0.25)]
            canvas.draw.polygon([canvas.on_ground(*corner) for corner in corners], fill=(225, 225, 220))
    return sky, road


def _person_or_post(canvas: Canvas, x: float, away: float) -> None:
    paint_post(canvas, x, away, canvas.random.uniform(1.0, 5.0))


def _avenue(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """A road that runs away from the eye between trees and houses."""
    random, sky = canvas.random, paint_sky(canvas)
    verge = np.array([0.85, 1.0, 0.65]) * random.uniform(80, 160)
    road = some_grey(random, 60, 130, 0.05)
    paint_floor(canvas, verge, 7)
    half, shift = random.uniform(3.5, 7), random.uniform(-2, 2)
    paint_line_away(canvas, shift - half, (1.5, 400), 2 * half, road)
    for left in (shift - half - 0.2, shift + half):
        paint_line_away(canvas, left, (1.5, 400), 0.25, verge * 1.2)
    for away in np.arange(random.uniform(2, 6), 120, 8):
        paint_line_away(canvas, shift - 0.07, (away, away + 3.5), 0.15, np.full(3, 225.0))
    for away in sorted(canvas.room + random.uniform(0, 60, random.integers(4, 16)), reverse=True):
        side = random.choice([-1, 1])
        x = shift + side * (half + random.uniform(1.5, 7))
        kind = random.random()
        if kind < 0.5:
            paint_tree(canvas, x, away, random.uniform(3, 10))
        elif kind < 0.8:
            width = random.uniform(5, 10)
            paint_house(canvas, x + 2 if side > 0 else x - width - 2, width, random.uniform(4, 10), away)
        else:
            paint_post(canvas, x, away, random.uniform(1, 6))
    return sky, road


def _car_park(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    random, sky = canvas.random, paint_sky(canvas)
    road = some_grey(random, 75, 165, 0.05)
    paint_floor(canvas, road, 4)
    away = canvas.room + random.uniform(1.5, 10)
    span = 0.6 * canvas.picture.width / canvas.focal * away
    if random.random() < 0.7:
        paint_house(canvas, -span * 1.2, 2.6 * span, random.uniform(3, 9), away)
    else:
        for x in np.arange(-span, span, random.uniform(1, 3)):
            paint_tree(canvas, x, away + random.uniform(0, 2), random.uniform(2.5, 5))
    line = np.full(3, random.uniform(180, 240))
    for x in np.arange(-span - random.uniform(0, 2.5), span, 2.6):
        paint_line_away(canvas, x, (max(away * 0.45, 3), away * 0.85), 0.12, line)
    if random.random() < 0.4:
        paint_strip(canvas, away * 0.84, away * 0.86, line * 0.9)
    return sky, road


def _hills(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    random, sky = canvas.random, paint_sky(canvas)
    width, height = canvas.picture.size
    meadow = np.array([0.85, 1.0, 0.6]) * random.uniform(70, 150)
    layers = random.integers(1, 4)
    for layer in range(layers):
        share = (layer + 1) / (layers + 1)
        rise = noise(random, (2, width // 4), 96, 0.45)[0]
        ridge = canvas.horizon - height * ((1 - share) * 0.35 + 0.06 * rise) - 0.02 * height
        outline = list(zip(range(0, 4 * len(ridge), 4), ridge, strict=True))
        colour = sky * (1 - share) * 0.8 + meadow * share * 0.7
        canvas.draw.polygon([(0, canvas.horizon + 4), *outline, (width, canvas.horizon + 4)], fill=ink(colour))
    paint_floor(canvas, meadow, 9)
    road = some_grey(random, 80, 150, 0.05)
    if random.random() < 0.75:
        paint_strip(canvas, 1.8, canvas.room + random.uniform(0.5, 4), road)
        if random.random() < 0.5:
            paint_strip(canvas, canvas.room, canvas.room + 0.3, np.full(3, 220.0))
    for _ in range(random.integers(0, 6)):
        paint_tree(canvas, random.uniform(-20, 20), canvas.room + random.uniform(4, 40), random.uniform(3, 8))
    return sky, road


def _studio(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    random = canvas.random
    wall = some_grey(random, *random.choice([(20, 70), (100, 190), (215, 255)], p=[0.2, 0.4, 0.4]), 0.04)
    x, y = np.meshgrid(np.linspace(-1, 1, 96), np.linspace(-1, 1, 64))
    strength = random.uniform(0, 2)
    glow = np.exp(-((x - random.uniform(-0.5, 0.5)) ** 2 + (y - random.uniform(-0.5, 0.5)) ** 2) * strength)
    back = wall * (0.75 + 0.35 * glow[:, :, None])
    floor = 1 + random.uniform(-0.25, 0.25) / (1 + np.exp(-(y[:, :, None] - random.uniform(-0.1, 0.4)) * 30))
    canvas.paste(back * floor, 0, canvas.picture.height)
    return np.full(3, random.uniform(190, 245)), np.clip(wall, 30, 200)


def _texture(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    random = canvas.random
    grain = noise(random, (128, 192), int(random.choice([6, 24, 96, 192])), random.uniform(0.4, 1.0))[:, :, None]
    colour = some_grey(random, 50, 210)
    canvas.paste(colour + grain * random.uniform(8, 45), 0, canvas.picture.height)
    return np.full(3, 200.0), colour


def _clutter(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """Boxes, discs, lines and blobs without meaning, so that no single edge or circle speaks for a car."""
    random, (width, height) = canvas.random, canvas.picture.size
    sky, ground = _texture(canvas)
    for _ in range(random.integers(8, 50)):
        x, y = random.uniform(0, width), random.uniform(0, height)
        wide, tall = width * random.uniform(0.02, 0.3), width * random.uniform(0.02, 0.2)
        fill = ink(some_grey(random, 10, 245, 0.3))
        box = (x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2)
        kind = random.integers(5)
        if kind == 0:
            canvas.draw.rectangle(box, fill=fill)
        elif kind == 1:
            canvas.draw.ellipse(box, fill=fill)
        elif kind == 2:
            canvas.draw.ellipse((x, y, x + tall, y + tall), outline=fill, width=int(tall / 5))
        elif kind == 3:
            canvas.draw.rounded_rectangle(box, tall / 3, fill=fill)
        else:
            canvas.draw.line((x, y, x + wide * 2, y + random.normal() * tall), fill=fill, width=int(2 + tall / 10))
    return sky, ground


SCENES: dict[str, tuple[Callable[[Canvas], tuple[np.ndarray, np.ndarray]], float]] = {
    "street": (_street, 5),
    "avenue": (_avenue, 3),
    "car park": (_car_park, 3),
    "hills": (_hills, 3),
    "studio": (_studio, 3),
    "texture": (_texture, 1),
    "clutter": (_clutter, 2),
}
