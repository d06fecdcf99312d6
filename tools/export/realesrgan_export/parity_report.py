"""The parity table as people read it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:  # it loads PyTorch, which --help does without
    from realesrgan_export.parity import Row


def print_rows(rows: list[Row]) -> None:
    """Print the table on standard output: errors in steps of 1/255 of full scale."""
    engines = list(dict.fromkeys(row.engine for row in rows))
    title = "difference from PyTorch with the stored weights, in steps of 1/255"
    table = Table(title=title, title_justify="left")
    table.add_column("engine")
    table.add_column("picture")
    for figure in ("max", "mean", "PSNR dB", "8-bit max", "8-bit equal"):
        table.add_column(figure, justify="right")
    for row in sorted(rows, key=lambda row: engines.index(row.engine)):
        table.add_row(
            row.engine,
            row.picture,
            f"{row.max_error * 255:.5f}",
            f"{row.mean_error * 255:.6f}",
            "equal" if math.isinf(row.psnr) else f"{row.psnr:.1f}",
            str(row.max_steps),
            f"{row.equal / row.samples:.3%}",
        )
    Console(width=None if Console().is_terminal else 120).print(table)
