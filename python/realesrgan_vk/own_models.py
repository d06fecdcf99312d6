"""The folder where a user's own networks are installed, and what manifests say of them."""

import json
from pathlib import Path
from typing import Any

from realesrgan_vk.errors import ModelError

MANIFEST = "manifest.json"


def own_models_folder() -> Path:
    """Where `realesrgan-vk models add` installs; it may not exist yet."""
    from platformdirs import user_data_path  # noqa: PLC0415 - takes long, and is needed by few

    return user_data_path("realesrgan-vk") / "models"


def manifest_entries(folder: Path) -> list[dict[str, Any]]:
    """What a folder's `manifest.json` lists; nothing when there is none.

    Raises:
        ModelError: The file is not a manifest.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return []
    try:
        entries = json.loads(path.read_text("utf-8"))["models"]
        for entry in entries:
            files = [entry["files"][kind] for kind in ("param", "bin")]
            texts = [entry["name"], *(file[key] for file in files for key in ("file", "sha256"))]
            if not all(isinstance(text, str) for text in texts):
                raise TypeError("a name or a hash is no text")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is not a manifest of networks ({error!r}); remove it") from error
    return list(entries)


def entry_of(param: Path) -> dict[str, Any] | None:
    """What the manifest beside a `.param` file says of it, if there is one and it lists it.

    Raises:
        ModelError: The manifest is not one.
    """
    for entry in manifest_entries(param.parent):
        if entry["files"]["param"]["file"] == param.name:
            return entry
    return None
