"""The server of the page on a free port, with a small network, and a client that hides nothing."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from conftest import Photo

    from realesrgan_vk.page.server import App
    from realesrgan_vk.page.settings import Settings

TOKEN = "a-token-for-the-tests"
NET = "net"  # of scale 2
_SECONDS = 60.0


def require() -> None:
    """Skip the test where the server's packages are missing; with `CI` set, fail it."""
    names = ("starlette", "uvicorn", "python_multipart")
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        reason = f"{', '.join(missing)} not installed (realesrgan-vk[page])"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@dataclass
class Answer:
    """What the server said; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.body)


@dataclass
class Client:
    """Sends requests with the token of a program."""

    port: int
    headers: dict[str, str] = field(default_factory=lambda: {"Authorization": f"Bearer {TOKEN}"})

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, with these headers in place of the token where they are given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_SECONDS)
        try:
            sent = self.headers if headers is None else dict(headers)
            connection.request(method, path, body, dict(sent))
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        """A GET."""
        return self.ask("GET", path)

    def post(self, path: str, body: bytes) -> Answer:
        """A POST."""
        return self.ask("POST", path, body)

    def job(self, job_id: str) -> dict[str, Any]:
        """A job as it is."""
        found: dict[str, Any] = self.get(f"/api/jobs/{job_id}").data
        return found

    def upscale(self, query: str, body: bytes) -> dict[str, Any]:
        """A job that was made and has ended."""
        made = self.post(f"/api/jobs?{query}", body)
        assert made.status == 202, made.body
        return self.ended(made.data["id"])

    def ended(self, job_id: str) -> dict[str, Any]:
        """A job once it has ended."""
        return self.when(job_id, "done", "failed", "cancelled")

    def when(self, job_id: str, *states: str) -> dict[str, Any]:
        """A job once it is in one of these states."""
        until = time.monotonic() + _SECONDS
        while time.monotonic() < until:
            job = self.job(job_id)
            if job["status"] in states:
                return job
            time.sleep(0.02)
        raise AssertionError(f"after {_SECONDS} s: {job}")


@dataclass
class Running:
    """A server that runs."""

    client: Client
    app: App
    settings: Settings


class Servers:
    """Starts servers on the CPU whose jobs are in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def run(self, **changes: object) -> Iterator[Running]:
        """A server, until the end of the context; `changes` of its settings."""
        from realesrgan_vk.page.server import App, Server, open_sockets  # noqa: PLC0415
        from realesrgan_vk.page.settings import Settings  # noqa: PLC0415

        sockets = open_sockets(("127.0.0.1",), int(str(changes.pop("port", 0))))
        port = int(sockets[0].getsockname()[1])
        given: dict[str, Any] = {
            "folder": self.folder,
            "token": TOKEN,
            "port": port,
            "devices": ("cpu",),
            "threads": 1,
            **changes,
        }
        settings = Settings(**given)
        app = App(settings)
        server = Server(app, settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": sockets})
        thread.start()
        try:
            yield Running(Client(port), app, settings)
        finally:
            server.should_exit = True
            thread.join(_SECONDS)
            for each in sockets:
                each.close()
            assert not thread.is_alive()


def picture(photo: Photo, width: int, height: int, kind: str) -> bytes:
    """A photograph as a file of this kind."""
    out = BytesIO()
    Image.fromarray(photo(width, height)).save(out, kind)
    return out.getvalue()
