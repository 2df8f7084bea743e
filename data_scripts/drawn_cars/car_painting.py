"""Paints a car shape as a camera sees it: body, glass, lights, wheels, with exact cover and exact dots."""

import numpy as np
from PIL import Image, ImageDraw

from data_scripts.drawn_cars.car_shapes import (
    BONNET_FRONT,
    REAR_GLASS,
    ROOF_FRONT,
    ROOF_REAR,
    STEPS,
    WINDSCREEN,
    CarShape,
)
from data_scripts.drawn_cars.car_views import (
    BLACK,
    Camera,
    Easel,
    Finish,
    area,
    fill_quads,
    grid,
    line,
    polygon,
    shade,
)
from data_scripts.drawn_cars.wheels import _disc, paint_tyre, paint_wheel

DOT_NAMES = ("front_wheel", "rear_wheel", "headlight", "tail_light", "mirror", "door_handle")
TRIM_HEIGHT = 0.38  # below it the body has the colour of the trim


def paint_car(picture: Image.Image, shape: CarShape, camera: Camera, finish: Finish) -> dict[str, tuple | None]:
    """Paints the car on a transparent RGBA picture; the alpha channel becomes its exact cover.

    Returns:
        For each of DOT_NAMES the point (x, y) in pixels, or None where the camera cannot see it.
    """
    easel = Easel(ImageDraw.Draw(picture), shape, camera, finish)
    right = camera.sees_right_side
    for far in (True, False):
        for x in shape.wheels:
            paint_tyre(easel, x, right != far)
    _mirror(easel, not right)
    _body(easel)
    _ends(easel)
    _top_glass(easel)
    dots = dict.fromkeys(DOT_NAMES)
    dots["headlight"] = _lamp(easel, True)
    dots["tail_light"] = _lamp(easel, False)
    if abs(np.cos(camera.turn)) * camera.distance > 1.6 * shape.half_width:
        dots["door_handle"] = _side_details(easel, right)
        for name, x in zip(("rear_wheel", "front_wheel"), shape.wheels, strict=True):
            dots[name] = paint_wheel(easel, x, right)
    dots["mirror"] = _mirror(easel, right)
    return dots


def _body(easel: Easel) -> None:
    shape = easel.shape
    along, across = np.arange(len(shape.outline)), np.linspace(-1, 1, 19)
    parts = [grid(shape.over(along[:, None], across[None, :]))]
    turn = np.linspace(0, np.pi, 57)
    x = shape.length * (0.4 * (1 - np.cos(turn)) / 2 + 0.6 * turn / np.pi)
    bottom, top = shape.bottom(x)[:, None], shape.top(x)[:, None]
    edges = [bottom, np.full_like(bottom, TRIM_HEIGHT), shape.waist(x)[:, None], top]
    bands = zip(edges, edges[1:], (2, 10, 6), strict=False)  # rows of quads follow trim and waist
    y = np.clip(
        np.hstack([low + (high - low) * np.linspace(0, 1, rows + 1) for low, high, rows in bands]), bottom, top
    )
    for right in (False, True):
        net = shape.side(x[:, None], y, right)
        parts.append(grid(net[::-1] if right else net))
    quads = np.concatenate(parts)
    low = quads[..., 1].mean(axis=1) < TRIM_HEIGHT
    paint = np.where(low[:, None], easel.finish.trim, easel.finish.paint)
    colours, seen = shade(easel, quads, paint, easel.finish.gloss)
    fill_quads(easel, quads, colours, seen)


def _patch(easel: Easel, along: tuple[float, float], across: tuple[float, float], paint: np.ndarray) -> np.ndarray:
    """Paints a part of the strip over the car; returns its seen quads in the picture (n, 4, 2)."""
    net = easel.shape.over(np.linspace(*along, 9)[:, None], np.linspace(*sorted(across), 9)[None, :])
    quads = grid(net)
    colours, seen = shade(easel, quads, paint, 0.8)
    fill_quads(easel, quads, colours, seen)
    return easel.camera.project(quads[seen])


def _top_glass(easel: Easel) -> None:
    edge = 0.2 * STEPS
    _patch(easel, (ROOF_FRONT * STEPS + edge, WINDSCREEN * STEPS - edge), (-0.88, 0.88), easel.finish.glass)
    _patch(easel, (REAR_GLASS * STEPS + edge, ROOF_REAR * STEPS - edge), (-0.82, 0.82), easel.finish.glass)
    if easel.finish.doors == 2 and easel.finish.glint > 0.6:
        _patch(easel, ((ROOF_REAR + 0.6) * STEPS, (ROOF_FRONT - 0.2) * STEPS), (-0.6, 0.6), easel.finish.glass)


