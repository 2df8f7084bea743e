"""The shapes of cars in metres: a side outline per body style, and the curved surface spanned over it."""

from dataclasses import dataclass

import numpy as np

# Side outlines (x, y) from the rear bumper's lower edge over the roof to the front bumper's lower edge.
REAR_GLASS, ROOF_REAR, ROOF_FRONT, WINDSCREEN, BONNET_FRONT = 4, 5, 7, 8, 10
BELLY = 0.10  # share of the width lost from the widest line to a waist's height from it
STEPS = 8  # samples between two outline points
STYLES = {
    "hatchback": "0.10,0.26 0.00,0.48 0.03,0.78 0.10,0.96 0.16,1.02 0.50,1.40 1.25,1.49 2.05,1.42 2.95,1.00 3.45,0.92 "
    "3.80,0.80 3.93,0.68 4.00,0.46 3.90,0.24",
    "saloon": "0.10,0.26 0.00,0.50 0.02,0.80 0.10,0.97 0.72,1.03 1.40,1.38 2.00,1.45 2.60,1.38 3.40,0.99 3.95,0.90 "
    "4.36,0.78 4.52,0.66 4.60,0.45 4.48,0.24",
    "estate": "0.10,0.26 0.00,0.50 0.02,0.80 0.06,0.95 0.12,1.02 0.42,1.40 1.60,1.48 2.60,1.40 3.40,0.99 3.95,0.90 "
    "4.36,0.78 4.52,0.66 4.60,0.45 4.48,0.24",
    "suv": "0.10,0.36 0.00,0.60 0.03,0.92 0.08,1.08 0.12,1.16 0.34,1.62 1.40,1.74 2.35,1.66 3.10,1.18 3.75,1.10 "
    "4.20,0.98 4.38,0.80 4.50,0.55 4.38,0.34",
    "van": "0.06,0.28 0.00,0.55 0.02,1.00 0.03,1.15 0.05,1.22 0.14,1.84 1.70,1.95 3.00,1.86 4.05,1.15 4.40,1.00 "
    "4.68,0.88 4.82,0.72 4.90,0.50 4.80,0.28",
    "pickup": "0.06,0.44 0.00,0.60 0.02,0.85 0.05,1.08 1.80,1.09 1.98,1.68 2.60,1.78 3.10,1.70 3.85,1.16 4.50,1.10 "
    "4.95,1.00 5.10,0.80 5.20,0.55 5.05,0.40",
    "sports": "0.10,0.24 0.00,0.45 0.03,0.70 0.10,0.86 0.45,0.91 1.35,1.14 1.85,1.20 2.30,1.15 3.10,0.84 3.75,0.76 "
    "4.20,0.64 4.36,0.54 4.45,0.38 4.30,0.20",
}
SHARES = {"hatchback": 5, "saloon": 5, "estate": 3, "suv": 5, "van": 2, "pickup": 2, "sports": 3}


