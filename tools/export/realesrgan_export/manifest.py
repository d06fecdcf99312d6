"""The `manifest.json` beside exported networks: what each is, where it comes from, how equal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realesrgan_export.errors import ExportError
from realesrgan_train.wording import first_line
from realesrgan_vk.models.bounded_json import read_json
from realesrgan_vk.models.checksums import file_sha256

MANIFEST = "manifest.json"


def read_entries(folder: Path) -> list[dict[str, Any]]:
    """Return the networks a folder's manifest lists; none when there is no manifest.

    Raises:
        ExportError: if the manifest is not one.
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
    """Return the text of a folder's manifest with one network added or replaced.

    Args:
        folder: where the manifest is or will be.
        entry: has a `name`.

    Raises:
        ExportError: if the present manifest is not one.
    """
    others = [known for known in read_entries(folder) if known["name"] != entry["name"]]
    models = sorted([*others, dict(entry)], key=lambda known: str(known["name"]))
    return json.dumps({"models": models}, indent=2) + "\n"


def listed_file(folder: Path, name: str, kind: str) -> str | None:
    """Return what a folder's manifest calls a network's file of a kind, such as `onnx`.

    Raises:
        ExportError: if the manifest is not one.
    """
    for entry in read_entries(folder):
        files = entry.get("files")
        if entry["name"] == name and isinstance(files, dict) and isinstance(files.get(kind), dict):
            return str(files[kind].get("file", ""))
    return None


def file_entry(path: Path) -> dict[str, str]:
    """Return a file's name and SHA-256, as manifests list it."""
    return {"file": path.name, "sha256": file_sha256(path)}
