"""`realesrgan-train preview`: see what the degradation does to the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from realesrgan_train.cli.reporting import reported_errors
from realesrgan_train.cli.runs import ConfigArgument, OverridesArgument
from realesrgan_train.config import load_config
from realesrgan_train.data.opening import open_sources
from realesrgan_train.data.sampler import picture_at
from realesrgan_train.errors import ConfigError
from realesrgan_train.preview import preview as draw_sheet


def preview(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    count: Annotated[int, typer.Option(min=1, max=64, help="Number of pictures on the sheet.")] = 8,
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("preview.png"),
) -> None:
    """Write a contact sheet: each picture, sharpened, and degraded with the parameters drawn."""
    with reported_errors():
        checked = load_config(config, overrides or [])
        if not out.parent.is_dir():
            raise ConfigError(f"--out {out}: the folder {out.parent} does not exist")
        source = open_sources(checked.data.pictures)
        if source is None:
            raise ConfigError("data.pictures is empty: name a folder, data.pictures=FOLDER")
        indices = [picture_at(n, len(source), checked.seed) for n in range(min(count, len(source)))]
        pictures = [source.decode(index) for index in indices]
        draw_sheet(pictures, checked.degradation, checked.scale, out, checked.seed)
        typer.echo(str(out))
