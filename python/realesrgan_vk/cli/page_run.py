"""What `realesrgan-vk page` does with its arguments, which are described in `page`."""

import ipaddress
import os
import secrets
import sys
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path

from realesrgan_vk.cli.interruption import exit_code
from realesrgan_vk.cli.messages import say, show
from realesrgan_vk.cli.options import usage_errors
from realesrgan_vk.models.user_store import own_cache_folder
from realesrgan_vk.page.jobs import FINISHED, Jobs
from realesrgan_vk.page.server import open_sockets, serve
from realesrgan_vk.page.settings import LOOPBACK, Settings


def run(
    *,
    port: int | None,
    addresses: tuple[str, ...],
    hosts: tuple[str, ...],
    token: str | None,
    password: str | None,
    open_browser: bool,
    devices: tuple[str, ...],
    threads: int | None,
    memory_limit: int | None,
    max_pixels: int,
    max_upload: int,
    queue: int,
    folder: str | None,
    keep_hours: float,
    keep_size: int,
) -> None:
    """Run the server until it is interrupted.

    Raises:
        click.UsageError: It cannot start.
        SystemExit: It was interrupted.
    """
    listen = addresses or LOOPBACK
    place = Path(folder) if folder else own_cache_folder() / "page"
    with usage_errors():
        try:
            sockets = open_sockets(listen, port)
        except OSError as error:
            raise ValueError(
                f"cannot listen on {', '.join(listen)}, port {port}: {error.strerror or error}"
            ) from error
        settings = Settings(
            folder=place,
            token=token or secrets.token_urlsafe(24),
            password=password or "",
            port=int(sockets[0].getsockname()[1]),
            any_address=any(ipaddress.ip_address(each).is_unspecified for each in listen),
            hosts=(*hosts, *listen),
            devices=devices,
            threads=threads,
            memory_limit=memory_limit,
            queue=queue,
            max_upload=max_upload,
            max_pixels=max_pixels,
            keep_seconds=keep_hours * 3600,
            keep_bytes=keep_size,
        )
    last: list[Jobs] = []

    def ready(jobs: Jobs) -> None:
        last.append(jobs)
        address = f"http://{_shown(listen[0])}:{settings.port}/?token={settings.token}"
        show(address)
        say("the page runs until Ctrl-C")
        if open_browser and _has_display():
            threading.Thread(target=_open, args=(address,), daemon=True).start()

    try:
        with usage_errors():
            try:
                serve(settings, sockets, ready)
            except TimeoutError as error:
                raise ValueError(
                    f"another server keeps its jobs in {place}; stop it, or give another --folder"
                ) from error
    except KeyboardInterrupt as error:
        left = sum(job.status not in FINISHED for jobs in last for job in jobs.all())
        say(f"stopped; {left} jobs go on at the next start" if left else "stopped")
        raise SystemExit(exit_code(error)) from error


def _shown(address: str) -> str:
    """An address as a browser on this machine reaches it."""
    known = ipaddress.ip_address(address)
    if known.is_unspecified:
        return "127.0.0.1" if known.version == 4 else "[::1]"
    return f"[{address}]" if known.version == 6 else address


def _has_display() -> bool:
    """Whether a browser has a screen; one in the terminal would take it from the server."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _open(address: str) -> None:
    with suppress(webbrowser.Error, OSError):
        webbrowser.open(address)
