"""`realesrgan-train doctor`: find out before step 1 what would go wrong later."""

from __future__ import annotations

from typing import Annotated

import typer

from realesrgan_train.cli.reporting import reported_errors
from realesrgan_train.cli.runs import ConfigArgument, OverridesArgument
from realesrgan_train.config import load_config
from realesrgan_train.doctor.examine import examine
from realesrgan_train.doctor.report import Finding

_WARNINGS_ONLY = 10


def _exit_code(findings: list[Finding]) -> int:
    errors = [finding.exit_code for finding in findings if finding.exit_code]
    if errors:
        return max(errors)
    return _WARNINGS_ONLY if findings else 0


def doctor(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    limit: Annotated[
        int,
        typer.Option(min=0, help="Pictures to examine of each source, evenly spread; 0 for all."),
    ] = 0,
) -> None:
    """Check configuration, pictures, pairs, start weights and memory.

    Exit codes: 0 no problems; 10 warnings only; 2 configuration; 3 pictures; 4 start weights.
    """
    with reported_errors():
        checked = load_config(config, overrides or [])
        report = examine(checked, limit, typer.echo)
        for finding in report.findings:
            word = "error" if finding.exit_code else "warning"
            typer.echo(f"{word}: {finding.message}")
        for line in report.memory:
            typer.echo(line)
        code = _exit_code(report.findings)
        typer.echo("no problems found" if code == 0 else f"problems found: {len(report.findings)}")
        if code:
            raise typer.Exit(code)
