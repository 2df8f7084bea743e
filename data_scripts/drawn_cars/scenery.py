"""What backgrounds are made of: sky, ground, trees, houses, people and posts on one canvas."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw


@dataclass(frozen=True)
class Canvas:
    """What every background painter needs; lengths in pixels of the enlarged picture."""

    picture: Image.Image
    draw: ImageDraw.ImageDraw
    random: np.random.Generator
    horizon: float
    focal: float
    eye_height: float
    room: float  # metres before the eye that stay free for the car

    def on_ground(self, x: float, away: float) -> tuple[float, float]:
        """Returns where a point of the ground appears, x metres right of the middle and `away` metres off."""
        middle = self.picture.width / 2
        return middle + self.focal * x / away, self.horizon + self.focal * self.eye_height / away

    def paste(self, colours: np.ndarray, top: float, bottom: float) -> None:
        """Fills the rows from `top` to `bottom` with an array (h, w, 3) of colours, stretched smoothly."""
        top, bottom = (int(np.clip(y, 0, self.picture.height)) for y in (top, bottom))
        if bottom > top:
            patch = Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))
            self.picture.paste(patch.resize((self.picture.width, bottom - top), Image.Resampling.BICUBIC), (0, top))


def noise(
    random: np.random.Generator, size: tuple[int, int], finest: int, rough: float = 0.5, coarsest: int = 3
) -> np.ndarray:
    """Returns smooth chance (height, width), mean 0 and deviation 1, of cells from `coarsest` to `finest` a row."""
    total, strength, cells = np.zeros(size), 1.0, coarsest
    while cells <= finest:
        rows = max(2, round(cells * size[0] / size[1]))
        coarse = Image.fromarray(random.normal(size=(rows, cells)).astype(np.float32))
        total += strength * np.asarray(coarse.resize(size[::-1], Image.Resampling.BICUBIC))
        strength *= rough
        cells *= 2
    return total / (total.std() + 1e-6)


def some_grey(random: np.random.Generator, low: float, high: float, tint: float = 0.09) -> np.ndarray:
    """A grey between low and high, slightly coloured."""
    return random.uniform(low, high) * random.uniform(1 - tint, 1 + tint, 3)


def ink(colour: np.ndarray) -> tuple[int, int, int]:
    """Rounds a colour (3,) to what Pillow fills with."""
    return tuple(int(part) for part in np.clip(colour, 0, 255))


def paint_sky(canvas: Canvas) -> np.ndarray:
    """Fills everything above the horizon; returns the sky's mean colour."""
    random = canvas.random
    high, low = (
        random.choice([(130, 170, 215), (175, 185, 195), (95, 130, 185), (205, 205, 205), (60, 65, 95)]),
        random.uniform(0.9, 1.35),
    )
    high = np.array(high) * random.uniform(0.8, 1.15)
    share = np.linspace(0, 1, 48)[:, None, None]
    clouds = np.clip(noise(random, (48, 72), 24) - random.uniform(-0.5, 1.5), 0, 2)[:, :, None]
    colours = high * (1 - share) + np.minimum(high * low + 20, 250) * share + 40 * clouds * random.uniform(-0.4, 1)
    canvas.paste(colours, 0, max(canvas.horizon, 0) + 2)
    return np.clip(colours.mean(axis=(0, 1)), 0, 255)