def _ends(easel: Easel) -> None:
    """Grille, bumper openings, number plates and the bonnet's edge."""
    shape, plate = easel.shape, np.full(3, 215.0)
    nose, tail = shape.mark(BONNET_FRONT)[1], shape.waist(0.0)
    grille = shape.along_at(nose * 0.86, True), shape.along_at(nose * 0.66, True)
    _patch(easel, grille, (-0.5, 0.5), BLACK * 1.5)
    _patch(easel, (shape.along_at(nose * 0.56, True), shape.along_at(nose * 0.42, True)), (-0.75, 0.75), BLACK)
    _patch(easel, (shape.along_at(nose * 0.66, True), shape.along_at(nose * 0.55, True)), (-0.28, 0.28), plate)
    _patch(easel, (shape.along_at(tail * 0.58, False), shape.along_at(tail * 0.70, False)), (-0.28, 0.28), plate)
    _patch(easel, (shape.along_at(tail * 0.30, False), shape.along_at(tail * 0.40, False)), (-0.85, 0.85), BLACK)


def _lamp(easel: Easel, front: bool) -> tuple[float, float] | None:
    """Paints both head or tail lamps, wrapped around the corner; returns the near one's centre."""
    shape, finish = easel.shape, easel.finish
    level = shape.mark(BONNET_FRONT)[1] * 0.86 if front else shape.waist(0.0) * 0.84
    half = 0.075 if front else 0.10
    lens = np.array([238.0, 240, 244]) if front else np.array([190.0, 18, 22])
    lens = lens * (1.25 if finish.lamps_lit else 0.95)
    along = sorted((shape.along_at(level + half, front), shape.along_at(level - half, front)))
    x_end = [float(np.interp(at, range(len(shape.outline)), shape.outline[:, 0])) for at in along]
    inward = -1 if front else 1
    inset = 0.2 * (along[1] - along[0])
    near = []
    for right in (False, True):
        sign = 1 if right else -1
        seen = [_patch(easel, tuple(along), (0.62 * sign, sign), lens * (0.6 if front else 1))]
        if front:
            _patch(easel, (along[0] + inset, along[1] - inset), (0.67 * sign, 0.93 * sign), lens)
        depth = np.linspace(0, 0.28, 6)[:, None]
        y = np.linspace(level - half, level + half, 4)[None, :]
        edge = np.interp(y, [level - half, level + half], sorted(x_end, reverse=front))
        net = shape.side(edge + inward * depth, np.minimum(y, shape.top(edge + inward * depth)), right)
        quads = grid(net if right == front else net[::-1])
        colours, shown = shade(easel, quads, lens * 0.9, 0.8)
        fill_quads(easel, quads, colours, shown)
        seen.append(easel.camera.project(quads[shown]))
        if right == easel.camera.sees_right_side:
            near = np.concatenate(seen)
    areas = np.abs(area(near))
    if areas.sum() < (0.05 * easel.camera.focal / easel.camera.distance) ** 2:
        return None
    return tuple((near.mean(axis=1) * areas[:, None]).sum(axis=0) / areas.sum())


