"""`realesrgan-train run`: start a run, or continue it."""

from __future__ import annotations

from typing import Annotated

import typer

from realesrgan_train.cli.reporting import INTERRUPTED, reported_errors
from realesrgan_train.config import config_to_yaml, load_config
from realesrgan_train.engine import Trainer, process_group

ConfigArgument = Annotated[
    str, typer.Argument(metavar="CONFIG", help="A YAML file, or the name of a preset.")
]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Values to override, such as data.batch_size=4."),
]


def run(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the resolved configuration without training.")
    ] = False,
) -> None:
    """Train; the same command continues a run that was stopped or killed.

    Under torchrun it trains on many processes:
    torchrun --nproc-per-node=4 -m realesrgan_train run CONFIG
    """
    with reported_errors():
        checked = load_config(config, overrides or [])
        if dry_run:
            typer.echo(config_to_yaml(checked), nl=False)
            return
        with process_group(checked.execution.device) as group:
            result = Trainer(checked, group).run()
        if not result.finished:
            typer.echo(f"stopped after step {result.step}; the same command continues", err=True)
            raise typer.Exit(INTERRUPTED)
        if group.is_main:
            typer.echo(f"weights: {checked.run_dir / 'weights'}")
