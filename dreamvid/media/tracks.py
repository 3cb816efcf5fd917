"""What goes along with a film's pictures: sound, subtitles, chapters, what it says of itself."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError

from dreamvid.errors import MediaError
from dreamvid.paths import check_is_file


@dataclass(frozen=True)
class Subtitles:
    """How a kind of file keeps subtitles."""

    encoder: str
    """ffmpeg's encoder of text."""
    copied: tuple[str, ...]
    """Codecs that the file takes as they are."""
    fonts: bool = False
    """Whether the fonts that they ask for fit in as well."""


@dataclass(frozen=True)
class Sound:
    """How a kind of file keeps sound, and what else goes along with pictures."""

    encoder: tuple[str, ...]
    """ffmpeg's encoder of sound and its arguments."""
    copied: tuple[str, ...] = ()
    """Codecs that the file takes as they are, and every player of such files knows."""
    held: tuple[str, ...] = ()
    """Others that it takes as they are, for a film's own tracks."""
    layouts: str = ""
    """The arrangements of loudspeakers that the encoder knows; empty for all there are."""
    edited: bool = False
    """Whether the file can say that its sound begins in the midst of a packet."""
    subtitles: Subtitles | None = None
    """None where there is no room for them."""


TEXT = ("subrip", "ass", "ssa", "webvtt", "text", "mov_text", "eia_608")
"""Subtitles that are no pictures, and can be turned into one another."""
_PCM = tuple(
    f"pcm_{kind}{end}" for kind in ("s16", "s24", "s32", "f32", "f64") for end in ("le", "be")
)
_APPLE = ("aac", "mp3", "alac", "ac3")
_TIMED_TEXT = Subtitles("mov_text", ("mov_text",))
MP4 = Sound(
    ("aac", "-b:a", "192k"),
    _APPLE,
    ("eac3", "mp2", "dts", "opus", "flac"),
    edited=True,
    subtitles=_TIMED_TEXT,
)
MOV = Sound(("pcm_s16le",), _APPLE, ("eac3", *_PCM), edited=True, subtitles=_TIMED_TEXT)
MKV = Sound(
    ("flac",),
    ("aac", "mp3", "opus", "vorbis", "flac", "ac3", "eac3", "dts", "truehd", "mlp", "alac", "mp2",
     "mp1", "tta", "wavpack", "wmav1", "wmav2", "wmapro", "pcm_u8", "pcm_alaw", "pcm_mulaw", *_PCM),
    subtitles=Subtitles(
        "subrip",
        ("subrip", "ass", "ssa", "webvtt", "text", "hdmv_pgs_subtitle", "dvd_subtitle",
         "dvb_subtitle", "hdmv_text_subtitle"),
        fonts=True,
    ),
)  # fmt: skip
WEBM = Sound(
    ("libopus", "-b:a", "160k"),
    ("opus", "vorbis"),
    layouts="mono|stereo|3.0|quad|5.0|5.1|6.1|7.1",
    subtitles=Subtitles("webvtt", ("webvtt",)),
)

_HAIR = Fraction(1, 10**6)
"""Seconds: ffmpeg's own clock has no finer tick."""
_STALE = ("BPS", "DURATION", "NUMBER_OF_", "_STATISTICS_")
"""How the names of facts begin that count a track as it was before it was cut."""
_BOUND = ("major_brand", "minor_version", "compatible_brands", "timecode")
"""Facts of the one file, not of the film."""


