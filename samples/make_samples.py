"""Render the two sample pictures, sky.jpg and night.jpg: python samples/make_samples.py"""

from collections.abc import Iterator
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

HEIGHT, WIDTH = 720, 1280
DEPTH, DEPTH_STEP = 112, 3.0  # slices of the cloud volume, and pixels from one to the next
ABOVE = 64  # rows of clouds above the frame: what they shade is in the frame


def make_weights(coords: np.ndarray) -> np.ndarray:
    """Cubic B-spline weights (n, knots) float32 that sample a lattice at n coordinates >= 0."""
    t = np.abs(coords[:, None] - np.arange(-1, int(coords.max()) + 3))
    return np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, np.clip(2 - t, 0, 2) ** 3 / 6).astype("f4")


def make_noise(
    rng: Generator,
    shape: tuple[int, int],
    cell: float,
    stretch: tuple[float, float] = (1.0, 1.0),
    gain: float = 0.5,
) -> np.ndarray:
    """Fractal noise (h, w) float32, mean 0, deviation 1; `cell` is its coarsest size in pixels."""
    total = np.zeros(shape, np.float32)
    for octave in range(8):
        size = max(cell / 2**octave, 1)
        rows, columns = (make_weights(np.arange(shape[i]) / size / stretch[i]) for i in (0, 1))
        lattice = rng.standard_normal((rows.shape[1], columns.shape[1]), np.float32)
        total += gain**octave * (rows @ lattice @ columns.T)
    return (total - total.mean()) / total.std()


def blend(under: ArrayLike, over: ArrayLike, share: ArrayLike) -> np.ndarray:
    """`over` laid on `under`, as opaque as `share` in [0, 1] says."""
    low, high = np.asarray(under, np.float32), np.asarray(over, np.float32)
    return low + np.asarray(share) * (high - low)


def shift(field: np.ndarray, dx: float, dz: float) -> np.ndarray:
    """The field (w, d) moved by a part of a cell along both axes, its edge repeated."""
    padded = np.pad(field, ((1, 0), (1, 0)), mode="edge")
    moved = blend(padded[1:], padded[:-1], dx)
    return blend(moved[:, 1:], moved[:, :-1], dz)


def place_puffs(rng: Generator) -> list[list[float]]:
    """The balls that clouds are heaped from: x, y, z, radius and the cloud's base, in pixels."""
    clouds: list[tuple[float, ...]] = [  # centre x, base y, half width, height
        (270, 345, 320, 270),
        (1040, 455, 300, 235),
        (715, 150, 150, 75),
        (1200, 160, 190, 100),
        (980, 10, 200, 90),
        (20, 5, 150, 90),
        (540, 440, 120, 55),
        (250, 470, 70, 25),
    ]
    for base in np.linspace(550, 722, 20):  # far ones get smaller and flatter to the horizon
        near = (735 - base) / 190 * rng.uniform(0.6, 1.3)
        clouds.append((rng.uniform(0, WIDTH), base, 130 + 60 * near, 9 + 62 * near))
    puffs = []
    for x, base, half, height in clouds:
        for u in rng.uniform(-1, 1, int(30 + 5 * half / height)):
            dome = (1 - u * u) ** 0.6
            radius = height * (0.11 + 0.28 * dome * rng.uniform(0.3, 1))
            y = base - rng.random() ** 0.9 * max(height * dome - radius, 0)
            z = max(rng.normal(170, 55), radius + 70)  # no puff may stick out of the volume
            puffs.append((x + u * half, y, z, radius, base))
    return np.array(puffs).tolist()  # plain floats leave float32 arrays float32


