"""The run folder of a render: all that a render which was stopped, by whatever, needs to go on.

It holds what was asked for (`journal.json`), the carry after some frame (`carry.npz`), and the
frames up to that one as closed lossless clips. Every file appears whole or not at all, a frame
before the carry that follows from it, so that the folder is in order at any moment.
"""

import contextlib
import json
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO

import cv2
import numpy as np

from dreamvid.errors import DreamError, MediaError
from dreamvid.fields import Size
from dreamvid.files import lock_folder, publish
from dreamvid.media.segments import SegmentWriter, read_segment
from dreamvid.types import Carry

CHECKPOINT_SECONDS = 5.0
"""Work that a crash may cost, and how old `latest.png` may be."""
_MOST_SPENT = 0.03
"""The most of a render's time that goes into checkpoints: large ones are made less often."""
_LONGEST_SEGMENT = 256
"""Frames."""
_RUN, _CARRY, _LATEST, _LOCK = "journal.json", "carry.npz", "latest.png", "lock"
_DIGEST = " sha256"
_START = "start.txt"
"""Where frames were dropped: the first that was not."""
_BEGUN = "journal.part.json"
"""A folder with this in place of `journal.json` is being begun or given up, and holds nothing."""
_NAMES = re.compile(
    r"journal(\.part)?\.json|carry(\.part)?\.npz|latest(\.part)?\.png|start(\.part)?\.txt|lock|"
    r"[0-9]{8,}(\.part|-[0-9]{8,})\.nut"
)
"""Whatever else is in the folder is the user's."""


@dataclass(frozen=True)
class Run:
    """What a run folder was made for."""

    recipe: str
    """As TOML."""
    folder: str
    """What relative names in the recipe start from."""
    output: str
    """The file to be made, absolute."""
    overwrite: bool
    """Whether it may replace a file."""
    motion_only: bool
    """Whether the camera moves without dreaming."""
    fingerprint: dict[str, str]
    """All that decides the frames; a run with another is another render."""

    def differs_from(self, other: "Run") -> str:
        """What is not as in another run, for an error; empty where nothing is."""
        old, new = other.fingerprint, self.fingerprint
        changed = [key for key in (old | new) if old.get(key) != new.get(key)]
        told = [
            f"another {key.removesuffix(_DIGEST)}"  # of which the digests would tell nobody more
            if key.endswith(_DIGEST) and key in old and key in new
            else f"{key} {old.get(key, 'unset')}, now {new.get(key, 'unset')}"
            for key in changed
        ]
        return "; ".join(told[:3]) + (f" and {len(told) - 3} more" if len(told) > 3 else "")


def read_run(folder: Path) -> Run:
    """What a run folder was made for.

    Raises:
      DreamError: It is no run folder.
    """
    path = folder / _RUN
    try:
        run = Run(**json.loads(path.read_bytes()))
        if [type(value) for value in vars(run).values()] != [str, str, str, bool, bool, dict]:
            raise ValueError("values of other kinds")
    except OSError as error:
        raise DreamError(
            f"{folder} is no run folder of dreamvid's ({error.strerror}): "
            "name one such as out.mp4.run"
        ) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise DreamError(f"{path} is damaged ({error}): remove {folder} to begin anew") from None
    return run


def run_folder(output: Path) -> Path:
    """Where the run of a clip is kept until the clip is finished."""
    return output.with_name(output.name + ".run")


