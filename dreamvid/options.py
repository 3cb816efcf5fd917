"""The options of a render, in groups. Recipes, flags and --help are made from them.

A tick is 1/30 s, or what `schedule_fps` makes of it, whatever the clip's own frame rate.
"""

from dataclasses import dataclass
from fractions import Fraction

from dreamvid.fields import Options, Size, option
from dreamvid.terms import Terms

LARGEST_SIDE = 16384
"""Pixels of a clip's longer side; H.264 has no room for more."""


@dataclass(frozen=True)
class General(Options):
    """What every render needs."""

    model: str = option(
        "auto",
        "Network: a name (see: dreamvid weights list) or a file; auto takes inception5h where it "
        "is at hand, else builtin.",
    )
    seed: int = option(0, "Randomness; the same seed gives the same frames.", low=0, high=2**32 - 1)
    precision: str = option(
        "auto",
        "Numbers that the network computes with; the picture has float32 always. auto is bfloat16 "
        "on GPUs and TPUs, which are quicker at it, and float32 on CPUs.",
        choices=("auto", "float32", "bfloat16"),
    )


@dataclass(frozen=True)
class Ascent(Options):
    """The gradient ascent. The defaults are the 2015 program's."""

    layer: str = option(
        "auto",
        "Layer of the network to dream of (see: dreamvid layers), or a schedule of several; auto "
        "leaves it to the network.",
        animates=True,
    )
    objective: Terms | None = option(
        None,
        'What to dream of instead of a layer, such as "mixed4c:61 + 0.3*mixed3b - 0.1*tv" (see: '
        "dreamvid layers --objectives).",
        unset="none",
    )
    steps: int = option(
        10, "Steps of the ascent in each octave.", low=0, high=100_000, animates=True
    )
    rate: float = option(
        1.5,
        "Mean change a step makes to a pixel, in 8-bit levels.",
        low=0,
        high=255,
        animates=True,
    )
    octaves: int = option(
        4, "Scales to dream at, the picture's own among them.", low=1, high=100, animates=True
    )
    octave_scale: float = option(
        1.4, "Size of each octave over the next smaller one.", above=1, high=10
    )
    octaves_above: int = option(
        0, "How many of the octaves are larger than the picture.", low=0, high=10
    )
    octave_carry: str = option(
        "detail",
        "What goes on to the next larger octave: the detail, over the source, or the image, which "
        "softens it.",
        choices=("detail", "image"),
    )
    jitter: int = option(
        32,
        "Largest random shift of the picture in a step, in pixels.",
        low=0,
        high=10_000,
        animates=True,
    )
    gradient: str = option(
        "mean",
        "How a step is made even: by the mean of its size, by its deviation (std), smoothed first, "
        "or scale by scale (laplacian).",
        choices=("mean", "std", "smooth", "laplacian"),
    )
    optimizer: str = option(
        "plain",
        "What steps remember of those before: nothing (plain), where they led (momentum), and how "
        "much each pixel changed too (adam).",
        choices=("plain", "momentum", "adam"),
    )
    balance: bool = option(
        False, "Give each term of an objective the same pull before it is weighted: takes longer."
    )
    tile: int = option(
        0,
        "Side of the tiles in which a large picture's gradient is computed, in pixels; 0 leaves it "
        "to the memory that there is. The picture is the same.",
        low=0,
        high=100_000,
    )


@dataclass(frozen=True)
class Anchors(Options):
    """What keeps an endless clip near its beginning."""

    anchor_tone: float = option(
        1.0,
        "How far brightness, contrast and colourfulness are led back to the source's in a tick.",
        low=0,
        high=1,
        animates=True,
    )
    anchor_sharpness: float = option(
        0.3,
        "How far fine detail is led back to what it was at the start in a tick.",
        low=0,
        high=1,
        animates=True,
    )
    anchor_range: float = option(
        0.03,
        "How far from black and white values begin to be bent away from them.",
        low=0,
        high=0.5,
        animates=True,
    )
    colour: float = option(
        1.2,
        "Colourfulness that the anchor holds, as a multiple of the source's.",
        low=0,
        high=10,
        animates=True,
    )


@dataclass(frozen=True)
class Clip(Options):
    """The shape of the clip."""

    frames: int | None = option(
        90,
        "Length of the clip in frames; endless makes numbered files until it is stopped.",
        low=1,
        high=10**9,
        unset="endless",
    )
    fps: Fraction = option(Fraction(30), "Frames a second.", above=0, high=1000)
    schedule_fps: Fraction = option(
        Fraction(30), "Ticks a second: the clock of schedules and camera.", low=1, high=1000
    )
    size: Size | None = option(
        None,
        "Width x height in pixels, mostly even; the picture is scaled and cut to fill it.",
        low=16,
        high=LARGEST_SIDE,
        unset="the picture's shape, of 640x360's area",
    )
    loop: str = option(
        "none",
        "How the end meets the beginning: none, closed (without a seam), or pingpong (back again).",
        choices=("none", "closed", "pingpong"),
    )
    overlap: int = option(
        30, "Frames over which a closed loop returns to its beginning.", low=2, high=10_000
    )
    strength: str = option(
        "frame",
        "What the dream's rate is for: a frame, or a tick of the clock.",
        choices=("frame", "clock"),
    )
    draft: bool = option(
        False, "Dream key frames only and zoom between them: much quicker, less alive."
    )
    part: int = option(900, "Frames in each file of an endless clip.", low=1, high=10**6)
    audio: str | None = option(
        None, "A sound that schedules can follow, muxed into the clip.", unset="silence"
    )


