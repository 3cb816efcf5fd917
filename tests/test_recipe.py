import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest

from dreamvid.camera import MOTIONS, Spiral, Zoom
from dreamvid.errors import DreamError, OptionError, UnknownNameError
from dreamvid.options import Ascent, Clip
from dreamvid.recipe import (
    CLASSIC,
    PRESETS,
    VIDEO,
    ZOOM,
    Recipe,
    find_recipe,
    flag_of,
    motion_name,
    parse_recipe,
    read_recipe,
)

HERE = Path("/pictures")


def test_what_is_written_is_read_again():
    recipe = ZOOM.change(
        {
            "source": 'a "quoted" größe.jpg',
            "general.seed": 7,
            "ascent.layer": "0:(mixed4c), 30:(mixed3b)",
            "ascent.rate": "1+sin(t)",
            "camera.motion": "tunnel",
            "camera.period": 2.5,
            "clip.frames": "endless",
            "clip.fps": "30000/1001",
            "clip.size": "64x48",
            "clip.draft": True,
            "output.crf": 12,
        }
    )
    again = parse_recipe(recipe.to_toml({"network sha256": "abc"}), HERE)
    assert again == recipe
    assert (again.folder, again.picture) == (HERE, HERE / 'a "quoted" größe.jpg')
    assert recipe.to_toml().startswith("# dreamvid ")


@pytest.mark.parametrize("preset", [CLASSIC, ZOOM])
@pytest.mark.parametrize("motion", list(MOTIONS))
def test_every_option_is_in_the_file(preset: Recipe, motion: str):
    recipe = preset.change({"camera.motion": motion})
    table = tomllib.loads(recipe.to_toml())
    for name, group in recipe.groups.items():
        unset = {f.name for f in fields(group) if f.default is None}  # type: ignore[arg-type]
        assert set(vars(group)) - unset <= set(table[name])
    assert parse_recipe(recipe.to_toml(), preset.folder).groups == recipe.groups


def test_what_a_file_leaves_out_is_as_in_the_preset():
    assert parse_recipe("", HERE) == ZOOM
    assert parse_recipe('kind = "image"', HERE) == CLASSIC
    assert parse_recipe("[clip]\nframes = 3", HERE) == replace(ZOOM, clip=Clip(frames=3))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a = ", "it is not TOML: "),
        ("stepz = 1", "unknown option 'stepz'"),
        ("[ascent]\nstepz = 1", "unknown option 'ascent.stepz'. Did you mean 'ascent.steps'?"),
        ("[ascend]\nsteps = 1", "unknown option 'ascend.steps'. Did you mean 'ascent.steps'?"),
        ("ascent = 1", "ascent is 1: it must be a table"),
        ("source = 3", "source is 3: it must be a text"),
        ('kind = "film"', "unknown kind 'film'"),
        ("[ascent]\nsteps = 1.5", "ascent.steps is 1.5: it must be a whole number"),
        ("[ascent]\nsteps = [1]", "ascent.steps is [1]: it must be a whole number"),
        ("[ascent]\nrate = true", "ascent.rate is True: it must be a number"),
        ("[ascent]\nlayer = 4", "ascent.layer is 4: it must be a name"),
        ("[ascent]\nrate = 1979-05-27", "ascent.rate is 1979-05-27: it must be a number"),
        ("[ascent]\nrate = '1+tt'", "ascent.rate has a mistake in its schedule: unknown name"),
        ("[ascent.rate]\nx = 1", "ascent.rate is {'x': 1}: it must be a number"),
        ("[clip]\nframes = 0", "clip.frames is 0: it must be"),
        ("[clip]\nfps = 'fast'", "clip.fps is 'fast': it must be"),
        ("[clip]\nsize = [640, 360]", "clip.size is [640, 360]: it must be a size"),
        ("[clip]\nloop = 'open'", "clip.loop is 'open': unknown loop"),
        ("[camera]\nmotion = 'spirl'", "unknown motion 'spirl'. Did you mean 'spiral'?"),
        ("[camera]\nmotion = 3", "camera.motion is 3: it must be a name"),
        ("[camera]\nradius = 1", "camera.radius is for the motion spiral: this one is zoom"),
        ("x = " + "[" * 5000, "it is not TOML"),
    ],
)
def test_a_mistake_names_the_key(text: str, complaint: str):
    with pytest.raises(DreamError) as refusal:
        parse_recipe(text, HERE)
    message = str(refusal.value)
    assert message.startswith(complaint)
    assert "\n" not in message


