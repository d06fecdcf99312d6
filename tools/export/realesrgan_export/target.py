"""The folder that results go to: names, checks before the work, and its `manifest.json`."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realesrgan_export.errors import ExportError
from realesrgan_train.wording import first_line
from realesrgan_vk.models.bounded_json import read_json
from realesrgan_vk.models.checksums import file_sha256

WEIGHTS_FOLDERS = ("weights", "models", "checkpoints")
STAGE = re.compile(r"(net|gan|model|generator|latest|best|final|net_g.*)", re.IGNORECASE)
"""File names that training programs give to every run's weights."""


def default_name(checkpoint: Path) -> str:
    """Return the file's stem, or RUN-STEM for the weights of a training run.

    A run keeps its weights as `RUN/weights/net.safetensors` (`realesrgan-train`) or
    `RUN/models/net_g_latest.pth` (BasicSR), so file names alone would call all runs alike. What
    cannot be part of a network's name becomes a hyphen. The file need not exist.
    """
    folder = checkpoint.absolute().parent
    run = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.parent.name).strip("-._")
    if STAGE.fullmatch(checkpoint.stem) and folder.name in WEIGHTS_FOLDERS and run:
        return f"{run}-{checkpoint.stem}"
    return checkpoint.stem


def check_folder(folder: Path) -> None:
    """Raise ExportError where files cannot be written into a folder, which need not exist."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise ExportError(f"{nearest} is a file; -o takes a folder")
    _check_writable(nearest, folder)


def check_file(output: Path) -> None:
    """Raise ExportError where a `.safetensors` file cannot be written."""
    if output.suffix != ".safetensors":
        raise ExportError(f"{output}: weights are written as .safetensors; rename the output")
    if output.is_dir():
        raise ExportError(f"{output} is a folder; -o takes a .safetensors file")
    if not output.parent.is_dir():
        raise ExportError(f"{output.parent}: no such folder; make it first")
    _check_writable(output.parent, output)


def _check_writable(folder: Path, wanted: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):  # leaves no trace
            pass
    except OSError as error:
        raise ExportError(
            f"{wanted}: nothing can be written there ({error.strerror or first_line(error)}); give "
            "another place with -o"
        ) from error


MANIFEST = "manifest.json"


def read_entries(folder: Path) -> list[dict[str, Any]]:
    """Return the networks a folder's manifest lists; none when there is no manifest.

    Raises:
        ExportError: If the manifest is not one.
    """
    path = folder / MANIFEST
    if not path.exists():
        return []
    try:
        entries = read_json(path)["models"]
        if not isinstance(entries, list):
            raise TypeError("'models' is not a list")
        if not all(isinstance(entry["name"], str) for entry in entries):
            raise TypeError("a name is not a string")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ExportError(
            f"{path}: not a manifest of networks ({first_line(error)}); move it away or give "
            "another folder"
        ) from error
    return entries


def with_entry(folder: Path, entry: Mapping[str, Any]) -> str:
    """Return the text of a folder's manifest with one network added or replaced, by its `name`.

    Raises:
        ExportError: If the present manifest is not one.
    """
    others = [known for known in read_entries(folder) if known["name"] != entry["name"]]
    models = sorted([*others, dict(entry)], key=lambda known: str(known["name"]))
    return json.dumps({"models": models}, indent=2) + "\n"


def listed_file(folder: Path, name: str, kind: str) -> str | None:
    """Return what a folder's manifest calls a network's file of a kind, such as `onnx`.

    Raises:
        ExportError: If the manifest is not one.
    """
    for entry in read_entries(folder):
        files = entry.get("files")
        if entry["name"] == name and isinstance(files, dict) and isinstance(files.get(kind), dict):
            return str(files[kind].get("file", ""))
    return None


def file_entry(path: Path) -> dict[str, str]:
    """Return a file's name and SHA-256, as manifests list it."""
    return {"file": path.name, "sha256": file_sha256(path)}
