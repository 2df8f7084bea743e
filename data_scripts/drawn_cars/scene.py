"""One drawn picture: cars on a background, what covers them, shadows, light and lens."""

import io
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from data_scripts.drawn_cars.backgrounds import draw_background
from data_scripts.drawn_cars.car_painting import DOT_NAMES, paint_car
from data_scripts.drawn_cars.car_shapes import CarShape, random_shape
from data_scripts.drawn_cars.car_views import Camera, random_finish
from data_scripts.drawn_cars.scenery import noise

FINENESS = 3  # cars are painted so much larger, then reduced
Size = tuple[int, int]


class Drawn(NamedTuple):
    """One drawn picture and its truth."""

    picture: Image.Image  # RGB
    mask: np.ndarray  # uint8 (height, width) of 0 and 255
    dots: list[list[float] | None]  # for each of DOT_NAMES [x, y] as fractions, None where not to be seen


def draw_picture(seed: int, index: int, size: Size = (256, 384), most_cars: int = 2) -> Drawn:
    """Draws picture number `index` of the series `seed`; equal arguments give equal pictures.

    Args:
        seed: of the series, not negative.
        index: number in the series, not negative.
        size: (height, width) in pixels.
        most_cars: 1, or 2 for a second car farther off in some pictures; the dots are those of the nearer car.
    """
    # Chance of its own for each part: the truth does not depend on what the background or the noise used up.
    random, scenery, faults = (np.random.default_rng([seed, index, part]) for part in range(3))
    shape = random_shape(random)
    camera = _random_camera(random, shape, size)
    scene = draw_background(scenery, size, camera)
    brightness = random.choice([random.uniform(0.85, 1.3), random.uniform(0.3, 0.8)], p=[0.8, 0.2])
    cars = [] if random.random() < 0.08 else [(shape, camera)]
    if cars and random.random() < 0.18 and most_cars > 1:
        cars.insert(0, _car_behind(random, camera, size))
    layer = Image.new("RGBA", (size[1] * FINENESS, size[0] * FINENESS))
    points = dict.fromkeys(DOT_NAMES)
    ground = scene.picture
    for shape, camera in cars:
        ground = _with_shadow(random, ground, shape, camera)
        finish = random_finish(random, scene.sky, scene.ground, brightness)
        points = paint_car(layer, shape, _enlarged(camera), finish)
    cover = _reduced(layer)
    ground.paste(cover, mask=cover.getchannel("A"))
    seen = cover.getchannel("A")
    if random.random() < 0.15:
        front = _obstacle(random, size, camera)
        ground.paste(front, mask=front.getchannel("A"))
        seen = ImageChops.multiply(seen, ImageChops.invert(front.getchannel("A")))
    mask = np.where(np.asarray(seen) >= 128, np.uint8(255), np.uint8(0))
    return Drawn(_photographed(faults, ground, brightness), mask, _dots(points, mask))


def _random_camera(random: np.random.Generator, shape: CarShape, size: Size) -> Camera:
    """Stands a car before a camera: mostly whole, large and from the side."""
    height, width = size
    view = random.choice(["side", "corner", "end"], p=[0.6, 0.28, 0.12])
    spread = {"side": random.normal(0, 0.14), "corner": random.uniform(0.3, 1.2), "end": random.normal(1.57, 0.15)}
    turn = random.choice([0, np.pi]) + random.choice([-1, 1]) * spread[view]
    focal = random.uniform(1.1, 2.4) * max(width, height)
    extent = abs(np.cos(turn)) * shape.length + abs(np.sin(turn)) * 2 * shape.half_width
    shares = [random.uniform(0.35, 0.85), random.uniform(0.12, 0.35), random.uniform(0.8, 1.2)]
    across = focal * extent / (random.choice(shares, p=[0.75, 0.17, 0.08]) * width)
    distance = max(across, focal * shape.height / (0.8 * height), 4.5 + abs(np.sin(turn)))
    tall = focal * shape.height / distance / height
    base = height * random.uniform(max(0.05 + tall, 0.5), 0.97)
    eye_height = min(random.uniform(0.6, 2.2), (base - 0.05 * height) * (distance - 0.9) / focal)
    reach = focal * extent / distance / width / 2
    middle = random.uniform(reach, 1 - reach) if reach < 0.5 else 0.5
    middle += random.choice([0, random.normal(0, 0.25)], p=[0.87, 0.13])
    return Camera(
        focal=focal,
        eye_height=eye_height,
        horizon=base - focal * eye_height / (distance - 0.9),
        middle=middle * width,
        distance=distance,
        turn=turn,
        length=shape.length,
        roll=random.choice([0, random.normal(0, 0.03)], p=[0.6, 0.4]),
    )


def _car_behind(random: np.random.Generator, camera: Camera, size: Size) -> tuple[CarShape, Camera]:
    """A second car, farther off and to one side."""
    shape = random_shape(random)
    turn = random.choice([0, np.pi, camera.turn]) + random.normal(0, 0.1)
    middle = camera.middle + random.choice([-1, 1]) * random.uniform(0.2, 0.6) * size[1]
    distance = camera.distance + random.uniform(2.8, 9) + abs(np.sin(camera.turn)) * 2
    return shape, replace(camera, distance=distance, middle=middle, turn=turn, length=shape.length, roll=0.0)


