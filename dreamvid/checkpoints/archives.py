"""One member out of a .zip or .tar.gz, unpacked in memory and never to disk.

An archive that would write outside its folder, or that unpacks to far more than a network needs,
is refused whole: nobody publishes such a one by mistake.
"""

import gzip
import io
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from dreamvid.errors import WeightsError

LARGEST_FILE = 1 << 27
"""Bytes of a file, packed or not. The largest network that comes as a protobuf takes 54 MB."""
LARGEST_DIRECTORY = 1 << 20
"""Bytes of a zip's list of members; that of a PyTorch file of Inception V3 takes a thirtieth."""
MOST_MEMBERS = 1000
"""Members of an archive; the published ones have less than ten."""
HIGHEST_RATIO = 100
"""Times its packed size that a member may take. Weights shrink by a tenth, text to a third."""
HARMLESS = 1 << 20
"""Bytes that are no bomb, however well they were packed."""

ZIP, GZIP = b"PK\3\4", b"\x1f\x8b"
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""What the readers of archives raise on damage."""


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
        except DAMAGE as error:
            raise WeightsError(
                f"{path} is damaged or cut off ({_short(str(error))}): fetch it again"
            ) from None
    return {}


def open_zip(path: Path, file: BinaryIO) -> zipfile.ZipFile:
    """A zip whose members are quickly listed, and whose names stay inside its folder.

    Args:
      path: Names it in errors.
      file: Open, at any place.

    Raises:
      WeightsError: It is damaged, cut off, lists too much, or is not to be trusted.

    Source: PKWARE's APPNOTE.TXT, 4.3.14 to 4.3.16.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(size - 98 - 0xFFFF, 0))
    last = file.read().rjust(98, b"\0")
    # The last 22 bytes are the end, but for a comment of up to 64 KB. Where the 20 before them
    # locate a larger end, it is the 56 before those. zipfile would also look elsewhere, and list
    # what was not measured here.
    start = len(last) - 22
    if not last.startswith(b"PK\5\6", start) or last[-2:] != b"\0\0":
        start = last.rfind(b"PK\5\6", max(len(last) - 22 - 0xFFFF, 76))
    end, comment = last[start : start + 22], last[start + 22 :]
    larger, locator = last[start - 76 : start - 20], last[start - 20 : start]
    place = size - len(comment) - 98
    located = locator.startswith(b"PK\6\7")
    placed = larger.startswith(b"PK\6\6") and locator[8:16] == place.to_bytes(8, "little")
    if start < 0 or end[20:] != len(comment).to_bytes(2, "little") or (located and not placed):
        raise WeightsError(f"{path} is damaged or cut off: fetch it again, or unpack it yourself")
    directories = end[12:16], larger[40:48] if located else b""
    # A hundred megabytes of empty members take zipfile half a minute.
    if max(int.from_bytes(each, "little") for each in directories) > LARGEST_DIRECTORY:
        raise _overcrowded(path)
    archive = zipfile.ZipFile(file)
    for name in archive.namelist():
        _check_name(path, name)
    return archive


def _opened(path: Path) -> BinaryIO:
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise WeightsError(
                f"{path} takes {size} bytes, more than any network of this format ({LARGEST_FILE})"
            )
        return path.open("rb")
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from None


def _in_zip(path: Path, file: BinaryIO, suffix: str) -> dict[str, bytes]:
    found = {}
    with open_zip(path, file) as archive:
        members = archive.infolist()
        _check_count(path, len(members))
        for member in members:
            if stat.S_ISLNK(member.external_attr >> 16):
                raise _untrusted(path, member.filename, "is a link")
        wanted = [member for member in members if _is_wanted(member.filename, suffix)]
        for member in wanted:
            _check_size(path, member.filename, member.file_size, member.compress_size)
        # Each may pass alone, and all together fill the memory.
        if sum(member.file_size for member in wanted) > LARGEST_FILE:
            raise _bomb(path)
        for member in wanted:
            if member.flag_bits & 1:
                name = _short(member.filename)
                raise WeightsError(f"{path}: member {name!r} is encrypted: unpack it yourself")
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
            raise _bomb(self.path)
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
    if count > MOST_MEMBERS:
        raise _overcrowded(path)


def _check_name(path: Path, name: str) -> None:
    parts = re.split(r"[/\\]", name)
    if not parts[0] or parts[0].endswith(":") or ".." in parts:
        raise _untrusted(path, name, "would be unpacked outside its folder")


def _check_size(path: Path, name: str, size: int, packed: int) -> None:
    if size > _most(packed):
        raise _untrusted(path, name, f"unpacks to {size} bytes, far more than a network needs")


def _most(packed: int) -> int:
    return min(LARGEST_FILE, max(HARMLESS, HIGHEST_RATIO * packed))


def _overcrowded(path: Path) -> WeightsError:
    return WeightsError(f"{path} holds too many members for a network's archive")


def _bomb(path: Path) -> WeightsError:
    return WeightsError(f"{path} unpacks to far more than a network needs")


def _untrusted(path: Path, name: str, problem: str) -> WeightsError:
    return WeightsError(f"{path} is not to be trusted: its member {_short(name)!r} {problem}")


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
