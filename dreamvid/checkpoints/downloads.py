"""Downloads that resume, try the mirrors in turn, and appear only once they have been checked.

A download in progress is FILE.part, with FILE.part.from telling what it came from; FILE itself is
always the whole, checked file.
"""

import contextlib
import errno
import http.client
import json
import os
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import urlsplit

from dreamvid import __version__
from dreamvid.checkpoints import manifest
from dreamvid.checkpoints.folder import cannot_write, check_space, full_disk
from dreamvid.checkpoints.manifest import Digest
from dreamvid.errors import WeightsError
from dreamvid.files import publish
from dreamvid.paths import digests_of

_BLOCK = 1 << 16
_LEAST_RATE = 1000
"""Bytes a second below which a server counts as silent."""
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
"""HTTP errors that may be gone at the next try."""


class Watcher(Protocol):
    """Hears how downloads go on."""

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        """A transfer begins; `total` and `done` are bytes."""

    def advance(self, count: int) -> None:
        """So many more bytes are here."""

    def say(self, line: str) -> None:
        """Something that a person should know."""


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for."""

    seconds: float = 30.0
    """Without an answer, or with less than a thousand bytes a second."""
    tries: int = 3
    """At one address, in a row, that bring next to nothing."""
    pause: float = 1.0
    """Seconds between them."""


PATIENCE = Patience()


class _Failure(Exception):  # noqa: N818 - is told, not raised, in the end
    """Why one address gave no file."""

    def __init__(self, reason: str, lasting: bool = False):
        super().__init__(" ".join(reason.split())[:500])
        self.lasting = lasting
        """Whether the same address would fail again."""


def download(
    addresses: Sequence[str],
    target: Path,
    size: int,
    digest: Digest | None,
    watcher: Watcher,
    patience: Patience = PATIENCE,
) -> None:
    """Gets a file from the first of several addresses that has it.

    Args:
      addresses: http or https, to be tried in turn.
      target: The file to make, in a folder that is there. One that stands there and has the digest
        is kept.
      size: Of the file, in bytes; 0 where it is not known.
      digest: What the file is checked against; None where nothing is known of it.
      watcher: Hears how it goes on.
      patience: How long each server is waited for.

    Raises:
      WeightsError: No address has the file, or the folder takes none. What was downloaded is kept
        for the next time unless it is wrong or the disk is full.
    """
    if target.exists() and (digest is None or digest.matches(digests_of(target))):
        return
    job = _Job(target, size, digest, watcher, patience)
    reasons = []
    for address in addresses:
        try:
            job.run(address)
            return
        except _Failure as failure:
            reasons.append(f"{address}: {failure}")
            watcher.say(f"no luck with {reasons[-1]}")
    raise WeightsError(
        f"{target.name} cannot be downloaded ({'; '.join(reasons)}): try again later, or get the "
        f"file by other means and: dreamvid weights import FILE --as {target.name}"
    )


def leftovers(target: Path) -> list[Path]:
    """What an unfinished download of a file has left."""
    paths = (target, _part(target), _origin(target))
    return [path for path in paths if path.exists()]


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _origin(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.from")


class _Job:
    """One download, over all its addresses."""

    def __init__(
        self, target: Path, size: int, digest: Digest | None, watcher: Watcher, patience: Patience
    ):
        self.target, self.size, self.digest = target, size, digest
        self.watcher, self.patience = watcher, patience
        self.part, self.origin = _part(target), _origin(target)

    @property
    def have(self) -> int:
        """Bytes that are here."""
        return self.part.stat().st_size if self.part.exists() else 0

    def clear(self) -> None:
        """Forgets what is here."""
        with self._writing(0):
            self._unlink()

    def _unlink(self) -> None:
        self.part.unlink(missing_ok=True)
        self.origin.unlink(missing_ok=True)

    def run(self, address: str) -> None:
        """Downloads, checks and publishes; raises _Failure where this address will not do."""
        if urlsplit(address).scheme not in ("http", "https"):
            raise _Failure("is neither http nor https", lasting=True)
        resumed = self._bring(address)
        if (wrong := self._wrong()) and resumed:
            # What was here before may be from elsewhere: the file as a whole gets one chance.
            self._bring(address)
            wrong = self._wrong()
        if wrong:
            raise _Failure(wrong)
        with self._writing(0):
            publish(self.part, self.target)
            self.origin.unlink(missing_ok=True)

    def _bring(self, address: str) -> bool:
        """Makes the part whole, however often the line breaks; tells if it was not made at once."""
        resumed, failed, furthest = False, 0, self.have
        while True:
            resumed = resumed or self.have > 0
            try:
                self._get(address)
                return resumed
            except _Failure as failure:
                failed += 1
                if self.have >= furthest + _BLOCK:
                    # A line that breaks every few megabytes brings the file in the end.
                    failed, furthest = 1, self.have
                if failure.lasting or failed >= self.patience.tries:
                    raise
                time.sleep(self.patience.pause)

    def _wrong(self) -> str:
        """What is wrong with the part, which is then forgotten; nothing where it is right."""
        if self.digest is None or self.digest.matches(found := digests_of(self.part)):
            return ""
        self.clear()
        kind = self.digest.algorithm
        return (
            f"the file is another: its {kind} is {found[kind]}, not {self.digest.value} as "
            f"{self.digest.origin}"
        )

    def _get(self, address: str) -> None:
        """Makes the part longer, from where it ends; raises _Failure where it is not whole then."""
        start = self.have
        if self.size and start == self.size:
            return
        tag = self._tag(address)
        if start > (self.size or manifest.LARGEST_FILE) or (
            start and not tag and self.digest is None
        ):
            # Too much, or nothing would tell if the rest belonged to another file.
            self.clear()
            start = 0
        headers = {"User-Agent": f"dreamvid/{__version__}"}
        if start:
            headers["Range"] = f"bytes={start}-"
            if tag:
                headers["If-Range"] = tag
        request = urllib.request.Request(address, headers=headers)
        try:
            with _network():
                response = _opener().open(request, timeout=self.patience.seconds)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and start:
                if _total(error.headers) == start:  # it was whole already
                    return
                self.clear()
                raise _Failure("it has less than is here") from None
            lasting = error.code not in _TRANSIENT
            raise _Failure(f"HTTP error {error.code} ({error.reason})", lasting) from None
        with response:
            self._receive(response, address, start)

    def _receive(self, response: http.client.HTTPResponse, address: str, start: int) -> None:
        if response.status != 206:
            start = 0  # the server knows no ranges, or has another file by now
        elif _first(response.headers) != start:
            self.clear()
            raise _Failure("it sends another part than it was asked for")
        length = _number(r"(\d+)", response.headers.get("Content-Length", ""))
        total = self.size or None if length is None else start + length
        most = self.size or manifest.LARGEST_FILE
        if total is not None and (total > most or (self.size and total != self.size)):
            raise _Failure(f"the file is another: {total} bytes, not {self.size or most}", True)
        if total is not None:
            check_space(self.target.parent, total - self.have, self.target.name)
        need = total or most  # with nothing here, which is how a full disk is left
        with self._writing(need):
            file = self.part.open("r+b" if start else "wb", buffering=0)
        with file:
            # Not before: what was here of another version must never bear this one's tag.
            self._remember(address, response.headers)
            self.watcher.begin(f"downloading {self.target.name} from {address}", total, start)
            file.seek(start)
            for block in self._blocks(response):
                if start + len(block) > most:
                    self.clear()
                    raise _Failure(f"it sends more than {most} bytes", lasting=True)
                with self._writing(need):
                    if file.write(block) < len(block):  # there was room for some of it
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                start += len(block)
                self.watcher.advance(len(block))
        if total is not None and start < total:
            raise _Failure(f"the connection was cut at {start} of {total} bytes")

    def _blocks(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        """The body as it comes, while it does come."""
        since, count = time.monotonic(), 0
        while True:
            with _network():
                block = response.read1(_BLOCK)
            if not block:
                return
            yield block
            count += len(block)
            if (now := time.monotonic()) - since >= self.patience.seconds:
                if count < _LEAST_RATE * (now - since):
                    raise _of_network(TimeoutError())
                since, count = now, 0

    @contextlib.contextmanager
    def _writing(self, need: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            folder = self.target.parent
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                with contextlib.suppress(OSError):
                    self._unlink()
                raise full_disk(folder, need, self.target.name) from None
            raise cannot_write(folder, error) from None

    def _tag(self, address: str) -> str:
        """What told the version of the file that the part came from, at this address."""
        try:
            came = json.loads(self.origin.read_bytes())
            return str(came["tag"]) if came["address"] == address else ""
        except (OSError, ValueError, LookupError, TypeError):
            return ""

    def _remember(self, address: str, headers: Message) -> None:
        tag = headers.get("ETag", "")
        if not tag or tag.startswith("W/"):  # a weak one may stand for other bytes (RFC 9110)
            tag = headers.get("Last-Modified", "")
        with self._writing(0):
            self.origin.write_text(json.dumps({"address": address, "tag": tag}), "utf-8")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to http and https, never from the latter back."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        """See `urllib`."""
        safe = ("https",) if req.type == "https" else ("http", "https")
        if urlsplit(newurl).scheme not in safe:
            raise _Failure(f"it redirects to {newurl}, which is not {safe[0]}", lasting=True)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _opener() -> urllib.request.OpenerDirector:
    # Not `build_opener`, whose openers know file:, ftp: and data: too.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        _Redirects,
    ):
        opener.add_handler(handler())
    return opener


@contextlib.contextmanager
def _network() -> Iterator[None]:
    """Turns what a network does to the block into a _Failure, but for a server's own errors."""
    try:
        yield
    except urllib.error.HTTPError:
        raise
    except urllib.error.URLError as error:
        raise _of_network(error.reason) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _of_network(error) from None


def _of_network(error: object) -> _Failure:
    if isinstance(error, TimeoutError):
        return _Failure("no answer in time")
    if isinstance(error, http.client.IncompleteRead):
        return _Failure("the connection was cut")
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    # A host that is not found, or refuses, would do so again.
    lasting = isinstance(error, socket.gaierror | ConnectionRefusedError | ValueError)
    return _Failure(str(reason), lasting)


def _total(headers: Message) -> int | None:
    return _number(r"bytes .*/(\d+)", headers.get("Content-Range", ""))


def _first(headers: Message) -> int | None:
    return _number(r"bytes (\d+)-.*", headers.get("Content-Range", ""))


def _number(pattern: str, text: str) -> int | None:
    """The number at a place of a header; none where it has another form or is beyond belief."""
    found = re.fullmatch(pattern, text, re.ASCII)
    return int(found[1]) if found and len(found[1]) < 16 else None