class Journal:
    """An open run folder; use `open_journal`."""

    def __init__(self, folder: Path, size: Size, fps: Fraction, depth: int):
        self.folder = folder
        self.carry: Carry | None = None
        """What came with the last frame that is safe."""
        self.start = 0
        """The first frame that was not dropped."""
        self._size, self._fps, self._depth = size, fps, depth
        self._writer: SegmentWriter | None = None
        self._first = 0  # of the open segment
        self._pending: tuple[Carry, np.ndarray | None] | None = None
        self._saved = time.monotonic()
        self._spent = 0.0
        self._recover()

    def write(self, carry: Carry, picture: np.ndarray | None) -> None:
        """Adds a frame; what is not yet safe becomes so from time to time.

        Args:
          carry: What came with the frame.
          picture: The frame, uint8 or uint16 (h, w, 3); None where it is not part of the clip.

        Raises:
          MediaError: The folder cannot be written.
        """
        if picture is not None:
            if self._writer is None:
                self._first = carry.index
                self._writer = SegmentWriter(self._part, self._size, self._fps, self._depth)
            self._writer.write(picture)
        self._pending = carry, picture
        wait = max(CHECKPOINT_SECONDS, self._spent / _MOST_SPENT)
        full = carry.index - self._first + 1 >= _LONGEST_SEGMENT and self._writer is not None
        if full or time.monotonic() - self._saved >= wait:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Makes all that was written safe.

        Raises:
          MediaError: The folder cannot be written; what was safe before still is.
        """
        if self._pending is None:
            return
        began = time.monotonic()
        carry, picture = self._pending
        if self._writer:
            self._writer.close()
            self._writer = None
            _publish(self._part, self.folder / f"{self._first:08d}-{carry.index:08d}.nut")
        _put(self.folder / _CARRY, lambda file: np.savez(file, **carry.arrays()))  # type: ignore[arg-type]
        self.carry, self._pending = carry, None
        if picture is not None:
            levels = picture if picture.dtype == np.uint8 else (picture >> 8).astype(np.uint8)
            _, png = cv2.imencode(".png", levels[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
            with contextlib.suppress(MediaError):  # it is only to be looked at, maybe just now
                _put(self.folder / _LATEST, lambda file: file.write(png.tobytes()))
        self._saved = time.monotonic()
        self._spent = self._saved - began

    def pictures(self, start: int, stop: int, reverse: bool = False) -> Iterator[np.ndarray]:
        """Frames `start` to `stop` - 1 as they were written, or those from the last to the first.

        Raises:
          MediaError: One is missing or damaged.
        """
        pieces = [p for p in _segments(self.folder) if p.first < stop and p.last >= start]
        if _reach(pieces, start) < stop:
            raise self._lack(_reach(pieces, start))
        for piece in reversed(pieces) if reverse else pieces:
            numbers = range(piece.first, piece.last + 1)
            left = list(numbers if reverse else reversed(numbers))
            for picture in read_segment(piece.path, reverse):
                if left and start <= left.pop() < stop:
                    yield picture
            if left:
                raise self._lack(left[-1])

    def drop(self, stop: int) -> None:
        """Removes the segments of frames before `stop`, which are in a finished file.

        Raises:
          MediaError: The folder cannot be written.
        """
        # First, since a crash may leave any of them.
        _put(self.folder / _START, lambda file: file.write(str(stop).encode()))
        self.start = stop
        with _writing(self.folder):
            self._clear_dropped()

    def close(self) -> None:
        """Gives up what was not made safe."""
        if self._writer:
            self._writer.abort()
            self._writer = None
        with contextlib.suppress(OSError):  # the next to open the folder removes it too
            self._part.unlink(missing_ok=True)

    def remove(self) -> None:
        """Empties the folder, but for files in it that are not the journal's.

        Raises:
          MediaError: Something in it cannot be removed.
        """
        self.close()
        with _writing(self.folder):
            _clear(self.folder)

    @property
    def _part(self) -> Path:
        return self.folder / f"{self._first:08d}.part.nut"

    def _recover(self) -> None:
        self.carry, self.start = (
            _read_carry(self.folder / _CARRY),
            _read_start(self.folder / _START),
        )
        end = max(self.carry.index + 1, 0) if self.carry else 0
        pieces = _segments(self.folder)
        kept = [piece for piece in pieces if self.start <= piece.first < end]
        late = [piece for piece in pieces if piece.first >= end]
        reached = _reach(kept, self.start)
        # One may be ahead of the carry, which is saved after it; more tell that a carry was lost.
        if reached != end or len(late) > 1 or (late and late[0].first != end):
            raise self._lack(min(reached, end))
        for path in (*(piece.path for piece in late), *self.folder.glob("*.part.*")):
            if _is_ours(path):
                path.unlink()
        self._clear_dropped()

    def _clear_dropped(self) -> None:
        for piece in _segments(self.folder):
            if piece.last < self.start:
                piece.path.unlink()

    def _lack(self, number: int) -> MediaError:
        return MediaError(
            f"{self.folder} is damaged, it lacks frame {number} or what belongs to it: "
            "remove it to begin anew"
        )


@contextlib.contextmanager
def open_journal(
    folder: Path, run: Run, size: Size, fps: Fraction, depth: int, restart: bool
) -> Iterator[Journal]:
    """The journal of a run, begun or gone on with, for this process alone.

    Args:
      folder: The run folder.
      run: What is to be rendered.
      size: Of the frames.
      fps: Frames a second, for who looks at the segments.
      depth: Bits a channel of the frames, 8 or 16.
      restart: Whether a run of something else that lies there may be given up.

    Raises:
      DreamError: The folder is another program's or another run's, or cannot be written.
    """
    with _writing(folder):
        folder.mkdir(exist_ok=True)
        _check_ours(folder)
    lock = lock_folder(folder, _LOCK)
    try:
        with _writing(folder):
            new = _begin(folder, run, restart)
            journal = Journal(folder, size, fps, depth)
        try:
            yield journal
        finally:
            journal.close()
            if new and journal.carry is None:  # there is nothing to go on from
                with contextlib.suppress(OSError):
                    _clear(folder)
    finally:
        with contextlib.suppress(OSError):
            if not _is_begun(folder):
                (folder / _LOCK).unlink()  # before it is released: then it may be another's
        lock.release()
        with contextlib.suppress(OSError):
            folder.rmdir()  # where nothing is left in it


def _begin(folder: Path, run: Run, restart: bool) -> bool:
    """Whether the run is a new one; else it is to be gone on with."""
    _check_ours(folder)
    if (folder / _RUN).exists():
        old = read_run(folder)
        difference = run.differs_from(old)
        holds = (folder / _CARRY).exists() or _segments(folder)
        if difference and holds and not restart:
            raise DreamError(
                f"{folder} holds an unfinished render with {difference}: give those again, "
                "add --overwrite to give it up, or choose another output"
            )
        if not difference:
            if run != old:  # another encoding, another place
                _put_run(folder, run)
            return False
    _clear(folder)
    _put_run(folder, run)
    return True


def _put_run(folder: Path, run: Run) -> None:
    _put(folder / _RUN, lambda file: file.write(json.dumps(asdict(run), indent=1).encode()))


def _check_ours(folder: Path) -> None:
    """Refuses a folder that another has made and filled."""
    if _is_begun(folder):
        return
    for path in sorted(folder.iterdir()):
        if path.name != _LOCK or path.stat().st_size:
            raise DreamError(
                f"{folder} is no run folder of dreamvid's (it has {path.name!r}): "
                "rename it, or choose another output"
            )


def _is_begun(folder: Path) -> bool:
    return (folder / _RUN).exists() or (folder / _BEGUN).exists()


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MediaError(
            f"run folder {folder} cannot be written: {error.strerror or error}. "
            "Mend that and run the same command again to go on"
        ) from None


@dataclass(frozen=True)
class _Segment:
    path: Path
    first: int
    last: int


def _segments(folder: Path) -> list[_Segment]:
    """The closed segments, in the order of their frames."""
    found = []
    for path in filter(_is_ours, folder.glob("*-*.nut")):
        first, _, last = path.stem.partition("-")
        found.append(_Segment(path, int(first), int(last)))
    return sorted(found, key=lambda piece: piece.first)


def _reach(pieces: list[_Segment], start: int) -> int:
    """The first frame from `start` on that is in none of them."""
    for piece in pieces:
        if piece.first > start:
            break
        start = max(start, piece.last + 1)
    return start


def _read_carry(path: Path) -> Carry | None:
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as content:
            if content.testzip() is not None:
                raise ValueError
        with np.load(path, allow_pickle=False) as arrays:
            return Carry.of(arrays)
    except Exception:  # a damaged file raises nearly every kind
        raise MediaError(f"{path} is damaged: remove {path.parent} to begin anew") from None


def _read_start(path: Path) -> int:
    try:
        return int(path.read_bytes())
    except FileNotFoundError:
        return 0
    except ValueError:
        raise MediaError(f"{path} is damaged: remove {path.parent} to begin anew") from None


def _is_ours(path: Path) -> bool:
    return _NAMES.fullmatch(path.name) is not None


def _clear(folder: Path) -> None:
    """Removes all but the lock; should it come to a crash, what is left counts as nothing."""
    if (folder / _RUN).exists():
        _publish(folder / _RUN, folder / _BEGUN)
    for path in list(folder.iterdir()):
        if _is_ours(path) and path.name not in (_BEGUN, _LOCK):
            path.unlink(missing_ok=True)
    (folder / _BEGUN).unlink(missing_ok=True)


def _put(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes a file that is, after a crash, either the old one or all of the new one."""
    part = path.with_suffix(f".part{path.suffix}")
    with _writing(path.parent):
        try:
            with part.open("wb") as file:
                write(file)
            publish(part, path)
        except OSError:
            part.unlink(missing_ok=True)
            raise


def _publish(part: Path, path: Path) -> None:
    with _writing(path.parent):
        publish(part, path)