@dataclass(frozen=True)
class Track:
    """A film's track of sound or subtitles."""

    kind: str
    """"audio" or "subtitle"."""
    number: int
    """Its place among those of its kind, from 1 on."""
    index: int
    """Its place among all streams of the file, from 0 on."""
    codec: str
    """FFmpeg's name of it; empty where it has none."""
    stale: tuple[str, ...]
    """Names of facts about it that hold no longer once it is cut."""

    def coding(self, keeps: Sound) -> tuple[str, ...]:
        """How it gets into a kind of file.

        Returns:
          ("copy",), or ffmpeg's encoder and its arguments; nothing where there is no way.
        """
        if self.kind == "audio":
            if self.codec in (*keeps.copied, *keeps.held):
                return ("copy",)
            return keeps.encoder if self.codec else ()
        if keeps.subtitles is None:
            return ()
        if self.codec in keeps.subtitles.copied:
            return ("copy",)
        return (keeps.subtitles.encoder,) if self.codec in TEXT else ()

    def note(self, keeps: Sound, name: str) -> str:
        """A line for the user where it does not stay as it is; else nothing."""
        coding = self.coding(keeps)
        if coding == ("copy",):
            return ""
        fate = f"converted to {coding[0].removeprefix('lib')}" if coding else "left out"
        way = "; .mkv keeps it" if self.coding(MKV) == ("copy",) else ""
        codec = self.codec or "of an unknown kind"
        return f"{self.kind} track {self.number} ({codec}) cannot be in {name}: {fate}{way}"


