"""What an exported network is called when nobody says."""

from __future__ import annotations

import re
from pathlib import Path

WEIGHTS_FOLDERS = ("weights", "models", "checkpoints")
STAGE = re.compile(r"(net|gan|model|generator|latest|best|final|net_g.*)", re.IGNORECASE)
"""File names that training programs give to every run's weights."""


def default_name(checkpoint: Path) -> str:
    """Return the file's stem, or RUN-STEM for the weights of a training run.

    A run keeps its weights as `RUN/weights/net.safetensors` (`realesrgan-train`) or
    `RUN/models/net_g_latest.pth` (BasicSR), so file names alone would call all runs alike. What
    cannot be part of a network's name becomes a hyphen.

    Args:
        checkpoint: need not exist.
    """
    folder = checkpoint.absolute().parent
    run = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.parent.name).strip("-._")
    if STAGE.fullmatch(checkpoint.stem) and folder.name in WEIGHTS_FOLDERS and run:
        return f"{run}-{checkpoint.stem}"
    return checkpoint.stem