def _enlarged(camera: Camera) -> Camera:
    """The same view in a picture FINENESS times as large."""
    larger = {name: getattr(camera, name) * FINENESS for name in ("focal", "horizon", "middle")}
    return replace(camera, **larger)


def _reduced(layer: Image.Image) -> Image.Image:
    """Shrinks an RGBA picture to 1 / FINENESS; only its painted part costs time."""
    small = Image.new("RGBA", (layer.width // FINENESS, layer.height // FINENESS))
    if box := layer.getbbox():
        left, top = box[0] // FINENESS, box[1] // FINENESS
        right, bottom = -(-box[2] // FINENESS), -(-box[3] // FINENESS)
        small.paste(
            layer.crop(tuple(FINENESS * side for side in (left, top, right, bottom))).reduce(FINENESS), (left, top)
        )
    return small


def _with_shadow(random: np.random.Generator, ground: Image.Image, shape: CarShape, camera: Camera) -> Image.Image:
    """Darkens the ground beneath a car."""
    angle = np.linspace(0, 2 * np.pi, 48)
    round_x, round_z = (np.sign(part(angle)) * np.abs(part(angle)) ** 0.4 for part in (np.cos, np.sin))
    unit = camera.focal / camera.distance
    for grow, soft, strength in ((1.02, 0.06, 0.65), (1.15, 0.25, random.uniform(0.15, 0.5))):
        x = shape.length * (0.5 + 0.48 * grow * round_x)
        z = shape.half_width * grow * round_z
        points = camera.project(np.stack([x, np.zeros_like(x), z], axis=-1))
        shadow = Image.new("L", ground.size)
        ImageDraw.Draw(shadow).polygon(points.ravel().tolist(), fill=round(255 * strength))
        shadow = shadow.filter(ImageFilter.GaussianBlur(float(soft * unit)))
        ground = Image.composite(Image.new("RGB", ground.size), ground, shadow)
    return ground


def _obstacle(random: np.random.Generator, size: Size, camera: Camera) -> Image.Image:
    """A lamp post or a bush before the car, RGBA of the picture's size."""
    height, width = (FINENESS * side for side in size)
    layer = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(layer)
    unit = camera.focal / camera.distance * FINENESS
    x = FINENESS * camera.middle + random.uniform(-2, 2) * unit
    base = FINENESS * (camera.horizon + camera.focal * camera.eye_height / (camera.distance - 1.3))
    if random.random() < 0.5:
        half, grey = random.uniform(0.04, 0.14) * unit, random.uniform(30, 170)
        for part, shade in ((1, 0.7), (0.5, 1.0)):
            ink = (int(grey * shade),) * 3 + (255,)
            draw.rectangle((x - half, 0, x + half * (2 * part - 1), base), fill=ink)
        return _reduced(layer)
    leaf, bush = np.array([0.7, 1, 0.55]) * random.uniform(40, 120), random.uniform(0.4, 0.9) * unit
    for step in range(120):
        offset, radius = random.normal(0, [0.9, 0.35]) * bush, random.uniform(0.08, 0.25) * bush
        ink = tuple(int(part) for part in leaf * random.uniform(0.6, 1.0) * (0.7 + step / 300)) + (255,)
        middle = (x + offset[0], base - 0.3 * bush + offset[1])
        draw.ellipse((middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius), fill=ink)
    return _reduced(layer)


def _photographed(random: np.random.Generator, picture: Image.Image, brightness: float) -> Image.Image:
    """Lays the faults of a photo over a clean drawing: light, fog, vignette, blur, noise, JPEG, no colour."""
    colourless, packed_small = random.random(2) < (0.35, 0.3)
    picture = picture.filter(ImageFilter.GaussianBlur(float(random.choice([0.3, 0.5, random.uniform(0.5, 1.3)]))))
    height, width = picture.height, picture.width
    pixels = np.asarray(picture, np.float32)
    pixels *= brightness * np.clip(120 / pixels.mean(), 0.75, 1.5)
    fog = random.choice([0, random.uniform(0.1, 0.5)], p=[0.85, 0.15])
    pixels = pixels * (1 - fog) + fog * 200 * brightness
    x, y = np.linspace(-1, 1, width)[None, :, None], np.linspace(-1, 1, height)[:, None, None]
    pixels *= 1 - random.uniform(0, 0.25) * (x**2 + y**2)
    pixels *= 1 + random.uniform(0, 0.06) * noise(random, (height, width), 8)[:, :, None]
    pixels += random.normal(size=(height, width, 1)) * random.choice([1, 3, random.uniform(3, 10)])
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if colourless:
        picture = picture.convert("L").convert("RGB")
    if packed_small:
        packed = io.BytesIO()
        picture.save(packed, "JPEG", quality=int(random.uniform(25, 85)))
        picture = Image.open(packed).convert("RGB")
    return picture


def _dots(points: dict[str, tuple | None], mask: np.ndarray) -> list[list[float] | None]:
    """Turns points in pixels of the enlarged picture into fractions; None where the mask says that no car is there."""
    height, width = mask.shape
    dots: list[list[float] | None] = []
    for point in points.values():
        x, y = (-1.0, -1.0) if point is None else (point[0] / FINENESS, point[1] / FINENESS)
        inside = 0 <= x < width and 0 <= y < height and mask[int(y), int(x)] == 255
        dots.append([round(float(x / width), 5), round(float(y / height), 5)] if inside else None)
    return dots