def test_another_motion_begins_with_its_own_defaults():
    changed = replace(ZOOM, camera=Zoom(zoom=1.5)).change({"camera.motion": "spiral"})
    assert changed.camera == Spiral()
    kept = replace(ZOOM, camera=Spiral(zoom=1.5)).change(
        {"camera.motion": "spiral", "camera.radius": 0.5}
    )
    assert kept.camera == Spiral(zoom=1.5, radius=0.5)
    assert motion_name(kept.camera) == "spiral"


def test_options_have_flags_of_their_own():
    motions = {f.name for name in MOTIONS for f in fields(MOTIONS[name])} | {"motion"}  # type: ignore[arg-type]
    for preset in PRESETS.values():
        groups = {name: group for name, group in preset.groups.items() if name != "camera"}
        names = [f.name for group in groups.values() for f in fields(group)]  # type: ignore[arg-type]
        assert len({*names, *motions}) == len(names) + len(motions)


def test_an_option_is_found_where_the_kind_of_recipe_has_it():
    assert VIDEO.own("clip.size") == "footage.size"
    assert VIDEO.own("ascent.rate") == "ascent.rate"
    assert ZOOM.own("footage.fps") == "clip.fps"
    assert ZOOM.own("coherence.mix") == "coherence.mix"  # which will be refused
    assert flag_of("ascent.octave_scale") == "--octave-scale"


@pytest.mark.parametrize(
    ("clip", "complaint"),
    [
        (
            {"frames": None, "loop": "closed"},
            "--loop (clip.loop) is closed, but an",
        ),
        (
            {"frames": 7, "loop": "pingpong"},
            "--frames (clip.frames) is 7: a ping",
        ),
        (
            {"frames": 20, "loop": "closed", "overlap": 20},
            "--overlap (clip.overlap) is 20",
        ),
        ({"loop": "closed", "draft": True}, "--draft (clip.draft) cannot close a loop"),
        ({"frames": None, "draft": True}, "--draft (clip.draft) needs a clip that ends"),
    ],
)
def test_what_cannot_be_made_together_is_refused(clip: dict[str, object], complaint: str):
    recipe = replace(ZOOM, clip=Clip(**clip))  # type: ignore[arg-type]
    with pytest.raises(OptionError) as refusal:
        recipe.check(recipe.scope())
    assert str(refusal.value).startswith(complaint)


def test_schedules_are_checked_over_the_whole_clip():
    ascent = Ascent(rate="0:(1), 60:(300)")  # type: ignore[arg-type]
    short = replace(ZOOM, ascent=ascent, clip=Clip(frames=30))
    short.check(short.scope())
    long = replace(short, clip=Clip(frames=90))
    with pytest.raises(OptionError, match=r"--rate \(ascent.rate\) is 255\.\d+ at tick 51"):
        long.check(long.scope())


def test_time_is_counted_in_ticks_of_a_thirtieth_of_a_second():
    for fps in (15, 30, 60):
        recipe = replace(ZOOM, clip=Clip(frames=fps * 2, fps=fps))  # type: ignore[arg-type]
        assert recipe.scope().length == 60.0
        assert recipe.tick == 30 / fps


def test_files_are_found_or_refused_in_one_line(tmp_path: Path):
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "wrong.toml").write_text("[ascent]\nrate = -1")
    (tmp_path / "mistaken.toml").write_text("[ascent]\nstepz = 1")
    for name, complaint in {
        "none.toml": "no recipe at",
        ".": "no recipe at",
        "binary.toml": "not UTF-8",
        "wrong.toml": "wrong.toml: ascent.rate is -1",
        "mistaken.toml": "mistaken.toml: unknown option",
    }.items():
        with pytest.raises(DreamError, match=complaint):
            read_recipe(tmp_path / name)
    with pytest.raises(UnknownNameError, match="unknown recipe 'spirel'"):
        find_recipe("spirel")


def test_a_layer_that_is_named_stays():
    assert ZOOM.with_layer("mixed4e").layers == ("mixed4e",)
    named = ZOOM.change({"ascent.layer": "0:(mixed3a), 9:(mixed3b)"})
    assert named.with_layer("mixed4e").layers == ("mixed3a", "mixed3b")
