"""The options of `realesrgan-vk page`; what they do is in `page_run`."""

from __future__ import annotations

import ipaddress
import re

import click

from realesrgan_vk import page as page_package
from realesrgan_vk.checks import parse_bytes
from realesrgan_vk.cli import options as shared
from realesrgan_vk.cli.help import Command
from realesrgan_vk.cli.options import DEVICE, INPUT, Parsed, option
from realesrgan_vk.options import DEFAULT_MAX_PIXELS

_EPILOG = (
    "Runs until Ctrl-C. Jobs that had not ended go on at the next start. Exit code: 130 when "
    "interrupted, 143 when terminated, 2 when the server could not start."
)
_EXAMPLES = (
    "realesrgan-vk page",
    "realesrgan-vk page --port 8080 --no-open",
    "realesrgan-vk page --listen 0.0.0.0 --password 'a long password' --host upscale.example",
)
_SERVER, _KEPT = "Server", "Jobs"


def _address(text: str) -> str:
    """An IP address, or `localhost`."""
    if text == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise ValueError(f"{text!r} is no IP address, such as 127.0.0.1 or 0.0.0.0") from None


def _token(text: str) -> str:
    """A token that a cookie can hold and nobody guesses."""
    if not re.fullmatch(r"[A-Za-z0-9._~-]{16,256}", text):
        raise ValueError("a token has 16 to 256 letters, digits, '.', '_', '~' or '-'")
    return text


def _password(text: str) -> str:
    """A password that is not guessed at one try a second."""
    if not 8 <= len(text) <= 256:
        raise ValueError("a password has 8 to 256 characters")
    return text


def _host(text: str) -> str:
    """A host's name."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}", text):
        raise ValueError(f"{text!r} is no host's name; give it without a port")
    return text.lower()


def _bytes(text: str) -> int:
    """A number of bytes, such as 2GiB."""
    return parse_bytes("the size", text)


@click.command(
    cls=Command, epilog=_EPILOG, examples=_EXAMPLES, short_help="Open a page in the browser."
)
@shared.options(
    option("--port", type=click.IntRange(0, 65535), metavar="N", group=_SERVER,
           help="Default: 8632, or a free one where that is taken; 0: a free one."),
    option("--listen", "addresses", multiple=True, type=Parsed(_address), metavar="ADDRESS",
           group=_SERVER,
           help="IP address; may be repeated. Default: this machine only (127.0.0.1 and ::1). "
           "Others, such as 0.0.0.0 for all, need --token or --password."),
    option("--host", "hosts", multiple=True, type=Parsed(_host), metavar="NAME", group=_SERVER,
           help="A further name by which browsers may call the server."),
    option("--token", type=Parsed(_token), metavar="TEXT", group=_SERVER,
           envvar="REALESRGAN_VK_PAGE_TOKEN",
           help="What requests must carry; default: a new one at each start. Also "
           "$REALESRGAN_VK_PAGE_TOKEN, which other users of the machine cannot see."),
    option("--password", type=Parsed(_password), metavar="TEXT", group=_SERVER,
           envvar="REALESRGAN_VK_PAGE_PASSWORD",
           help="What may be typed instead; also $REALESRGAN_VK_PAGE_PASSWORD."),
    option("--open/--no-open", "open_browser", default=True, group=_SERVER,
           help="Open the browser (default) or only print the address."),
    shared.device_option(
        "devices", multiple=True, default=("auto",),
        help="auto (default), cpu, an index, UUID or part of a name of 'realesrgan-vk devices'; "
        "each of several does a job of its own."),
    option("--threads", type=click.IntRange(1), metavar="N", group=DEVICE,
           help="CPU threads of a job. Default: one a core."),
    option("--memory-limit", metavar="SIZE", type=Parsed(_bytes), group=DEVICE,
           help="Memory of a job, such as 500MB or 2G. Default: a share of what is free."),
    option("--max-pixels", type=click.IntRange(1), metavar="N", default=DEFAULT_MAX_PIXELS,
           group=INPUT, help=f"Refuse larger pictures. Default: {DEFAULT_MAX_PIXELS}."),
    option("--max-upload", type=Parsed(_bytes), default="512MiB", metavar="SIZE", group=INPUT,
           help="Refuse larger files. Default: 512MiB."),
    option("--queue", type=click.IntRange(1, 10000), default=16, metavar="N", group=_KEPT,
           help="Jobs that may wait. Default: 16."),
    option("--folder", type=shared.PathName(), metavar="DIR", group=_KEPT,
           help="Where jobs are kept. Default: in your cache folder."),
    option("--keep", "keep_hours", type=click.FloatRange(0, min_open=True), default=24.0,
           metavar="HOURS", group=_KEPT,
           help="How long finished jobs are kept. Default: 24."),
    option("--keep-size", type=Parsed(_bytes), default="8GiB", metavar="SIZE", group=_KEPT,
           help="What all jobs may take on the disk: the oldest make room. Default: 8GiB."),
)  # fmt: skip
def page(
    port: int | None,
    addresses: tuple[str, ...],
    token: str | None,
    password: str | None,
    **given: object,
) -> None:
    """Open a page in the browser: drop pictures, compare networks, download results.

    Everything stays on this machine. The same server is an HTTP API for other programs, described
    by /api/openapi.json. Its address, with the token, is printed on stdout.
    """
    with shared.usage_errors():
        _require_secret(addresses, token or password)
        shared.require(page_package.require_server)
    from realesrgan_vk.cli import page_run  # noqa: PLC0415 - imports the server

    page_run.run(port=port, addresses=addresses, token=token, password=password, **given)  # type: ignore[arg-type]  # as the options say


def _require_secret(addresses: tuple[str, ...], secret: str | None) -> None:
    for address in addresses:
        if not secret and not ipaddress.ip_address(address).is_loopback:
            raise ValueError(
                f"--listen {address} lets other machines in; choose a --token or --password, too"
            )
