"""How the server of the page runs."""

from dataclasses import dataclass
from pathlib import Path

from realesrgan_vk.options import DEFAULT_MAX_PIXELS

LOOPBACK = ("127.0.0.1", "::1")
DEFAULT_PORT = 8632


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the server runs; times in seconds.

    Attributes:
        folder: Where jobs are kept.
        token: What a request must carry.
        password: What may be typed in place of the token; empty: nothing.
        port: Where the server listens; it names the cookie.
        any_address: Whether the `Host` of a request may be any IP address.
        hosts: Names and addresses that `Host` may have, besides the machine's own.
        devices: As `Upscaler` takes one; each has a worker.
        threads: CPU threads of a run; None: one a core.
        memory_limit: Bytes of a run; None: a share of what is free.
        queue: Jobs that wait at most, those that are being uploaded included.
        max_upload: Bytes of a request's body.
        max_pixels: Of a picture.
        max_result_pixels: Of a result.
        keep_seconds: How long a finished job is kept.
        keep_bytes: What all jobs may take on the disk; the oldest finished ones make room.
        header_seconds: Until a request's head must be complete.
        chunk_seconds: Until the next part of a body must come.
        least_rate: Bytes a second that a body must have on the average, after `chunk_seconds`.
        tile_pixels: Of results that are shown by tiles, at least.
        streams: Event streams that may be open.
        connections: Connections that may be open.
        login_seconds: Between two passwords that are tried.
    """

    folder: Path
    token: str
    password: str = ""
    port: int = DEFAULT_PORT
    any_address: bool = False
    hosts: tuple[str, ...] = ()
    devices: tuple[str | int, ...] = ("auto",)
    threads: int | None = None
    memory_limit: int | None = None
    queue: int = 16
    max_upload: int = 512 << 20
    max_pixels: int = DEFAULT_MAX_PIXELS
    max_result_pixels: int = 16 * DEFAULT_MAX_PIXELS
    keep_seconds: float = 24 * 3600.0
    keep_bytes: int = 8 << 30
    header_seconds: float = 10.0
    chunk_seconds: float = 30.0
    least_rate: float = 16 * 1024.0
    tile_pixels: int = 100_000_000
    streams: int = 32
    connections: int = 256
    login_seconds: float = 1.0
