"""The server: its application, its sockets, and its start and end."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any

import uvicorn
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from realesrgan_vk.image_io.codecs import vips
from realesrgan_vk.models.user_store import locked
from realesrgan_vk.page.access import Access
from realesrgan_vk.page.api import Api
from realesrgan_vk.page.jobs import Jobs
from realesrgan_vk.page.problems import Problem
from realesrgan_vk.page.settings import DEFAULT_PORT, LOOPBACK, Settings
from realesrgan_vk.page.workers import Workers

_EXPIRY_SECONDS = 60.0
_END_SECONDS = 3  # until connections are closed at the end


class App:
    """The application and what it consists of."""

    def __init__(self, settings: Settings) -> None:
        """Read the jobs of earlier runs and find the devices; nothing is started.

        Raises:
            DeviceError: There is no such device.
            OSError: The folder cannot be written.
        """
        vips.keep_nothing()  # that was cut, nor files that are removed
        self.jobs = Jobs(
            settings.folder, settings.queue, settings.keep_seconds, settings.keep_bytes
        )
        self.workers = Workers(settings, self.jobs)
        self.api = Api(settings, self.jobs, self.workers)
        self.asgi = Starlette(
            routes=self.api.routes(),
            middleware=[Middleware(Access, settings=settings)],
            exception_handlers={
                Problem: _refused,
                HTTPException: _refused,
                Exception: _failed,
            },
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self.workers.start([job for job in self.jobs.all() if job.status == "queued"])
        cleaning = asyncio.create_task(self._clean())
        try:
            yield
        finally:
            cleaning.cancel()
            await to_thread.run_sync(self.api.tile_maker.stop)
            await to_thread.run_sync(self.workers.stop)

    async def _clean(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRY_SECONDS)
            with suppress(OSError):
                await to_thread.run_sync(self.jobs.expire)


async def _refused(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        error = Problem(error.status_code, error.detail, headers=error.headers)
    assert isinstance(error, Problem)  # no other is registered
    return error.response()


async def _failed(_: Request, error: Exception) -> Response:
    return Problem(500, f"the server has failed: {type(error).__name__}").response()


def _protocol(settings: Settings) -> type[H11Protocol]:
    """The protocol of uvicorn with a time within which the head of a request must be complete.

    Without it a client that sends a byte now and then holds a connection for ever.
    """

    class Protocol(H11Protocol):
        def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - uvicorn's
            super().__init__(*arguments, **named)
            self._due: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._await_head()

        def data_received(self, data: bytes) -> None:
            if self._is_idle():
                self._await_head()
            super().data_received(data)
            if not self._is_idle():
                self._head_came()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_came()
            super().connection_lost(exc)

        def _is_idle(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _await_head(self) -> None:
            if self._due is None:
                loop = asyncio.get_running_loop()
                self._due = loop.call_later(settings.header_seconds, self.transport.close)

        def _head_came(self) -> None:
            if self._due is not None:
                self._due.cancel()
                self._due = None

    return Protocol


class Server(uvicorn.Server):
    """Serves an application; ends the event streams, which would otherwise go on, at its end."""

    def __init__(self, app: App, settings: Settings) -> None:
        """Nothing is started; `run` does."""
        config = uvicorn.Config(
            app.asgi,
            http=_protocol(settings),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=settings.connections,
            timeout_graceful_shutdown=_END_SECONDS,
        )
        super().__init__(config)
        self._stop_streams = app.api.streams.stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        self._stop_streams()
        await super().shutdown(sockets)


def open_sockets(addresses: Sequence[str], port: int | None) -> list[socket.socket]:
    """Sockets of all addresses with one port.

    Args:
        addresses: Where to listen. Of the machine's own one may be missing.
        port: None: the usual one, or another where that is taken; 0: one that is free.

    Raises:
        OSError: An address or the port cannot be had.
    """
    try:
        return _sockets(addresses, DEFAULT_PORT if port is None else port)
    except OSError:
        if port is not None:
            raise
        return _sockets(addresses, 0)


def _sockets(addresses: Sequence[str], port: int) -> list[socket.socket]:
    opened: list[socket.socket] = []
    try:
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                listening = socket.create_server((address, port), family=family, backlog=128)
            except OSError:
                if not opened or address not in LOOPBACK:  # a machine without IPv6
                    raise
                continue
            # Connections inherit it. asyncio sets it only for sockets whose protocol is named, and
            # without it an answer waits 40 ms for the acknowledgement of its head.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened.append(listening)
            port = int(listening.getsockname()[1])
    except OSError:
        for each in opened:
            each.close()
        raise
    return opened


def serve(
    settings: Settings, sockets: list[socket.socket], ready: Callable[[Jobs], object]
) -> None:
    """Run the server until a signal comes, which is raised again at the end.

    Args:
        settings: How it runs.
        sockets: Where it listens; they are closed.
        ready: Called when requests will be answered.

    Raises:
        DeviceError: There is no such device.
        TimeoutError: Another server uses the folder.
        OSError: The folder cannot be written.
    """
    with ExitStack() as opened:
        for each in sockets:
            opened.enter_context(each)  # closed also where the server does not begin
        settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # the pictures are private
        opened.enter_context(locked(settings.folder, wait=0))
        app = App(settings)
        os.environ.setdefault("SVT_LOG", "-1")  # SVT-AV1 prints its settings
        for name in ("uvicorn", "python_multipart"):  # what is wrong with requests is answered
            logging.getLogger(name).setLevel(logging.ERROR)
        ready(app.jobs)
        Server(app, settings).run(sockets=sockets)
