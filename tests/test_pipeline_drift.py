"""An endless zoom stays what it is: after a second nothing drifts, blurs, grows grainy or clips."""

import math
from dataclasses import astuple

import numpy as np
import pytest

from dreamvid.fields import Size
from dreamvid.measure import Summary, figures, summary
from dreamvid.media.stills import fit, read_picture
from dreamvid.models import Model
from dreamvid.options import Anchors, Ascent, Clip
from dreamvid.paths import packaged
from dreamvid.pipeline import frames
from dreamvid.recipe import Recipe

LOOSE = Anchors(anchor_tone=0, anchor_sharpness=0, anchor_range=0)


def measured(model: Model, anchors: Anchors, steps: int) -> Summary:
    """The figures of two seconds of a small zoom, from the end of the first on."""
    ascent = Ascent("mixed3a", steps=steps, octaves=2, jitter=4)
    recipe = Recipe(ascent=ascent, anchors=anchors, clip=Clip(60))
    # A photograph: as the pixel noise of the other tests' pictures grows coarse in the zoom, fine
    # detail would be lost that no dream had made.
    source = fit(read_picture(packaged("samples") / "sky.jpg").rgb, Size(96, 64))
    clip = [np.asarray(frame.image) for frame, _ in frames(recipe, model, source)]
    assert np.isfinite(clip).all()
    return summary(list(figures(np.round(255 * image).astype(np.uint8) for image in clip)), 30)


def steady(found: Summary) -> dict[str, bool]:
    """What holds of a clip that can go on for ever."""
    return {
        "brightness": found.brightness_drift < 3,
        "colour": found.chroma_drift < 4,
        "detail": 0.75 < found.high_frequency_low <= found.high_frequency_high < 1.25,
        "range": found.clipped < 2,
        "numbers": all(math.isfinite(figure) for figure in astuple(found) if figure is not None),
    }


@pytest.mark.parametrize("steps", [1, 2])
def test_a_zoom_stays_near_what_it_was_after_a_second(model: Model, steps: int):
    found = measured(model, Anchors(), steps)
    assert all(steady(found).values()), found


def test_without_its_anchors_it_would_drift(model: Model):
    found = measured(model, LOOSE, steps=2)
    assert not all(steady(found).values()), found
