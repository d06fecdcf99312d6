"""Servers of the tests' own on this machine; what skips where a package is missing."""

import contextlib
import functools
import http.server
import importlib.util
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest


def require(*packages: str) -> None:
    """Skip the test where one of the packages is missing; in CI, where `CI` is set, fail it."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if not missing:
        return
    words = f"not installed: {', '.join(missing)}"
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextlib.contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """The address of a web server that lists and gives the files of a folder."""
    handler = functools.partial(_Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextlib.contextmanager
def stalling_proxy(port: int, most: int) -> Iterator[tuple[int, threading.Event]]:
    """A port that passes on to another one; of a connection no more than `most` bytes go up.

    Yields the port, and an event that is set when a connection has sent more.
    """
    stalled = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def passes_on(source: socket.socket, target: socket.socket, limit: int | None) -> None:
        passed = 0
        with contextlib.suppress(OSError), source:
            while part := source.recv(4096):
                passed += len(part)
                if limit is not None and passed > limit:
                    stalled.set()
                    continue
                target.sendall(part)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
                for pair in ((client, server, most), (server, client, None)):
                    threading.Thread(target=passes_on, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with listener:
        yield listener.getsockname()[1], stalled