def paint_floor(canvas: Canvas, colour: np.ndarray, rough: float) -> None:
    """Fills the ground with a grained colour, a little lighter near the horizon."""
    top = canvas.horizon
    height = max(int(canvas.picture.height - max(top, 0)), 2)
    grain = noise(canvas.random, (height // 2 + 1, canvas.picture.width // 2), 200, 1.0, 12)[:, :, None]
    near = np.linspace(1.12, 0.92, len(grain))[:, None, None]
    canvas.paste(colour * near + rough * grain, top, canvas.picture.height)


def paint_strip(canvas: Canvas, near: float, far: float, colour: np.ndarray) -> None:
    """A band across the ground, parallel to the picture."""
    width = canvas.picture.width
    top, bottom = (canvas.on_ground(0, away)[1] for away in (far, near))
    canvas.draw.rectangle((0, top, width, max(bottom, top + 1)), fill=ink(colour))


def paint_line_away(canvas: Canvas, x: float, reach: tuple[float, float], width: float, colour: np.ndarray) -> None:
    """A painted line on the ground that runs away from the eye."""
    near, far = reach
    corners = [(x, near), (x + width, near), (x + width, far), (x, far)]
    canvas.draw.polygon([canvas.on_ground(*corner) for corner in corners], fill=ink(colour))


def paint_tree(canvas: Canvas, x: float, away: float, height: float) -> None:
    """Puts a tree of `height` metres on the ground."""
    random, unit = canvas.random, canvas.focal / away
    foot_x, foot_y = canvas.on_ground(x, away)
    trunk, leaf = some_grey(random, 40, 80), np.array([0.75, 1, 0.6]) * random.uniform(40, 110)
    half = 0.04 * height * unit
    canvas.draw.rectangle((foot_x - half, foot_y - 0.6 * height * unit, foot_x + half, foot_y), fill=ink(trunk))
    for step in range(70):
        offset = np.clip(random.normal(0, 0.15, 2), -0.28, 0.28) * height * unit
        radius = random.uniform(0.03, 0.10) * height * unit
        middle_x, middle_y = foot_x + offset[0], foot_y - 0.7 * height * unit + offset[1]
        shade = leaf * (0.65 + 0.007 * step) * (1 - 0.5 * offset[1] / (height * unit))
        box = (middle_x - radius, middle_y - radius, middle_x + radius, middle_y + radius)
        canvas.draw.ellipse(box, fill=ink(shade))


def paint_house(canvas: Canvas, x: float, width: float, height: float, away: float) -> None:
    """Puts a house front with windows on the ground; lengths in metres."""
    random = canvas.random
    left, foot = canvas.on_ground(x, away)
    unit = canvas.focal / away
    right, top = left + width * unit, foot - height * unit
    wall = some_grey(random, 60, 220)
    canvas.draw.rectangle((left, top, right, foot), fill=ink(wall))
    if random.random() < 0.6:
        roof = some_grey(random, 40, 120)
        ridge = top - random.uniform(1, 3) * unit
        inset = random.uniform(0, 0.5) * (right - left)
        corners = [(left - 0.3 * unit, top), (left + inset, ridge), (right - inset, ridge), (right + 0.3 * unit, top)]
        canvas.draw.polygon(corners, fill=ink(roof))
    glass = some_grey(random, 20, 240)
    wide, tall, pitch = random.uniform(0.6, 1.6), random.uniform(0.9, 1.7), random.uniform(2.2, 3.4)
    for row in np.arange(height - 2.6, 0.3, -3.0):
        for column in np.arange(0.6, width - wide - 0.2, pitch):
            low = foot - row * unit
            box = np.array([left + column * unit, low - tall * unit, left + (column + wide) * unit, low])
            canvas.draw.rectangle((box + np.array([-1, -1, 1, 1]) * 0.1 * unit).tolist(), fill=ink(wall * 1.2))
            canvas.draw.rectangle(box.tolist(), fill=ink(glass * random.uniform(0.7, 1.1)))
    if random.random() < 0.7:
        at = left + random.uniform(0.1, 0.8) * (right - left)
        canvas.draw.rectangle(
            (at, foot - 2.1 * unit, at + 1.0 * unit, foot), fill=ink(some_grey(random, 20, 120, 0.4))
        )


def paint_person(canvas: Canvas, x: float, away: float) -> None:
    """Puts a standing person on the ground."""
    random, unit = canvas.random, canvas.focal / away
    foot_x, foot_y = canvas.on_ground(x, away)
    coat, legs = some_grey(random, 20, 200, 0.4), some_grey(random, 20, 110)
    for part, (left, low, right, high) in enumerate(
        [(-0.16, 0.0, -0.02, 0.9), (0.03, 0.0, 0.17, 0.9), (-0.24, 0.8, 0.24, 1.45), (-0.11, 1.46, 0.11, 1.75)]
    ):
        colour = legs if part < 2 else coat if part == 2 else np.array([190, 150, 125])
        box = (foot_x + left * unit, foot_y - high * unit, foot_x + right * unit, foot_y - low * unit)
        (canvas.draw.ellipse if part == 3 else canvas.draw.rectangle)(box, fill=ink(colour))


def paint_post(canvas: Canvas, x: float, away: float, height: float) -> None:
    """A lamp post, sign or bollard."""
    unit = canvas.focal / away
    foot_x, foot_y = canvas.on_ground(x, away)
    colour = some_grey(canvas.random, 40, 170)
    canvas.draw.rectangle((foot_x, foot_y - height * unit, foot_x + 0.1 * unit, foot_y), fill=ink(colour))
    if canvas.random.random() < 0.5:
        box = (foot_x - 0.3 * unit, foot_y - height * unit, foot_x + 0.4 * unit, foot_y - (height - 0.6) * unit)
        shape = canvas.draw.ellipse if canvas.random.random() < 0.5 else canvas.draw.rectangle
        shape(box, fill=ink(some_grey(canvas.random, 60, 240, 0.4)))