def _side_details(easel: Easel, right: bool) -> tuple[float, float]:
    """Windows, arches, doors and handles of the near side; returns the front handle's centre."""
    shape, finish = easel.shape, easel.finish
    dark = finish.paint * 0.35
    for x in shape.wheels:
        angle = np.linspace(-0.6, np.pi + 0.6, 40)
        arch = np.stack([x + 1.17 * shape.wheel_radius * np.cos(angle), np.sin(angle)], axis=-1)
        arch[:, 1] = shape.wheel_radius * (1 + 1.17 * arch[:, 1])
        arch[:, 1] = np.maximum(arch[:, 1], shape.bottom(arch[:, 0]))
        polygon(easel, shape.side(arch[:, 0], arch[:, 1], right), BLACK * 0.6)
    start, pillars, end = _window_band(shape, finish.doors)
    for left, stop in zip([start, *pillars], [*pillars, end], strict=True):
        _window(easel, left + 0.035, stop - 0.035, right)
    front_door = end + 0.02
    sill = float(shape.bottom(np.array(shape.length / 2))) + 0.08
    for x in (*pillars, front_door)[-finish.doors - 1 :]:
        y = np.linspace(sill, float(shape.waist(x)), 12)
        line(easel, shape.side(x + 0.06 * np.sin((y - sill) * 3), y, right), dark, 0.014)
    x = np.linspace(shape.wheels[0] + 0.45, shape.wheels[1] - 0.45, 20)
    line(easel, shape.side(x, np.full(20, sill), right), dark, 0.014)
    x = np.linspace(0.35, shape.length - 0.5, 40)
    line(easel, shape.side(x, shape.waist(x) * 0.985 - 0.04, right), finish.paint * 0.65 + 60, 0.01)
    handle = None
    for pillar in pillars[-finish.doors :]:
        at = np.array([pillar + 0.16, shape.waist(pillar) - finish.handle_height])
        box_x, box_y = at[0] + np.array([-0.1, 0.1, 0.1, -0.1]), at[1] + np.array([-0.02, -0.02, 0.02, 0.02])
        polygon(easel, shape.side(box_x, box_y - 0.015, right), dark)
        polygon(easel, shape.side(box_x, box_y, right), finish.paint * 0.7 + 50)
        handle = easel.camera.project(shape.side(at[0], at[1], right))
    return tuple(handle)


def _window_band(shape: CarShape, doors: int) -> tuple[float, list[float], float]:
    """Returns where the side windows begin, are parted by pillars, and end."""
    x = np.linspace(0, shape.length, 400)
    inside = x[shape.top(x) - 0.16 > shape.waist(x)]
    start, end = inside[0], inside[-1]
    if shape.style == "pickup":
        return start, [start + 0.45 * (end - start)] * 1, end
    cuts = [0.52] if doors == 1 else [0.20, 0.55]
    return start, [start + cut * (end - start) for cut in cuts], end


def _window(easel: Easel, start: float, end: float, right: bool) -> None:
    shape = easel.shape
    x = np.linspace(start, end, 25)
    around = np.linspace(-0.07, 0.07, 5)
    roof = shape.top(x[:, None] + around).min(axis=1) - 0.06
    waist = shape.waist(x) + 0.025
    share = np.linspace(0, 1, 7)[None, :]
    y = waist[:, None] * (1 - share) + np.maximum(roof, waist + 0.01)[:, None] * share
    net = shape.side(x[:, None], y, right)
    quads = grid(net[::-1] if right else net)
    colours, _ = shade(easel, quads, easel.finish.glass, 1.0)
    centre = quads.mean(axis=1)
    off = (centre[:, 0] - 0.5 * centre[:, 1]) / shape.length - easel.finish.glint
    band = np.exp(-((off / 0.05) ** 4)) + 0.6 * np.exp(-(((off - 0.11) / 0.02) ** 4))
    colours = colours + band[:, None] * easel.finish.sky * 0.22
    fill_quads(easel, quads, colours, np.ones(len(quads), bool))


def _mirror(easel: Easel, right: bool) -> tuple[float, float]:
    """Paints one door mirror; returns its centre."""
    shape, finish = easel.shape, easel.finish
    sign = 1 if right else -1
    x = shape.mark(WINDSCREEN)[0] - 0.32
    y = float(shape.waist(x)) + 0.09
    z = sign * (shape.half_width + 0.06)
    angle = np.linspace(0, 2 * np.pi, 25)
    egg = [np.cos(angle) * 0.10, np.sin(angle) * 0.075]
    foot = shape.side(x + np.array([-0.05, 0.08]), y + np.array([-0.1, -0.1]), right)
    tip = np.array([[x + 0.04, y, z], [x - 0.03, y, z]])
    polygon(easel, np.concatenate([foot, tip]), BLACK * 1.3)
    for part, tone in ((0, 0.45), (1, 0.75)):
        lift = 0.012 * part
        across = _disc(x, y + lift, z, 1, angle)
        across[:, 0], across[:, 1] = x + egg[0], y + lift + egg[1]
        polygon(easel, across, finish.paint * tone)
        across[:, 0], across[:, 2] = x + 0.02, z + np.cos(angle) * 0.09
        polygon(easel, across, finish.paint * tone)
    return tuple(easel.camera.project(np.array([x, y, z])))
