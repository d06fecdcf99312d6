"""Official networks that no package carries: fetched from their release, converted, installed."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from realesrgan_vk.errors import ModelError
from realesrgan_vk.models.add import add_models
from realesrgan_vk.models.download import Progress, download
from realesrgan_vk.models.manifest import MANIFEST, manifest_text
from realesrgan_vk.models.names import escaped, name_key
from realesrgan_vk.models.published import PUBLISHED, Published
from realesrgan_vk.models.registry import official_name
from realesrgan_vk.models.user_store import locked

SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def find_published(name: str) -> Published:
    """The checkpoint of a name, written as upstream writes it or as it is installed.

    Raises:
        ModelError: There is none.
    """
    wanted = name_key(name).removesuffix(".pth")
    for published in PUBLISHED:
        if name_key(published.name) == wanted:
            return published
    names = ", ".join(published.name for published in PUBLISHED)
    if official_name(name):
        raise ModelError(f"{escaped(name)} is installed already; to pull, choose one of {names}")
    raise ModelError(f"{escaped(name)} cannot be pulled; choose one of {names}")


def pull_model(
    name: str,
    sha256: str | None = None,
    progress: Callable[[str], Progress] | None = None,
    folder: Path | None = None,
    *,
    replacing: bool = True,
) -> list[str]:
    """Fetch, check, convert and install a network and its twin.

    Args:
        name: One of `PUBLISHED`.
        sha256: The file's hash, instead of the recorded one; needed where none is recorded.
        progress: Gives the callback for a file of a name.
        folder: Where to install; by default with the user's own.
        replacing: Whether another network that has the name already is replaced.

    Returns:
        The names that were installed.

    Raises:
        ModelError: No such network, no connection, a wrong hash, or a file that is no such
            network.
    """
    published = find_published(name)
    if sha256 is not None and not SHA256.fullmatch(sha256):
        raise ModelError(f"--sha256 takes 64 hexadecimal digits, not {sha256!r}")
    if not (sha256 or published.sha256):
        raise ModelError(
            f"{published.name}: no SHA-256 of {published.url} is known for certain, and nothing is "
            "installed unchecked; get the file's hash from somebody you trust who has the file "
            f"(sha256sum {published.url.rpartition('/')[2]}), then give it: "
            f"realesrgan-vk models pull {published.name} --sha256 HASH"
        )
    wanted = [(published, sha256 or published.sha256)]
    if published.twin:
        twin = find_published(published.twin)
        wanted.append((twin, twin.sha256))
    cache = user_cache_path("realesrgan-vk") / "checkpoints"
    fetched = []
    try:
        with locked(cache):
            for item, digest in wanted:
                told = progress(item.name) if progress else None
                target = cache / item.url.rpartition("/")[2]
                path = download(item.url, target, digest, told, item.max_bytes)
                fetched.append((item, path))
    except OSError as error:
        raise ModelError(
            f"folder {cache} cannot be written ({error.strerror or error}); it is your cache "
            "folder, XDG_CACHE_HOME"
        ) from error
    with tempfile.TemporaryDirectory(prefix="realesrgan-vk-") as scratch:
        entries = [_converted(item, path, Path(scratch)) for item, path in fetched]
        Path(scratch, MANIFEST).write_text(manifest_text(entries), "utf-8")
        return add_models(Path(scratch), folder, replacing=replacing)


def _converted(item: Published, checkpoint: Path, folder: Path) -> dict[str, Any]:
    """Write a checkpoint's network into a folder; returns its entry for the manifest."""
    # It imports NumPy, which the other commands for networks do without.
    from realesrgan_vk.models.checkpoint_network import convert_checkpoint  # noqa: PLC0415

    entry = convert_checkpoint(checkpoint, folder, item.name)
    entry |= {"for": item.made_for, "licence": "BSD-3-Clause", "origin": item.url}
    return entry | ({"weak_denoise": item.twin} if item.twin else {})