def grow_clouds(rng: Generator) -> Iterator[tuple[np.ndarray, float]]:
    """Yield, row by row from the top, the density (w, d) of cumulus in [0, 1] and its scale."""
    rows, xs = np.arange(-ABOVE, HEIGHT), np.arange(WIDTH, dtype=np.float32)
    zs = DEPTH_STEP * np.arange(DEPTH, dtype=np.float32)
    squeezed = rows + ABOVE + 260 * np.clip(rows / HEIGHT, 0, 1) ** 3
    octaves = []
    for size in (64, 33, 17, 8.5, 4.3, 2.5):
        weights = [make_weights(axis / size) for axis in (squeezed, xs, zs)]
        lattice = rng.standard_normal([w.shape[1] for w in weights], np.float32)
        octaves.append((size, lattice, *weights))
    puffs = place_puffs(rng)
    for row, y in enumerate(rows.tolist()):
        edge = scale = 1 - 0.72 * (y / HEIGHT) ** 2
        reach = 80 * scale
        solid = np.full((WIDTH, DEPTH), -reach, np.float32)  # how far inside the cloud a cell is
        for puff_x, puff_y, puff_z, radius, base in puffs:
            if abs(y - puff_y) < radius + reach:
                ends = np.array((-1, 1)) * (radius + reach)
                box = tuple(
                    slice(*np.clip(at + ends / step, 0, None).astype(int))
                    for at, step in ((puff_x, 1), (puff_z / DEPTH_STEP, DEPTH_STEP))
                )
                flat = (xs[box[0]] - puff_x) ** 2 + (y - puff_y) ** 2
                ball = radius - np.sqrt(flat[:, None] + (zs[box[1]] - puff_z) ** 2)
                solid[box] = np.maximum(solid[box], np.minimum(ball, 2.5 * (base - y)))
        for size, lattice, in_y, in_x, in_z in octaves:
            noise = in_x @ np.tensordot(in_y[row], lattice, 1) @ in_z.T
            if size == 64:  # crisp in one place, wispy in another
                edge = scale * (4 + 14 * np.clip(noise + 0.2, 0, 1))
            # The absolute value has round tops and sharp creases, as a cauliflower has.
            solid += scale * 1.7 * size**0.88 * (np.abs(noise) - 0.27)
        yield np.clip(solid / edge, 0, 1), scale


