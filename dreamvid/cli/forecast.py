"""What a render would do and need, for --dry-run."""

import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from dreamvid.ascent import Climb, octave_sizes, smallest_octave, step
from dreamvid.fields import flag
from dreamvid.following import steps_of
from dreamvid.media.sinks import ffmpeg_line
from dreamvid.plan import Plan, part_name
from dreamvid.schedule import Fade
from dreamvid.scope import Scope, short
from dreamvid.terms import Terms

_WIDTH = 60
"""Columns of a plot."""
_BARS = " ▁▂▃▄▅▆▇█"
_EFFICIENCY = {"cpu": 0.35}
"""The ascent's speed over that of a large matrix product: measured on a CPU, guessed elsewhere."""
_COMPILE_SECONDS = 5.0
"""An octave's, measured on two cores."""
_EVERY = 10
"""A film's time is forecast from every tenth picture."""
_KNOWN = 0.8
"""The share of a picture that is found in the one before: 0.7 to 0.95, measured."""
_FOREVER = 10_000
"""Ticks of an endless clip that are drawn."""


def forecast(plan: Plan) -> str:
    """Several lines for a person: schedules, frames, memory, disk, time, the ffmpeg command."""
    recipe, timeline = plan.recipe, plan.timeline
    dreamed = recipe.dreamed_frames
    first = timeline.first
    count = None if dreamed is None else dreamed - first
    keys = _key_frames(plan) if recipe.clip.draft else count
    flops, wide = _work(plan)
    pixels = plan.size.width * plan.size.height
    # What lossless coding of a dream leaves, measured; 16 bits are not compressed.
    bytes_a_frame = pixels * (6 if plan.depth == 16 else 1.3)
    fps = float(recipe.clip.fps)
    lines = list(_plots(plan))
    if recipe.clip.frames is None:
        length = f"endless, in files of {recipe.clip.part} such as {part_name(plan.output, 1)}"
    else:
        length = f"{recipe.clip.frames}, {recipe.clip.frames / fps:.2f} s at {fps:g} a second"
    lines.append(f"frames    {length}; {plan.size} pixels")
    lines += _film_lines(plan)
    if keys is not None and keys != recipe.clip.frames:
        lines.append(f"dreams    {keys}")
    if plan.model:
        lines.append(f"network   {recipe.network}, at {', '.join(plan.aim.layers)}")
    margin = timeline.margin
    if margin.width:
        lines.append(
            f"margin    {margin.width} and {margin.height} pixels, the camera looks past the border"
        )
    # Activations of the largest octave and their gradients, the program and the libraries.
    kept = recipe.clip.overlap * pixels * 12 if timeline.closed else 0
    lines.append(f"memory    about {(wide * 3 + kept + 7e8) / 1e9:.1f} GB")
    if dreamed is not None:
        disk = dreamed * bytes_a_frame + kept
        lines.append(f"disk      about {disk / 1e6:.0f} MB while it renders")
    if plan.model is None:
        lines.append("time      nothing is dreamed")
    else:
        a_frame, compiling = _seconds(plan, flops)
        total = "" if keys is None else f" and {_clock(keys * a_frame)} for all"
        if plan.film:
            a_frame, total = _following_seconds(plan, a_frame)
        lines.append(
            f"time      about {a_frame:.2f} s a dream{total}, {compiling:.0f} s to compile"
        )
    if line := ffmpeg_line(plan.output, plan.showing(), recipe.output):
        lines.append(f"encoding  {line}")
    return "\n".join(lines)


def _film_lines(plan: Plan) -> list[str]:
    film = plan.film
    if film is None:
        return []
    cuts = ", ".join(f"{cut} ({float(film.times[cut]):.2f} s)" for cut in film.cuts)
    return [f"cuts      {cuts or 'none'}", *(f"film      {note}" for note in plan.notes)]


def _key_frames(plan: Plan) -> int:
    index, keys, last = 0, 1, plan.timeline.last
    while last is not None and index < last:
        index, keys = plan.timeline.next_key(index), keys + 1
    return keys


