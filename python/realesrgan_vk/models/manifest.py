"""`manifest.json` in a folder of networks: what each is, and the hashes of its files.

The file may come from anywhere, so everything in it that becomes a path or a name is checked here.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realesrgan_vk.errors import ModelError, printable
from realesrgan_vk.models.bounded_json import MAX_BYTES, read_json
from realesrgan_vk.models.names import checked_name, is_plain_file_name, shortened

MANIFEST = "manifest.json"
_SHA256 = re.compile(r"[0-9a-fA-F]{64}|")


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file of a network.

    Attributes:
        name: In the folder of the manifest, without a path; of an official network its path in the
            package, or else relative to that folder.
        sha256: Hexadecimal, in small letters; empty when the manifest has none.
    """

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A network that a manifest lists.

    Attributes:
        name: Under which it is used.
        param: The graph.
        bin: The weights.
        weak_denoise: Name of the weakly denoising twin, or empty.
        aliases: Other names under which it is found.
        content: The whole entry as it was read, with keys that only others use.
    """

    name: str
    param: ListedFile
    bin: ListedFile
    weak_denoise: str
    aliases: tuple[str, ...]
    content: Mapping[str, Any]

    def text(self, key: str) -> str:
        """A text of the entry, such as `licence`, control characters escaped; empty if none."""
        value = self.content.get(key)
        return printable(value) if isinstance(value, str) else ""

    def number(self, key: str) -> int:
        """A whole number of the entry, such as `scale`; 0 if none."""
        value = self.content.get(key)
        return value if isinstance(value, int) else 0


def manifest_entries(folder: Path) -> list[Entry]:
    """The entries of a folder's `manifest.json`; empty when there is none.

    Raises:
        ModelError: The file is not a manifest, or an entry cannot be used.
    """
    return [_entry(folder, content) for content in _contents(folder)]


def official_entries(folder: Path) -> list[Entry]:
    """The entries of the installation's own `manifest.json`, whose files lie elsewhere.

    Raises:
        ModelError: The file is missing or damaged.
    """
    try:
        entries = [_entry(folder, content, official=True) for content in _contents(folder)]
    except ModelError as error:
        raise ModelError(f"{error}; reinstall realesrgan-vk") from None
    if not entries:
        raise ModelError(f"{folder / MANIFEST} lists no networks; reinstall realesrgan-vk")
    return entries


def entry_of(param: Path) -> Entry | None:
    """The entry of a `.param` file in the manifest beside it; None when there is none.

    Raises:
        ModelError: The manifest is not one, or this entry cannot be used.
    """
    for content in _contents(param.parent):
        if content["files"]["param"]["file"] == param.name:
            return _entry(param.parent, content)
    return None


def manifest_text(contents: Iterable[Mapping[str, Any]]) -> str:
    """The text of a `manifest.json` with these entries, by name.

    Raises:
        ModelError: It would be longer than what `manifest_entries` reads.
    """
    models = sorted(contents, key=lambda content: str(content["name"]))
    text = json.dumps({"models": models}, indent=2) + "\n"
    if len(text) > MAX_BYTES:
        raise ModelError(
            f"a manifest of {len(models)} networks would be longer than {MAX_BYTES} bytes; remove "
            "some first"
        )
    return text


def _contents(folder: Path) -> list[dict[str, Any]]:
    """The entries as they were read; `files.param.file` of each is there."""
    path = folder / MANIFEST
    if not path.is_file():
        return []
    try:
        contents = read_json(path)["models"]
        for content in contents:
            _ = content["files"]["param"]["file"]
    except LookupError as error:
        raise _unusable(path, f"{error} is missing") from error
    except (OSError, ValueError, TypeError) as error:
        raise _unusable(path, str(error)) from error
    if not isinstance(contents, list):
        raise _unusable(path, "'models' is no list")
    return contents


def _entry(folder: Path, content: Mapping[str, Any], *, official: bool = False) -> Entry:
    path = folder / MANIFEST
    try:
        return Entry(
            name=checked_name(_text(content["name"], "name")),
            param=_file(content, "param", official=official),
            bin=_file(content, "bin", official=official),
            weak_denoise=_twin(content),
            aliases=tuple(content.get("aliases", ())) if official else (),
            content=content,
        )
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    except LookupError as error:
        raise _unusable(path, f"{error} is missing in an entry") from error
    except TypeError as error:
        raise _unusable(path, str(error)) from error


def _file(content: Mapping[str, Any], kind: str, *, official: bool) -> ListedFile:
    listed = content["files"][kind]
    name, digest = _text(listed["file"], "file"), _text(listed["sha256"], "sha256")
    if not (official or is_plain_file_name(name)) or not name.endswith(f".{kind}"):
        raise ModelError(
            f"{shortened(name)} is not the name of a .{kind} file in the same folder; a manifest "
            "may list only those"
        )
    if not _SHA256.fullmatch(digest):
        raise ModelError(f"{shortened(digest)} is not a SHA-256 of 64 hexadecimal digits")
    return ListedFile(name, digest.lower())


def _twin(content: Mapping[str, Any]) -> str:
    name = content.get("weak_denoise")
    if name is None or name == "":
        return ""
    try:
        return checked_name(_text(name, "weak_denoise"))
    except ModelError as error:
        raise ModelError(f"weak_denoise: {error}") from None


def _text(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise ModelError(f"{key} is {shortened(value)}, which is no text")
    return value


def _unusable(path: Path, reason: str) -> ModelError:
    return ModelError(f"{path} is not a manifest of networks ({reason}); move it away")
