"""A web server on 127.0.0.1 that misbehaves as it is told, and one who listens to downloads."""

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """What lies at one address."""

    body: bytes = b""
    status: int = 200
    ranges: bool = True
    """Whether parts of it can be had."""
    length: bool = True
    """Whether the server says how long it is."""
    tag: str = '"one"'
    """Its version."""
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the connection is cut, for one request after another."""
    stall: int | None = None
    """Bytes after which nothing more comes."""
    drip: int = 0
    """Bytes that come at a time, twenty times a second, for at most three seconds."""
    redirect: str = ""
    shift: int = 0
    """By how much a part lies elsewhere than was asked for."""
    headers: dict[str, str] = field(default_factory=dict)
    """What to say in place of the truth."""


class Listener:
    """A `downloads.Watcher` that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.begun: list[tuple[int | None, int]] = []
        self.here = 0

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        self.begun.append((total, done))

    def advance(self, count: int) -> None:
        self.here += count

    def say(self, line: str) -> None:
        self.lines.append(line)


@dataclass
class Request:
    """What the server was asked for."""

    path: str
    range: str | None
    if_range: str | None
    sent: int = 0
    """Bytes of the body that went out."""


class Server:
    """Pages by path, and what was asked of them."""

    def __init__(self, port: int):
        self.root = f"http://127.0.0.1:{port}"
        self.pages: dict[str, Page] = {}
        self.requests: list[Request] = []
        self.stalled = threading.Event()
        """Is set once a page has stalled."""
        self.over = threading.Event()

    def put(self, path: str, page: Page) -> str:
        """Puts a page at a path; returns its address."""
        self.pages[path] = page
        return self.root + path

    def ranges(self) -> list[str | None]:
        """The parts that were asked for, one after another."""
        return [request.range for request in self.requests]

    def sent(self) -> int:
        """Bytes of all bodies that went out."""
        return sum(request.sent for request in self.requests)


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A server that runs within the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self, server)

        def log_message(self, format: str, *args: object) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    server = Server(web.server_address[1])
    thread = threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        web.shutdown()
        web.server_close()
        thread.join()


def answer(handler: BaseHTTPRequestHandler, server: Server) -> None:
    asked = Request(handler.path, handler.headers["Range"], handler.headers["If-Range"])
    server.requests.append(asked)
    page = server.pages.get(handler.path, Page(status=404))
    handler.close_connection = True
    start, status = 0, page.status
    part = re.fullmatch(r"bytes=(\d+)-", asked.range or "")
    if status == 200 and page.ranges and part and asked.if_range in (None, page.tag):
        start, status = int(part[1]) + page.shift, 206
        if start >= len(page.body):
            status = 416
    handler.send_response(302 if page.redirect else status)
    if page.redirect:
        handler.send_header("Location", page.redirect)
    if page.tag:
        handler.send_header("ETag", page.tag)
    body = page.body[start:] if status in (200, 206) else b""
    if status == 206:
        last = len(page.body) - 1
        handler.send_header("Content-Range", f"bytes {start}-{last}/{len(page.body)}")
    elif status == 416:
        handler.send_header("Content-Range", f"bytes */{len(page.body)}")
    for name, value in page.headers.items():
        handler.send_header(name, value)
    if page.length and "Content-Length" not in page.headers:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if status in (200, 206) and page.cuts:
        body = body[: page.cuts.pop(0)]
    if page.stall is not None:
        body = body[: page.stall]
    with contextlib.suppress(OSError):  # the other side has left
        step = page.drip or 1000
        for at in range(0, len(body), step):
            handler.wfile.write(body[at : at + step])
            asked.sent += len(body[at : at + step])
            if page.drip and (server.over.wait(0.05) or at > 60 * page.drip):
                return  # who is patient has heard enough
        handler.wfile.flush()
        if page.stall is not None:
            server.stalled.set()
            server.over.wait(20)