@dataclass(frozen=True)
class Tracks:
    """What goes along with a film's pictures, from one moment to another.

    Every track of sound and subtitles, the chapters, and what the film says of itself. Cover art,
    timecodes and other data stay behind.
    """

    path: Path
    """The film."""
    start: Fraction = Fraction(0)
    """Seconds of the file's own clock at which the first picture is shown."""
    end: Fraction | None = None
    """Seconds of that clock before which packets begin; None for the end of each track."""

    @cached_property
    def streams(self) -> tuple[Track, ...]:
        """The tracks, in the order of the file.

        Raises:
          MediaError: The film cannot be read.
        """
        found: list[Track] = []
        with opened(self.path, "film") as container:
            for stream in container.streams:
                if stream.type not in ("audio", "subtitle"):
                    continue
                number = 1 + sum(track.kind == stream.type for track in found)
                context = stream.codec_context
                codec = context.codec.canonical_name if context else ""
                stale = tuple(key for key in stream.metadata if key.startswith(_STALE))
                found.append(Track(stream.type, number, stream.index, codec, stale))
        return tuple(found)

    def check(self) -> None:
        """Refuses what cannot be read, or ends before it begins.

        Raises:
          MediaError: It is so.
        """
        if self.length is not None and self.length <= 0:
            span = f"{float(self.start):g} to {float(self.end or 0):g} s"
            raise MediaError(f"nothing of {self.path} lies from {span}: choose another --end")
        _ = self.streams

    def notes(self, keeps: Sound | None, name: str) -> list[str]:
        """What the user should know beforehand, a line each.

        Args:
          keeps: How the file to be made keeps sound; None where it has pictures only.
          name: Its extension.

        Raises:
          MediaError: The film cannot be read.
        """
        if keeps is not None:
            notes = (track.note(keeps, name) for track in self.streams)
            return [note for note in notes if note]
        if not self.streams:
            return []
        kinds = [track.kind for track in self.streams]
        counts = [(kinds.count(kind), kind) for kind in ("audio", "subtitle") if kind in kinds]
        tracks = " and ".join(f"{n} {kind} track{'s' * (n > 1)}" for n, kind in counts)
        return [f"{name} has pictures only: {tracks} left out; .mkv keeps them"]

    def arguments(self, keeps: Sound) -> list[str]:
        """What ffmpeg is told of them, where its second input is the film, shifted by `shift`."""
        command = ["-map_metadata", "1", "-map_chapters", "1"]
        for fact in _BOUND:
            command += ["-metadata", f"{fact}="]
        number = {"audio": 0, "subtitle": 0}
        for track in self.streams:
            coding = track.coding(keeps)
            if not coding:
                continue
            at = f":{track.kind[0]}:{number[track.kind]}"
            number[track.kind] += 1
            command += ["-map", f"1:{track.index}", f"-c{at}", coding[0]]
            for flag, value in zip(coding[1::2], coding[2::2], strict=True):
                command += [flag.removesuffix(":a") + at, value]
            for fact in track.stale:
                command += [f"-metadata:s{at}", f"{fact}="]
            if track.kind == "subtitle":
                command += [f"-bsf{at}", self._clipped()]
            elif coding == ("copy",):
                command += [f"-bsf{at}", self._dropped(keeps)]
            else:
                command += [f"-filter{at}", self._trimmed(keeps)]
        if keeps.subtitles and keeps.subtitles.fonts:
            command += ["-map", "1:t?", "-c:t", "copy"]
        return command

    @property
    def length(self) -> Fraction | None:
        """Seconds from the start to the end; None where that is not given."""
        return None if self.end is None else self.end - self.start

    @property
    def shift(self) -> Fraction:
        """Seconds by which the film's clock is set back, so that the pictures begin at 0.

        A hair more than the start, or a chapter that ends there would stay, of no length.
        """
        return self.start + (_HAIR if self.start else 0)

    def _dropped(self, keeps: Sound) -> str:
        """Leaves out packets that are over before the first picture.

        Those that belong before the file's own beginning, which warm up the decoder, stay. Where
        the file can say that sound begins later, one more does, which warms it up in their place.
        """
        over = "lte(pts,-2*duration)" if keeps.edited else "lt(pts,0)"
        return f"noise=drop='{over}*lt(pts*tb,startpts*tb+{float(self.start):.6f})'"

    def _clipped(self) -> str:
        """Shows subtitles while there are pictures."""
        left = "DURATION+min(PTS,0)"
        if self.length is not None:
            left = f"min({left},{float(self.length):.6f}/TB-max(PTS,0))"
        over = "noise=drop='lt(pts,0)*lte(pts+duration,0)'"
        return f"{over},setts=ts='max(TS,0)':duration='{left}'"

    def _trimmed(self, keeps: Sound) -> str:
        """Cuts sound to the sample, and fills its gaps, which an encoder would close."""
        end = "" if self.length is None else f":end={float(self.length):.6f}"
        layouts = f",aformat=channel_layouts={keeps.layouts}" if keeps.layouts else ""
        return f"atrim=start=0{end},aresample=async=1{layouts}"

    def check_arrived(self, path: Path, keeps: Sound) -> None:
        """Compares the tracks of a finished file with those that it should have.

        Raises:
          MediaError: One is missing that has anything to play between the two moments.
        """
        with opened(path, "clip") as container:
            kinds = [stream.type for stream in container.streams]
        for kind in ("audio", "subtitle"):
            wanted = [track for track in self.streams if track.kind == kind and track.coding(keeps)]
            found = kinds.count(kind)
            # Not every file has room for a track that is empty.
            if found < len(wanted) and found < sum(map(self._plays, wanted)):
                raise MediaError(
                    f"ffmpeg wrote {found} of {len(wanted)} {kind} tracks of {self.path}"
                )

    def _plays(self, track: Track) -> bool:
        with opened(self.path, "film") as container:
            for packet in container.demux(container.streams[track.index]):
                if packet.pts is None or packet.time_base is None or not packet.size:
                    continue
                begins = packet.pts * packet.time_base
                ends = begins + (packet.duration or 0) * packet.time_base
                if ends > self.start and (self.end is None or begins < self.end):
                    return True
        return False


@contextlib.contextmanager
def opened(path: Path, kind: str) -> Iterator[InputContainer]:
    """A file that FFmpeg reads.

    Args:
      path: A file, never an address; what it leads to are files too.
      kind: What it should be, for messages.

    Raises:
      MediaError: There is no such file, or it cannot be read.
    """
    check_is_file(path, kind, MediaError)
    try:
        # Absolute, since a colon in a relative name would make its beginning a protocol.
        with av.open(
            str(path.absolute()),
            options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        ) as container:
            yield container
    except FFmpegError as error:
        raise MediaError(f"{kind} {path} cannot be read: {error.strerror}") from None