def _plots(plan: Plan) -> list[str]:
    recipe = plan.recipe
    length = min(plan.scope.length, _FOREVER)
    times = np.linspace(0.0, max(length - 1.0, 0.0), _WIDTH)
    lines = []
    for group in recipe.groups.values():
        for field, schedule in group.animated().items():
            if isinstance(schedule, Terms):
                lines += _term_plots(schedule, times, plan.scope)
            elif isinstance(schedule, Fade):
                for name in schedule.names:
                    shares = [schedule.at(t, plan.scope).get(name, 0.0) for t in times]
                    lines.append(_plot(name, np.array(shares), 0.0, 1.0))
            else:
                values = schedule.over(times, plan.scope)
                lines.append(_plot(flag(field), values, values.min(), values.max()))
    return lines


def _term_plots(terms: Terms, times: np.ndarray, scope: Scope) -> Iterator[str]:
    for value in terms.values:
        if not value.fixed:
            values = value.over(times, scope)
            yield _plot(short(f"({value.part})", 18), values, values.min(), values.max())


def _plot(name: str, values: np.ndarray, low: float, high: float) -> str:
    height = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    bars = "".join(_BARS[1 + round(h * (len(_BARS) - 2))] for h in height)
    return f"{name:<18} {bars} {low:.4g} to {high:.4g}"


def _work(plan: Plan) -> tuple[float, float]:
    """Operations of one dream, and bytes that its largest octave moves at a time."""
    margin = plan.timeline.margin
    height = plan.size.height + 2 * margin.height
    width = plan.size.width + 2 * margin.width
    ascent = plan.timeline.moment(0).ascent
    if plan.model is None:
        return 0.0, height * width * 12.0
    infos = [plan.model.layer(name) for name in plan.aim.layers]
    objective, masks = (of(plan.timeline, 0) for of in (plan.aim.objective, plan.aim.masks))
    climb, picture = Climb.of(ascent), jax.ShapeDtypeStruct((height, width, 3), jnp.float32)
    state, key = jax.eval_shape(climb.begin, picture), jax.eval_shape(lambda: jax.random.key(0))
    lowered = step.lower(plan.model, picture, state, objective, climb, key, 0, None, masks)
    cost = lowered.cost_analysis() or {}
    flops = float(cost.get("flops", 0.0))
    area = sum(h * w for h, w in octave_sizes(height, width, ascent, smallest_octave(infos))) / (
        height * width
    )
    # Activations are about a hundred floats a pixel at half width.
    return flops * area * ascent.steps, height * width * 400.0


def _seconds(plan: Plan, flops: float) -> tuple[float, float]:
    """Of one dream, and of compiling, by the speed of a matrix product on the spot."""
    size = 1024
    matrix = jnp.ones((size, size), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    product(matrix).block_until_ready()
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        product(matrix).block_until_ready()
        best = min(best, time.perf_counter() - began)
    speed = 2.0 * size**3 / best * _EFFICIENCY.get(jax.default_backend(), 0.3)
    octaves = plan.timeline.moment(0).ascent.octaves
    return flops / speed, octaves * _COMPILE_SECONDS


def _following_seconds(plan: Plan, a_frame: float) -> tuple[float, str]:
    """Of a picture that follows another, and of the film, told."""
    assert plan.film
    moments = [plan.timeline.moment(index) for index in range(0, plan.film.count, _EVERY)]
    shares = []
    for moment in moments:
        steps, coherence = moment.ascent.steps, moment.coherence
        fresh = 1.0 - _KNOWN * coherence.coherence
        shares.append(steps_of(steps, fresh, coherence.follow_steps) / max(steps, 1))
    shots = len(plan.film.cuts) + 1
    share = sum(shares) / len(shares)
    total = (shots + share * (plan.film.count - shots)) * a_frame
    return share * a_frame, f" and {_clock(total)} for all"


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
