"""Motions of the camera: how the picture at one moment follows from the picture at another.

Nothing here needs JAX. Places are homogeneous (x, y, 1), in heights of the picture from its centre,
x to the right and y down; values are those of a tick of the clip's clock (`schedule_fps`),
whatever its frame rate.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dreamvid.fields import Options, option
from dreamvid.registry import Registry


@dataclass(frozen=True)
class Velocity:
    """How the picture moves at one moment."""

    zoom: float = 1.0
    """Growth in a tick."""
    angle: float = 0.0
    """Turn in a tick, in degrees, counter-clockwise."""
    translation: tuple[float, float] = (0.0, 0.0)
    """Heights that it moves to the right and down in a tick."""
    centre: tuple[float, float] = (0.0, 0.0)
    """Where it grows, turns and tilts about, in heights from its own centre."""
    tilt: tuple[float, float] = (0.0, 0.0)
    """Degrees in a tick by which its upper and its right edge turn away from the viewer, who stands
    one height away."""

    def generator(self) -> np.ndarray:
        """float64 (3, 3): its exponential takes the picture from one moment to a tick later."""
        growth, turn = math.log(self.zoom), math.radians(self.angle)
        back, aside = (math.radians(angle) for angle in self.tilt)
        # y points down, so counter-clockwise goes from x towards -y.
        rates = np.array([[growth, turn, 0.0], [-turn, growth, 0.0], [aside, -back, 0.0]])
        x, y = self.centre
        to_centre = np.array([[1.0, 0.0, -x], [0.0, 1.0, -y], [0.0, 0.0, 1.0]])
        from_centre = np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])
        rates = from_centre @ rates @ to_centre
        rates[:2, 2] += self.translation
        return rates


Path = Callable[[float], Velocity]
"""The velocity from a moment (a whole number of ticks) to the next."""


def between(path: Path, start: float, end: float) -> np.ndarray:
    """The motion from one moment to a later one, as a matrix.

    A matrix a step, not a pose since the beginning, which an endless zoom would overflow. Within a
    tick the velocity is constant, so that steps of any length add up to the same motion.

    Args:
      path: The camera's.
      start: The earlier moment, in ticks; at least 0.
      end: The later moment.

    Returns:
      float64 (3, 3): a place in the picture at `end` -> the same in the picture at `start`.
    """
    from scipy.linalg import expm  # 0.1 s, which --help need not wait for

    matrix = np.eye(3)
    while start < end - 1e-9:
        # The next tick, even where adding up fractions fell short of this one by a rounding error.
        tick = math.floor(start + 1e-9)
        until = min(tick + 1.0, end)
        matrix = matrix @ expm(-(until - start) * path(tick).generator())
        start = until
    return matrix / matrix[2, 2]


def in_pixels(matrix: np.ndarray, height: int) -> np.ndarray:
    """The same motion with pixels for heights; float64 (3, 3)."""
    units = np.array([height, height, 1.0])
    return matrix * units[:, None] / units


def beyond(matrix: np.ndarray, aspect: float, scale: float = 1.0) -> float:
    """How far past the border the camera looks, in heights; inf where it looks behind itself.

    Args:
      matrix: From `between`.
      aspect: Width over height.
      scale: Of a picture that is larger than the frame, about the same centre.
    """
    x, y = scale * aspect / 2, scale * 0.5
    corners = np.array([(-x, -y, 1), (x, -y, 1), (-x, y, 1), (x, y, 1)]) @ matrix.T
    if (corners[:, 2] < 0.1).any():
        return math.inf
    seen = np.abs(corners[:, :2] / corners[:, 2:])
    return max(float((seen - (x, y)).max()), 0.0)


MOTIONS: Registry["type[Motion]"] = Registry("motion")


class Motion(Options):
    """A camera's path. Its fields are its options; each may be a schedule."""

    def velocity(self, seconds: float, aspect: float) -> Velocity:
        """How the picture moves at a moment.

        Called on a motion whose options are those of that moment.

        Args:
          seconds: The moment.
          aspect: Width over height of the picture.
        """
        raise NotImplementedError


def _zoom(default: float) -> float:
    help = "Growth of the picture in a tick; below 1 zooms out."
    return option(default, help, low=0.5, high=2, animates=True)


def _angle(default: float) -> float:
    help = "Turn in a tick, in degrees; positive is counter-clockwise."
    return option(default, help, low=-360, high=360, animates=True)


def _period(default: float) -> float:
    # No schedule: with the period the phase would jump.
    return option(default, "Seconds until the motion repeats.", above=0, high=1e6)


def _phase(seconds: float, period: float) -> float:
    return 2.0 * math.pi * seconds / period


def _translation(help: str) -> float:
    return option(0.0, help, low=-1, high=1, animates=True)


def _centre(default: float, help: str) -> float:
    return option(default, help, low=-10, high=10, animates=True)


def _tilt(help: str) -> float:
    return option(0.0, help, low=-10, high=10, animates=True)


