"""Install networks for `-m NAME` and the API: `realesrgan-vk models add`."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realesrgan_vk import _core
from realesrgan_vk.errors import ModelError
from realesrgan_vk.install_files import install_files
from realesrgan_vk.models import model_at, official_names
from realesrgan_vk.own_models import MANIFEST, entry_of, manifest_entries, own_models_folder

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class _Candidate:
    param: Path
    bin: Path
    entry: dict[str, Any]


def add_models(source: Path, folder: Path | None = None) -> list[str]:
    """Copy networks into the folder of the user's own; all of them, or none.

    Args:
        source: A `.param` or `.bin` file with the other beside it, or a folder of such files, with
            or without the `manifest.json` that `realesrgan-export` writes.
        folder: Where to; by default `own_models_folder()`. A network of the same name there is
            replaced.

    Returns:
        The names under which they can be used.

    Raises:
        ModelError: A file is missing or damaged, is no network for pictures, has the name of an
            official network, or the folder cannot be written.
    """
    folder = folder or own_models_folder()
    candidates = [_candidate(param) for param in _params(source)]
    names = [str(candidate.entry["name"]) for candidate in candidates]
    kept = [entry for entry in manifest_entries(folder) if entry["name"] not in names]
    entries = kept + [candidate.entry for candidate in candidates]
    entries.sort(key=lambda entry: str(entry["name"]))
    manifest = json.dumps({"models": entries}, indent=2) + "\n"
    # A .param is what makes a network usable, so those come last.
    files = {each.entry["files"]["bin"]["file"]: each.bin.read_bytes() for each in candidates}
    files[MANIFEST] = manifest.encode()
    files |= {each.entry["files"]["param"]["file"]: each.param.read_bytes() for each in candidates}
    try:
        install_files(folder, files)
    except OSError as error:
        raise ModelError(
            f"folder {folder} cannot be written ({error.strerror or error}); nothing was added"
        ) from error
    return names


def _params(source: Path) -> list[Path]:
    if source.is_dir():
        listed = [source / entry["files"]["param"]["file"] for entry in manifest_entries(source)]
        found = listed or sorted(source.glob("*.param"))
        if not found:
            raise ModelError(f"folder {source} has no .param file; give a network's NAME.param")
        return found
    if source.suffix not in (".param", ".bin"):
        raise ModelError(f"{source} is no network; give a .param file or a folder with one")
    return [source.with_suffix(".param")]


def _candidate(param: Path) -> _Candidate:
    entry = dict(entry_of(param) or {})
    weights = param.parent / entry["files"]["bin"]["file"] if entry else param.with_suffix(".bin")
    name = str(entry.get("name", param.stem))
    if not NAME.fullmatch(name):
        raise ModelError(
            f"{param}: {name!r} cannot name a network; use letters, digits, '.', '-' and '_'"
        )
    if name in official_names():
        raise ModelError(f"{param}: {name} is the name of an official network; rename the files")
    if weights == param.with_suffix(".bin"):
        model_at(param)
    network = _loaded(param, weights)
    files = {}
    for kind, path in (("param", param), ("bin", weights)):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if entry and entry["files"][kind]["sha256"] != digest:
            raise ModelError(f"{path} is damaged (SHA-256); export or copy it again")
        files[kind] = {"file": f"{name}.{kind}", "sha256": digest}
    described = {"architecture": "", "licence": "", "origin": "", **entry}
    described |= {"name": name, "scale": network.scale, "channels": network.output_channels}
    return _Candidate(param, weights, described | {"files": files})


def _loaded(param: Path, weights: Path) -> _core.NetworkInfo:
    """Load the network once, which tells whether the two files belong together."""
    try:
        network = _core.Upscaler(str(param), str(weights), device=_core.CPU_DEVICE).network
    except ModelError as error:
        text = str(error)
        raise ModelError(text if str(param.parent) in text else f"{param}: {text}") from error
    if (network.input_channels, network.output_channels) not in ((1, 1), (3, 3)):
        raise ModelError(
            f"{param} maps {network.input_channels} channels to {network.output_channels}; only "
            "1 to 1 and 3 to 3 can be used on pictures"
        )
    return network