@dataclass(frozen=True)
class Footage(Options):
    """Which part of a film is dreamed, and in what shape."""

    start: float = option(0.0, "Second of the film to begin at.", low=0, high=10**6)
    end: float | None = option(
        None, "Second of the film to end at.", above=0, high=10**6, unset="its end"
    )
    every: int = option(1, "Take one picture of so many.", low=1, high=10**6)
    fps: Fraction | None = option(
        None,
        "Pictures a second: makes the rate constant. Stills without a rate of their own have 30.",
        above=0,
        high=1000,
        unset="the film's own",
    )
    size: Size | None = option(
        None, "Width x height in pixels.", low=16, high=LARGEST_SIDE, unset="the film's own"
    )
    max_side: int | None = option(
        None,
        "Scale a film down until no side has more pixels.",
        low=16,
        high=LARGEST_SIDE,
        unset="unlimited",
    )
    fit: str = option(
        "crop",
        "How a film of another shape fills the size: crop it, or pad it with black.",
        choices=("crop", "pad"),
    )
    cuts: str = option("find", "Where the film cuts: find, or none.", choices=("find", "none"))
    mask: str | None = option(
        None, "A picture or film of the same length: dream only where it is white.", unset="none"
    )
    feather: float = option(
        8.0, "How far the edges of the mask are softened, in pixels.", low=0, high=1000
    )


@dataclass(frozen=True)
class Coherence(Options):
    """How the dream of a film sticks to what moves in it."""

    coherence: float = option(
        0.75,
        "Share of the dream that goes on to the next picture with what it is attached to: 0 dreams "
        "each picture by itself, which boils; 1 dreams only what is new.",
        low=0,
        high=1,
        animates=True,
    )
    follow_steps: int = option(
        3,
        "Least steps in each octave where a picture follows another; the first of a shot takes "
        "--steps.",
        low=0,
        high=100_000,
        animates=True,
    )
    blend: str = option(
        "residual",
        "What is carried: the residual (the dream without the film, which stays sharp), or the "
        "image (film and dream, which smears like paint).",
        choices=("residual", "image"),
    )
    memory: int = option(
        24,
        "Pictures for which the dream of what is hidden is remembered.",
        low=0,
        high=1000,
    )
    hold_tone: float = option(
        0.05,
        "How far large areas are led back to the film's brightness and colour in a tick (1/30 s).",
        low=0,
        high=1,
        animates=True,
    )
    hold_detail: float = option(
        0.3,
        "How far the dream's share of fine detail is led back in a tick (1/30 s) to what it was "
        "when the shot began.",
        low=0,
        high=1,
        animates=True,
    )
    mix: float = option(
        1.0,
        "How much of the dream reaches the output, over the film.",
        low=0,
        high=1,
        animates=True,
    )
    show: str = option(
        "dream",
        "What to make a film of: the dream, the optical flow, or the mask of where it is trusted.",
        choices=("dream", "flow", "mask"),
    )


@dataclass(frozen=True)
class Visual(Options):
    """How pictures are found from noise. The steps and their rate are lucid's."""

    size: Size = option(Size(224, 224), "Width x height in pixels.", low=16, high=4096)
    steps: int = option(512, "Steps of the ascent.", low=0, high=100_000)
    rate: float = option(0.05, "Adam's rate: what a step changes a parameter by.", above=0, high=10)
    parameters: str = option(
        "fourier",
        "What the picture is made from: waves (fourier), its pixels (pixel), or pictures of half "
        "the size each (laplacian).",
        choices=("fourier", "pixel", "laplacian"),
    )
    robust: bool = option(
        True,
        "Look at the picture shifted, turned and scaled by chance in each step; without it the "
        "picture fills with static.",
    )


ATLAS = Visual(Size(96, 96), steps=128, rate=0.08)
"""A whole layer of 512 channels in eight minutes on two cores: 128 steps at this rate reach 0.93 of
what 512 reach at lucid's (measured at mixed4c and mixed5b of the built-in network)."""


@dataclass(frozen=True)
class Output(Options):
    """How the finished clip is encoded; what is unset, the format of the file decides."""

    codec: str | None = option(
        None, "Codec, one of those of the file's format.", unset="the format's first"
    )
    crf: int | None = option(
        None, "Quality of the codec, lower is better.", low=0, high=63, unset="the codec's own"
    )
    preset: str | None = option(
        None, "Speed preset of the encoder, in its own words.", unset="the codec's own"
    )
    pix_fmt: str | None = option(None, "Pixel format, in ffmpeg's words.", unset="the codec's own")