@MOTIONS.register("zoom")
@dataclass(frozen=True)
class Zoom(Motion):
    """Everything the camera can do, each by its own option."""

    zoom: float = _zoom(1.02)
    angle: float = _angle(0.3)
    translation_x: float = _translation("Heights the picture moves to the right in a tick.")
    translation_y: float = _translation("Heights the picture moves down in a tick.")
    centre_x: float = _centre(0.5, "Where it grows and turns about: 0 the left edge, 1 the right.")
    centre_y: float = _centre(0.5, "Where it grows and turns about: 0 the top edge, 1 the bottom.")
    tilt_x: float = _tilt("Degrees in a tick that the upper edge turns away, seen from one height.")
    tilt_y: float = _tilt("Degrees in a tick that the right edge turns away, seen from one height.")

    def velocity(self, seconds: float, aspect: float) -> Velocity:
        """See `Motion`."""
        return Velocity(
            self.zoom,
            self.angle,
            (self.translation_x, self.translation_y),
            ((self.centre_x - 0.5) * aspect, self.centre_y - 0.5),
            (self.tilt_x, self.tilt_y),
        )


@MOTIONS.register("spiral")
@dataclass(frozen=True)
class Spiral(Motion):
    """Turns inwards about a centre that itself circles."""

    zoom: float = _zoom(1.02)
    angle: float = _angle(1.0)
    radius: float = option(
        0.2, "Heights from the middle to the circling centre.", low=0, high=2, animates=True
    )
    period: float = _period(6.0)

    def velocity(self, seconds: float, aspect: float) -> Velocity:
        """See `Motion`."""
        phase = _phase(seconds, self.period)
        centre = self.radius * math.cos(phase), self.radius * math.sin(phase)
        return Velocity(self.zoom, self.angle, centre=centre)


@MOTIONS.register("drift")
@dataclass(frozen=True)
class Drift(Motion):
    """Floats sideways, its heading swaying to and fro."""

    zoom: float = _zoom(1.004)
    angle: float = _angle(0.0)
    speed: float = option(
        0.004, "Heights the picture moves in a tick.", low=0, high=1, animates=True
    )
    heading: float = option(
        180.0, "Where it moves to, in degrees: 0 right, 90 up.", low=-1e6, high=1e6, animates=True
    )
    sway: float = option(
        40.0, "Degrees the heading sways to either side.", low=0, high=360, animates=True
    )
    period: float = _period(8.0)

    def velocity(self, seconds: float, aspect: float) -> Velocity:
        """See `Motion`."""
        swayed = self.heading + self.sway * math.sin(_phase(seconds, self.period))
        heading = math.radians(swayed)
        moved = self.speed * math.cos(heading), -self.speed * math.sin(heading)
        return Velocity(self.zoom, self.angle, moved)


@MOTIONS.register("breathe")
@dataclass(frozen=True)
class Breathe(Motion):
    """Comes nearer and goes back, and so in turn."""

    zoom: float = _zoom(1.0)
    depth: float = option(
        0.02, "How much the zoom swings up and down.", low=0, high=0.4, animates=True
    )
    angle: float = _angle(0.2)
    period: float = _period(4.0)

    def velocity(self, seconds: float, aspect: float) -> Velocity:
        """See `Motion`."""
        swing = math.cos(_phase(seconds, self.period))
        return Velocity(self.zoom * (1.0 + self.depth * swing), self.angle * swing)


@MOTIONS.register("tunnel")
@dataclass(frozen=True)
class Tunnel(Motion):
    """Rushes in along a winding way, leaning into the curves."""

    zoom: float = _zoom(1.04)
    angle: float = _angle(0.8)
    winding: float = option(
        0.2, "Heights the vanishing point strays from the middle.", low=0, high=2, animates=True
    )
    period: float = _period(5.0)

    def velocity(self, seconds: float, aspect: float) -> Velocity:
        """See `Motion`."""
        phase = _phase(seconds, self.period)
        # Two periods in proportion 2 to 1 draw an eight, which repeats with the longer one.
        centre = self.winding * math.sin(phase), 0.6 * self.winding * math.sin(2.0 * phase)
        return Velocity(self.zoom, self.angle * math.cos(phase), centre=centre)


@MOTIONS.register("flight")
@dataclass(frozen=True)
class Flight(Motion):
    """Flies over the picture as over a plain, towards a horizon."""

    zoom: float = _zoom(1.015)
    tilt: float = option(
        1.0, "Degrees in a tick that the far edge turns away.", low=-10, high=10, animates=True
    )
    horizon: float = option(
        0.35, "Where it flies to: 0 the top edge, 1 the bottom.", low=-1, high=2, animates=True
    )
    banking: float = option(
        0.3, "Degrees in a tick that it rolls into its curves.", low=0, high=45, animates=True
    )
    period: float = _period(6.0)

    def velocity(self, seconds: float, aspect: float) -> Velocity:
        """See `Motion`."""
        roll = self.banking * math.cos(_phase(seconds, self.period))
        return Velocity(self.zoom, roll, centre=(0.0, self.horizon - 0.5), tilt=(self.tilt, 0.0))
