"""How a car is seen and coloured: the camera, the light on its skin, and the strokes that paint it."""

from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

from data_scripts.drawn_cars.car_shapes import CarShape

BLACK = np.array([22.0, 22, 24])


@dataclass(frozen=True)
class Camera:
    """Where a car stands before the eye; lengths in metres, the picture in pixels."""

    focal: float
    eye_height: float
    horizon: float  # y of the horizon in the picture
    middle: float  # x of the car's centre in the picture
    distance: float
    turn: float  # 0: seen from the side, facing right; pi / 2: facing away
    length: float  # of the car, which turns about its centre
    roll: float = 0.0  # the car's tilt in the picture, about its centre

    def place(self, points: np.ndarray) -> np.ndarray:
        """Turns points (..., 3) of a car to the camera's axes: right, up from the ground, away from the eye."""
        x, y, z = points[..., 0] - self.length / 2, points[..., 1], points[..., 2]
        right = x * np.cos(self.turn) + z * np.sin(self.turn)
        away = self.distance + x * np.sin(self.turn) - z * np.cos(self.turn)
        return np.stack([right, y, away], axis=-1)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Returns where points (..., 3) of a car appear in the picture: (..., 2) pixels."""
        right, up, away = np.moveaxis(self.place(points), -1, 0)
        x, y = self.focal * right / away, self.focal * (self.eye_height - up) / away
        pivot = self.focal * self.eye_height / self.distance
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        turned = np.stack([x * cos - (y - pivot) * sin, x * sin + (y - pivot) * cos + pivot], axis=-1)
        return turned + np.array([self.middle, self.horizon])

    @property
    def sees_right_side(self) -> bool:
        """Whether the car's right side is the near one."""
        return np.cos(self.turn) > 0


@dataclass(frozen=True)
class Finish:
    """Colours and light of one car; colours are red, green, blue in 0–255."""

    paint: np.ndarray
    gloss: float
    trim: np.ndarray
    glass: np.ndarray
    rim: np.ndarray
    spokes: int
    sky: np.ndarray
    ground: np.ndarray
    sun: np.ndarray  # direction to the light in the camera's axes
    lamps_lit: bool
    doors: int
    handle_height: float
    glint: float  # where across the glass the reflection lies


@dataclass(frozen=True)
class Easel:
    """What every painting step needs."""

    draw: ImageDraw.ImageDraw
    shape: CarShape
    camera: Camera
    finish: Finish


def random_finish(random: np.random.Generator, sky: np.ndarray, ground: np.ndarray, brightness: float) -> Finish:
    """Makes up paint, trim and wheels of a car under a light.

    Args:
        random: source of chance.
        sky: colour of the light from above, which the car reflects.
        ground: colour of what lies around, which the car reflects.
        brightness: 0–1; dark scenes have lit lamps.
    """
    greys = [random.uniform(12, 45), random.uniform(70, 180), random.uniform(190, 245)]
    grey = random.choice(greys, p=[0.25, 0.4, 0.35])
    sun = random.normal([0, 1.2, -0.8], [0.7, 0.2, 0.3])
    hue = random.uniform(0.35, 1.0, 3) if random.random() < 0.55 else random.uniform(0.96, 1.0, 3)
    return Finish(
        paint=np.clip(grey * hue, 6, 245),
        gloss=random.uniform(0.5, 1.0),
        trim=np.clip(grey * hue, 6, 245) if random.random() < 0.55 else BLACK + random.uniform(0, 30),
        glass=np.array([0.9, 1.0, 1.1])
        * random.choice([random.uniform(20, 60), random.uniform(70, 170)], p=[0.75, 0.25]),
        rim=np.full(3, random.choice([random.uniform(30, 70), random.uniform(120, 215)])),
        spokes=int(random.choice([5, 5, 6, 7, 8, 10, 12, 0])),
        sky=sky,
        ground=ground,
        sun=sun / np.linalg.norm(sun),
        lamps_lit=brightness < 0.5 or random.random() < 0.15,
        doors=int(random.choice([1, 2, 2])),
        handle_height=random.uniform(0.10, 0.18),
        glint=random.uniform(-0.2, 1.0),
    )


def area(points: np.ndarray) -> np.ndarray:
    """Signed area of polygons (..., n, 2)."""
    after = np.roll(points, -1, axis=-2)
    return 0.5 * (points[..., 0] * after[..., 1] - after[..., 0] * points[..., 1]).sum(-1)


def polygon(easel: Easel, points: np.ndarray, colour: np.ndarray) -> None:
    """Fills the polygon through the points (n, 3) of a car."""
    corners = easel.camera.project(points)
    easel.draw.polygon(corners.ravel().tolist(), fill=_ink(colour))


def line(easel: Easel, points: np.ndarray, colour: np.ndarray, width: float) -> None:
    """Draws a line of `width` metres through the points (n, 3) of a car."""
    pixels = max(1, round(width * easel.camera.focal / easel.camera.distance))
    easel.draw.line(easel.camera.project(points).ravel().tolist(), fill=_ink(colour), width=pixels, joint="curve")


def _ink(colour: np.ndarray) -> tuple[int, int, int, int]:
    return (*(int(part) for part in np.clip(colour, 0, 255)), 255)


def grid(points: np.ndarray) -> np.ndarray:
    """Turns a net of points (a, b, 3) into its (a−1)(b−1) quads (n, 4, 3)."""
    quads = np.stack([points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]], axis=2)
    return quads.reshape(-1, 4, 3)


def shade(easel: Easel, quads: np.ndarray, paint: np.ndarray, gloss: float) -> tuple[np.ndarray, np.ndarray]:
    """Lights quads (n, 4, 3) whose corners run clockwise seen from outside.

    Returns:
        Colours (n, 3), and whether each quad shows its outside to the eye.

    Source: Schlick 1994, https://doi.org/10.1111/1467-8659.1330233, for the mirror's share.
    """
    placed = easel.camera.place(quads)
    normal = np.cross(placed[:, 2] - placed[:, 0], placed[:, 3] - placed[:, 1])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    eye = np.array([0, easel.camera.eye_height, 0]) - placed.mean(axis=1)
    eye /= np.linalg.norm(eye, axis=1, keepdims=True)
    facing = (normal * eye).sum(1)
    light = 0.5 + 0.28 * normal[:, 1] + 0.4 * np.clip(normal @ easel.finish.sun, 0, 1)
    mirrored = 2 * facing[:, None] * normal - eye
    height = np.clip((mirrored[:, 1:2] + 0.12) / 0.3, 0, 1)
    around = easel.finish.ground * 0.6 * (1 - height) + easel.finish.sky * height
    share = gloss * (0.07 + 0.5 * (1 - np.clip(facing, 0, 1)) ** 4)[:, None]
    spark = 150 * gloss * np.clip(mirrored @ easel.finish.sun, 0, 1)[:, None] ** 30
    sky_tint = easel.finish.sky / 255
    colour = paint * light[:, None] * (0.35 + 0.75 * sky_tint) * (1 - share) + around * share + spark * sky_tint
    return colour, facing > 0


def fill_quads(easel: Easel, quads: np.ndarray, colours: np.ndarray, seen: np.ndarray) -> None:
    """Fills the seen quads from far to near."""
    quads, colours = quads[seen], colours[seen]
    order = np.argsort(-easel.camera.place(quads)[..., 2].mean(axis=1))
    corners = easel.camera.project(quads[order]).reshape(-1, 8).tolist()
    inks = np.clip(colours[order], 0, 255).astype(int).tolist()
    for corner, ink in zip(corners, inks, strict=True):
        easel.draw.polygon(corner, fill=(*ink, 255))