@dataclass(frozen=True)
class CarShape:
    """One car's body: x runs from the rear (0) to the front, y up from the ground, z from the middle to the right."""

    style: str
    outline: np.ndarray  # (n, 2) points of the side outline
    half_width: float
    tumblehome: float  # share of the width lost from the waist to the roof
    roundness: float  # share of the width lost at the car's ends
    wheel_radius: float
    wheels: tuple[float, float]  # x of the rear and of the front wheel

    @property
    def length(self) -> float:
        """The car's length in metres."""
        return float(self.outline[:, 0].max())

    @property
    def height(self) -> float:
        """The roof's height in metres."""
        return float(self.outline[:, 1].max())

    def mark(self, index: int) -> np.ndarray:
        """Returns the outline's point (x, y) at one of the named places."""
        return self.outline[index * STEPS]

    def waist(self, x: np.ndarray) -> np.ndarray:
        """Returns the height at which the windows begin, for each x."""
        rear, front = self.mark(REAR_GLASS), self.mark(WINDSCREEN)
        return np.interp(x, [rear[0], front[0]], [rear[1], front[1]]) - 0.03

    def top(self, x: np.ndarray) -> np.ndarray:
        """Returns the outline's upper height for each x."""
        first, last = self.outline[:, 0].argmin(), self.outline[:, 0].argmax()
        upper = self.outline[first : last + 1]
        return np.interp(x, np.maximum.accumulate(upper[:, 0]), upper[:, 1])

    def bottom(self, x: np.ndarray) -> np.ndarray:
        """Returns the outline's lower height for each x."""
        first, last = self.outline[:, 0].argmin(), self.outline[:, 0].argmax()
        lower = np.concatenate([self.outline[: first + 1][::-1], self.outline[last:][::-1]])
        return np.interp(x, np.maximum.accumulate(lower[:, 0]), lower[:, 1])

    def width_at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Returns the body's half width at the points (x, y) of its side."""
        end = np.clip((np.abs(x / self.length - 0.5) * 2 - 0.5) / 0.5, 0, 1)
        waist = self.waist(x)
        glass = np.clip((y - waist) / (self.height - waist), 0, 1)
        belly = BELLY * ((y - 0.62 * waist) / waist) ** 2 * (glass == 0)
        shoulder = BELLY * 0.38**2 + 0.03 * np.clip(glass / 0.1, 0, 1)
        narrowing = belly + (glass > 0) * shoulder + self.tumblehome * glass + self.roundness * end**2.5
        return self.half_width * (1 - narrowing)

    def side(self, x: np.ndarray, y: np.ndarray, right: bool) -> np.ndarray:
        """Lifts points (x, y) of the side outline onto the car's side: (..., 3)."""
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        return np.stack([x, y, self.width_at(x, y) * (1 if right else -1)], axis=-1)

    def over(self, along: np.ndarray, across: np.ndarray) -> np.ndarray:
        """Returns points of the strip that runs over the car from bumper to bumper.

        Args:
            along: position on the outline, counted in its samples.
            across: −1 (left edge) to 1 (right edge).

        Returns:
            (..., 3) points.
        """
        along, across = np.broadcast_arrays(np.asarray(along, float), np.asarray(across, float))
        samples = np.arange(len(self.outline))
        point = np.stack([np.interp(along, samples, self.outline[:, axis]) for axis in (0, 1)], axis=-1)
        slope = np.gradient(self.outline, axis=0)
        normal = np.stack([-slope[:, 1], slope[:, 0]], axis=-1) / np.linalg.norm(slope, axis=1, keepdims=True)
        normal = np.stack([np.interp(along, samples, normal[:, axis]) for axis in (0, 1)], axis=-1)
        bulge = (0.04 + 0.10 * np.abs(normal[..., :1])) * (1 - np.abs(across[..., None]) ** 3)
        lifted = point + normal * bulge
        return np.concatenate([lifted, (self.width_at(point[..., 0], point[..., 1]) * across)[..., None]], axis=-1)

    def along_at(self, y: float, front: bool) -> float:
        """Returns the position on the outline where the nose or the tail has the height y."""
        if front:
            part = np.arange((WINDSCREEN * STEPS), len(self.outline))
            return float(np.interp(-y, -self.outline[part, 1], part))
        part = np.arange(0, REAR_GLASS * STEPS + 1)
        return float(np.interp(y, np.maximum.accumulate(self.outline[part, 1]), part))


def random_shape(random: np.random.Generator) -> CarShape:
    """Makes up one car of a random body style and random proportions."""
    weights = np.array(list(SHARES.values()), float)
    style = str(random.choice(list(SHARES), p=weights / weights.sum()))
    points = np.array([pair.split(",") for pair in STYLES[style].split()], float)
    length = points[:, 0].max()
    wheels = length * (np.array([0.19, 0.805]) + random.normal(0, 0.012, 2))
    points[3:11] += random.normal(0, 0.012, (8, 2)) * [2.0, 1.0]
    points[ROOF_REAR : ROOF_FRONT + 1, 1] *= random.normal(1, 0.02)
    points[REAR_GLASS : ROOF_REAR + 1, 0] += random.normal(0, 0.05)
    points *= random.normal([1, 1], [0.05, 0.035])
    points[:, 0] -= points[:, 0].min()
    outline = smooth_curve(points)
    outline[:, 0] -= outline[:, 0].min()
    return CarShape(
        style=style,
        outline=outline,
        half_width=random.uniform(0.82, 0.92) + 0.06 * (style in ("suv", "van", "pickup")),
        tumblehome=random.uniform(0.14, 0.26) * (0.6 if style == "van" else 1),
        roundness=random.uniform(0.08, 0.22),
        wheel_radius=random.uniform(0.30, 0.345) + 0.05 * (style in ("suv", "pickup")),
        wheels=tuple(float(x) for x in wheels * outline[:, 0].max() / length),
    )


def smooth_curve(points: np.ndarray) -> np.ndarray:
    """Draws a smooth curve through points (n, 2) with STEPS samples between two of them.

    Source: centripetal Catmull-Rom spline, Yuksel et al. 2011, https://doi.org/10.1016/j.cad.2010.08.008.
    """
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    knots = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(padded, axis=0), axis=1) ** 0.5)])
    curve = []
    for index in range(1, len(points)):
        t = np.linspace(knots[index], knots[index + 1], STEPS, endpoint=False)[:, None]
        level = padded[index - 1 : index + 3, None, :]
        k = knots[index - 1 : index + 3]
        for low, high in ((k[:3], k[1:]), (k[:2], k[2:]), (k[1:2], k[2:3])):
            share = (t - low[:, None, None]) / (high - low)[:, None, None]
            level = level[:-1] * (1 - share) + level[1:] * share
        curve.append(level[0])
    return np.concatenate([*curve, points[-1:]])