def render_clouds(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Light (h, w, 3) that cumulus clouds send to the viewer, and their cover (h, w, 1)."""
    sun, sky, ground = np.array(
        [(1.0, 0.93, 0.82), (0.18, 0.28, 0.41), (0.07, 0.08, 0.09)], np.float32
    )
    to_sun = to_sky = np.zeros((WIDTH, DEPTH), np.float32)  # cloud between a cell and the light
    light, cover = [], []
    for density, scale in grow_clouds(rng):
        to_sun = 0.985 * shift(to_sun, 0.75, 0.25) + density / scale
        to_sky = 0.97 * shift(to_sky, 0.5, 0.5) + density / scale
        hidden = 1 - np.exp(-0.07 * DEPTH_STEP / scale * np.cumsum(density, 1))
        seen = np.diff(hidden, axis=1, prepend=0)
        # Light scattered many times reaches deeper: the slower two of these exponentials.
        direct = sum(w * np.exp(-k * to_sun) for w, k in ((0.55, 0.12), (0.3, 0.03), (0.15, 0.008)))
        ambient = 0.3 + 0.7 * np.exp(-0.05 * to_sky)
        cover.append(hidden[:, -1:])
        sums = [(seen * kind).sum(1)[:, None] for kind in (direct, ambient)]
        light.append(sums[0] * sun + sums[1] * sky + cover[-1] * ground)
    return np.stack(light[ABOVE:]), np.stack(cover[ABOVE:])


def paint_sky(rng: Generator) -> np.ndarray:
    """Broken cumulus under thin cirrus by day: RGB (h, w, 3), about [0, 1]."""
    shape = (HEIGHT, WIDTH)
    y, x = np.indices(shape, np.float32)
    down = (y / HEIGHT)[..., None]
    zenith, middle, pale = np.array(
        [(0.07, 0.21, 0.50), (0.25, 0.50, 0.79), (0.80, 0.88, 0.93)], np.float32
    )
    picture = blend(zenith, middle, np.clip(down * 1.5, 0, 1)) + (pale - middle) * down**2.2
    bend = 50 * make_noise(rng, shape, 420, gain=0.35)
    streaks = make_noise(rng, (HEIGHT + 760, WIDTH + 400), 90, (0.6, 4), 0.66)
    streaks = streaks[(y + 0.3 * x + bend + 190).astype(int), (x + 0.6 * bend + 200).astype(int)]
    patches = make_noise(rng, shape, 260, (0.8, 1.6), 0.55)
    veil = 0.14 + 0.15 * streaks + 0.16 * patches + 0.07 * streaks * patches
    veil = 0.8 * np.tanh(1.2 * np.clip(veil, 0, None))[..., None]
    picture = blend(picture, (0.95, 0.97, 1.0), veil)
    light, cover = render_clouds(rng)
    light = blend(light, cover * pale, 0.85 * down**4)
    return picture * (1 - cover) + light


def paint_stars(rng: Generator, glow: np.ndarray) -> np.ndarray:
    """Stars (h, w, 3), the more of them the stronger the glow (h, w) of the Milky Way."""
    count = 14000
    chance = (0.25 + glow).ravel().cumsum()
    spots = np.searchsorted(chance / chance[-1], rng.random(count))
    tints = blend((1.0, 0.86, 0.7), (0.75, 0.86, 1.0), rng.random((count, 1)))
    power = np.clip(0.13 * rng.pareto(1.5, count) + 0.07, 0, 5)
    stars = np.zeros((HEIGHT + 16, WIDTH + 16, 3), np.float32)
    square = np.square(np.indices((17, 17)) - 8).sum(0)[..., None]
    for spot, tint, strength in zip(spots, tints, power, strict=True):
        y, x = divmod(spot, WIDTH)
        disc = np.exp(-square / (0.5 + 0.5 * strength)) + 0.02 * strength * np.exp(-square / 12)
        stars[y : y + 17, x : x + 17] += min(strength, 1.3) * disc * tint
    return stars[8:-8, 8:-8]


def paint_grass(rng: Generator, picture: np.ndarray, top: int) -> None:
    """Grow moonlit blades on the picture (h, w, 3) in place, from row `top` down to the viewer."""
    patches = make_noise(rng, (HEIGHT + 100, WIDTH), 160, (0.5, 2), 0.6)
    t = np.linspace(0, 1, 90, dtype=np.float32)[:, None]
    for foot in np.linspace(0, 1, 150) ** 1.6 * (HEIGHT + 90 - top) + top:
        near = (foot - top + 6) / (HEIGHT - top)
        count = int(120 + 520 * (1 - near).clip(0))
        x, lean = rng.uniform(0, WIDTH, count), rng.normal(0.25, 0.45, count)
        tall = 85 * near * rng.uniform(0.4, 1.2, count)
        patch = patches[int(foot), x.astype(int)]
        shine = (0.25 + 0.05 * patch) * rng.lognormal(0, 0.45, count)
        colour = np.stack([shine * 0.84, shine * 1.05, shine * (0.94 - 0.12 * patch)], -1)
        row = (foot - tall * t).astype(int)
        left = x + tall * lean * t**2
        right = left + (0.8 + 1.3 * near) * (1.05 - t)
        for side in range(2 + int(2 * near)):  # near blades are some pixels wide
            column = left.astype(int) + side
            share = np.clip(np.minimum(right, column + 1) - np.maximum(left, column), 0, 1)
            at = row.clip(0, HEIGHT - 1), column % WIDTH
            share = np.where(row < HEIGHT, share, 0)[..., None]
            picture[at] = blend(picture[at], colour * (0.2 + t[..., None]), share)


def plant_woods(rng: Generator, picture: np.ndarray) -> np.ndarray:
    """The picture (h, w, 3) with three wooded ridges in front of it, the far ones paler."""
    shape = (HEIGHT, WIDTH)
    y, x = np.indices(shape, np.float32)
    for level, rough, tree, colour in (
        (400, 45, 5, (0.13, 0.18, 0.25)),
        (450, 30, 12, (0.075, 0.11, 0.15)),
        (490, 12, 40, (0.03, 0.05, 0.065)),
    ):
        ridge = level + rough * make_noise(rng, (1, WIDTH), 400, gain=0.4)[0]
        crown = ridge.copy()
        for spot in rng.uniform(0, WIDTH, 8000 // tree):
            tall = tree * min(rng.lognormal(0, 0.4), 2)
            drop = np.abs(x[0] - spot) ** 0.9 * rng.uniform(3, 5.5)
            tip = ridge[int(spot)] - tall + drop + tall * rng.uniform(0, 0.2, WIDTH)
            crown = np.minimum(crown, tip)
        wood = np.clip(y - crown + 0.5, 0, 1)[..., None]
        leaves = 1 + 0.2 * make_noise(rng, shape, 9, gain=0.8)[..., None]
        mist = np.exp(-(((y - level - 45) / 26) ** 2))[..., None]
        picture = blend(picture, leaves * np.array(colour, np.float32) + 0.09 * mist, wood)
    return picture


def paint_night(rng: Generator) -> np.ndarray:
    """The Milky Way over wooded hills and a moonlit meadow: RGB (h, w, 3), about [0, 1]."""
    shape = (HEIGHT, WIDTH)
    y, x = np.indices(shape, np.float32)
    down = (y / HEIGHT)[..., None]
    picture = blend((0.06, 0.09, 0.19), (0.25, 0.30, 0.36), np.clip(down * 1.6, 0, 1) ** 2)
    across = (0.6 * (x - 800) + 0.8 * (y - 200) + 28 * make_noise(rng, shape, 200)) / 150
    clouds, dust = (make_noise(rng, shape, cell, gain=0.6) for cell in (150, 110))
    glow = np.exp(-(across**2)) * np.clip(0.75 + 0.3 * clouds, 0.1, 2)
    lane = np.exp(-((across * 2.2 + 0.5 * clouds) ** 2)) * np.clip(0.75 + 0.6 * dust, 0, 1)
    glow *= 1 - 0.75 * lane
    tint = blend((0.30, 0.31, 0.42), (0.46, 0.33, 0.24), lane[..., None])
    picture = picture + glow[..., None] * tint
    picture += 0.018 * make_noise(rng, shape, 300, (0.6, 1.6), 0.6)[..., None]
    picture += paint_stars(rng, glow) * (1 - 0.7 * down)
    picture = plant_woods(rng, picture)
    picture = blend(picture, (0.06, 0.09, 0.08), np.clip((y - 508) / 6, 0, 1)[..., None])
    paint_grass(rng, picture, 506)
    drift = 500 + 6 * make_noise(rng, shape, 120, (0.3, 2))
    mist = 0.5 * np.exp(-(((y - drift) / 13) ** 2))[..., None]
    picture = blend(picture, (0.21, 0.26, 0.31), mist)
    for spot in (212, 236, 251, 640, 905, 931, 1104):
        far = (x - spot) ** 2 + (1.4 * (y - 491 - spot % 7)) ** 2
        lamp = 1.2 * np.exp(-far / 3) + 0.3 * np.exp(-far / 90) + 0.12 * np.exp(-far / 2500)
        picture += lamp[..., None] * np.array((1.0, 0.68, 0.32), np.float32)
    return picture


def main() -> None:
    """Write both pictures into the folder of this script."""
    for paint, name in ((paint_night, "night"), (paint_sky, "sky")):
        rng = np.random.default_rng(7)
        picture = paint(rng) + 0.008 * rng.standard_normal((HEIGHT, WIDTH, 1), np.float32)
        pixels = (255 * np.clip(picture, 0, 1)).round().astype(np.uint8)
        iio.imwrite(Path(__file__).with_name(f"{name}.jpg"), pixels, quality=88)


if __name__ == "__main__":
    main()
