"""The `manifest.json` beside exported networks: what each is, where it comes from, how equal."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realesrgan_export.errors import ExportError
from realesrgan_export.source import file_sha256

MANIFEST = "manifest.json"


def read_entries(folder: Path) -> list[dict[str, Any]]:
    """Return the networks a folder's manifest lists; none when there is no manifest.

    Raises:
        ExportError: if the manifest is not one.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return []
    try:
        entries = json.loads(path.read_text("utf-8"))["models"]
        if not all(isinstance(entry["name"], str) for entry in entries):
            raise TypeError("a name is no text")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"{path}: not a manifest of networks ({error}); move it away or give another folder"
        ) from error
    return list(entries)


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


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name beside it, then rename it.

    Raises:
        OSError: if it cannot be written; an older file of that name is untouched then.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def file_entry(path: Path) -> dict[str, str]:
    """Return a file's name and SHA-256, as manifests list it."""
    return {"file": path.name, "sha256": file_sha256(path)}
