"""Paints a drawn car's wheels and tyres."""

import numpy as np

from data_scripts.drawn_cars.car_views import BLACK, Easel, fill_quads, grid, polygon


def _disc(x: float, y: float, z: float, radius: float, angle: np.ndarray) -> np.ndarray:
    """Points (n, 3) of a circle that stands along the car."""
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle), np.full(len(angle), z)], axis=-1)


def paint_tyre(easel: Easel, x: float, right: bool) -> None:
    """Paints the running surface of one tyre, as seen below the body."""
    shape, angle = easel.shape, np.linspace(0, 2 * np.pi, 33)
    outer = (shape.half_width * 0.985) * (1 if right else -1)
    rings = [_disc(x, shape.wheel_radius, z, shape.wheel_radius, angle) for z in (outer, outer * 0.74)]
    quads = grid(np.stack(rings))
    fill_quads(easel, quads, np.tile(BLACK * 0.8, (len(quads), 1)), np.ones(len(quads), bool))
    for ring in rings:
        polygon(easel, ring, BLACK * 0.8)


def paint_wheel(easel: Easel, x: float, right: bool) -> tuple[float, float]:
    """Paints the outer face of one wheel; returns its centre."""
    shape, finish = easel.shape, easel.finish
    radius, light = shape.wheel_radius, finish.sky.mean() / 255
    z = shape.half_width * 0.985 * (1 if right else -1)
    circle = np.linspace(0, 2 * np.pi, 49)
    rim = finish.rim * (0.25 + 0.75 * light)
    for share, colour in ((1, BLACK * (0.8 + light)), (0.72, rim * 0.8), (0.66, BLACK), (0.3, rim * 0.7)):
        polygon(easel, _disc(x, radius, z, radius * share, circle), colour)
    if finish.spokes == 0:
        polygon(easel, _disc(x, radius, z, radius * 0.64, circle), rim)
    for spoke in range(finish.spokes):
        middle = 2 * np.pi * (spoke + finish.glint) / finish.spokes
        half = 1.1 / (finish.spokes + 2)
        inner = _disc(x, radius, z, radius * 0.1, middle + np.array([-1.2, 1.2]))
        outer = _disc(x, radius, z, radius * 0.68, middle + half * np.array([1, -1]))
        polygon(easel, np.concatenate([inner, outer]), rim * (0.85 + 0.25 * np.sin(middle)))
    for share, colour in ((0.16, rim * 1.05), (0.08, rim * 0.5)):
        polygon(easel, _disc(x, radius, z, radius * share, circle), colour)
    return tuple(easel.camera.project(np.array([x, radius, z])))
