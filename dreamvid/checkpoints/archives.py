"""One member out of a .zip or .tar.gz, unpacked in memory and never to disk.

An archive that would write outside its folder, or that unpacks to far more than a network needs,
is refused whole: nobody publishes such a one by mistake.
"""

import gzip
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from dreamvid.errors import WeightsError

LARGEST = 1 << 27
"""Bytes of a file, packed or not. The largest network that comes as a protobuf takes 54 MB."""
RATIO = 100
"""Times its packed size that a member may take. Weights shrink by a tenth, text to a third."""
SMALL = 1 << 20
"""Bytes that are no bomb, however well they were packed."""
LISTED = 1000
"""Members of an archive; the published ones have less than ten."""

ZIP, GZIP = b"PK\3\4", b"\x1f\x8b"
# The end of a zip: 22 bytes, then a comment of at most 64 KB; before them, where the archive is
# larger than we read, the locator of another end. Source: PKWARE's APPNOTE.TXT, 4.3.15 and 4.3.16.
_END, _LOCATOR, _TAIL = b"PK\5\6", b"PK\6\7", 22 + (1 << 16) + 20
_DIRECTORY = 1 << 20  # bytes of the list of members
# What the readers of archives raise on damage.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)


def content(path: Path, suffix: str) -> bytes:
    """A file, or the one member of an archive whose name ends in `suffix`.

    Raises:
      WeightsError: It cannot be read, is too large, or is an archive that has no such member,
        has several, or is not to be trusted.
    """
    with _opened(path) as file:
        if not file.read(4).startswith((ZIP, GZIP)):
            file.seek(0)
            return file.read()
    found = find(path, suffix)
    if len(found) != 1:
        names = " and ".join(repr(_short(name)) for name in sorted(found)[:2])
        holds = f"several {suffix} files, {names}" if found else f"no {suffix} file"
        raise WeightsError(f"{path} holds {holds}: unpack it and name the one you want")
    return found.popitem()[1]


def find(path: Path, suffix: str) -> dict[str, bytes]:
    """The members of an archive whose names end in `suffix`; none where `path` is no archive.

    Raises:
      WeightsError: It cannot be read, is too large, or is not to be trusted.
    """
    with _opened(path) as file:
        start = file.read(4)
        file.seek(0)
        try:
            if start.startswith(ZIP):
                return _in_zip(path, file, suffix)
            if start.startswith(GZIP):
                return _in_tar(path, file, suffix)
        except _DAMAGE as error:
            raise WeightsError(
                f"{path} is damaged or cut off ({_short(str(error))}): fetch it again"
            ) from None
    return {}


def _opened(path: Path) -> BinaryIO:
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise WeightsError(
                f"{path} takes {size} bytes, more than any network of this format ({LARGEST})"
            )
        return path.open("rb")
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from None


def _in_zip(path: Path, file: BinaryIO, suffix: str) -> dict[str, bytes]:
    file.seek(max(path.stat().st_size - _TAIL, 0))
    tail = file.read()
    directory = tail[tail.rfind(_END) :][12:16]
    # Before zipfile lists them all: a hundred megabytes of empty members take it half a minute.
    if _LOCATOR in tail or int.from_bytes(directory, "little") > _DIRECTORY:
        raise WeightsError(f"{path} holds too many members for a network's archive")
    found = {}
    with zipfile.ZipFile(file) as archive:
        _check_count(path, len(archive.infolist()))
        for member in archive.infolist():
            _check_name(path, member.filename)
            if stat.S_ISLNK(member.external_attr >> 16):
                raise _untrusted(path, member.filename, "is a link")
        for member in archive.infolist():
            if not _is_wanted(member.filename, suffix):
                continue
            if member.flag_bits & 1:
                name = _short(member.filename)
                raise WeightsError(f"{path}: member {name!r} is encrypted: unpack it yourself")
            _check_size(path, member.filename, member.file_size, member.compress_size)
            # Bzip2 and LZMA unpack to more than any ratio of ours before they can be stopped.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _untrusted(path, member.filename, "is packed neither plainly nor by deflate")
            with archive.open(member) as opened:
                # By size: without one, zipfile unpacks all that is there and cuts it afterwards.
                data = opened.read(member.file_size)
            if len(data) != member.file_size:
                raise EOFError(f"{member.filename} ends early")
            found[member.filename] = data
    return found


class _Capped:
    """A file that refuses to give more bytes than it may."""

    def __init__(self, path: Path, file: gzip.GzipFile, most: int):
        self.path, self.file, self.left = path, file, most

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise WeightsError(f"{self.path} unpacks to far more than a network needs")
        return data


def _in_tar(path: Path, file: BinaryIO, suffix: str) -> dict[str, bytes]:
    found = {}
    packed = path.stat().st_size
    with gzip.open(file) as unpacked:
        stream = _Capped(path, unpacked, _most(packed))
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # pyright: ignore[reportCallIssue, reportArgumentType]
            for count, member in enumerate(archive, start=1):
                _check_count(path, count)
                _check_name(path, member.name)
                if not member.isdir() and (not member.isreg() or member.issparse()):
                    raise _untrusted(path, member.name, "is a link or no plain file")
                if _is_wanted(member.name, suffix) and (opened := archive.extractfile(member)):
                    _check_size(path, member.name, member.size, packed)
                    found[member.name] = opened.read()
        while stream.read(1 << 16):
            pass  # to the end, where gzip checks what it unpacked
    return found


def _is_wanted(name: str, suffix: str) -> bool:
    # macOS puts a "._name" beside each name.
    return name.endswith(suffix) and not Path(name).name.startswith(".")


def _check_count(path: Path, count: int) -> None:
    if count > LISTED:
        raise WeightsError(f"{path} holds too many members for a network's archive")


def _check_name(path: Path, name: str) -> None:
    parts = re.split(r"[/\\]", name)
    if not parts[0] or parts[0].endswith(":") or ".." in parts:
        raise _untrusted(path, name, "would be unpacked outside its folder")


def _check_size(path: Path, name: str, size: int, packed: int) -> None:
    if size > _most(packed):
        raise _untrusted(path, name, f"unpacks to {size} bytes, far more than a network needs")


def _most(packed: int) -> int:
    return min(LARGEST, max(SMALL, RATIO * packed))


def _untrusted(path: Path, name: str, problem: str) -> WeightsError:
    return WeightsError(f"{path} is not to be trusted: its member {_short(name)!r} {problem}")


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
