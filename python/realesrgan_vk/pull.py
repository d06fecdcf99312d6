"""Official networks that no package carries: fetched from their release, exported, installed."""

import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path

from realesrgan_vk.add_models import add_models
from realesrgan_vk.download import Progress, download
from realesrgan_vk.errors import ModelError
from realesrgan_vk.folder_lock import locked
from realesrgan_vk.network_names import escaped, name_key
from realesrgan_vk.published import PUBLISHED, Published

SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def without_hash() -> list[str]:
    """The names that can be pulled only with a hash given."""
    return [published.name for published in PUBLISHED if not published.sha256]


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
    raise ModelError(f"{escaped(name)} cannot be pulled; choose one of {names}")


def pull_model(
    name: str,
    sha256: str | None = None,
    progress: Callable[[str], Progress] | None = None,
    folder: Path | None = None,
    *,
    replacing: bool = True,
) -> list[str]:
    """Fetch, check, export and install a network and its twin.

    Args:
        name: One of `PUBLISHED`.
        sha256: The file's hash, instead of the recorded one; needed where none is recorded.
        progress: Gives the callback for a file of a name.
        folder: Where to install; by default with the user's own.
        replacing: Whether another network that has the name already is replaced.

    Returns:
        The names that were installed.

    Raises:
        ModelError: No such network, no connection, a wrong hash, or the export failed.
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
    if importlib.util.find_spec("realesrgan_export") is None:
        raise ModelError(
            f"{published.name} is published for PyTorch and must be exported first; that needs "
            "realesrgan-export: in a checkout of this project, pip install ./training "
            "./tools/export"
        )
    wanted = [(published, sha256 or published.sha256)]
    if published.twin:
        twin = find_published(published.twin)
        wanted.append((twin, twin.sha256))
    cache = user_cache_path("realesrgan-vk") / "checkpoints"
    try:
        with locked(cache):
            fetched = [
                (
                    item,
                    download(
                        item.url,
                        cache / item.url.rpartition("/")[2],
                        digest,
                        progress(item.name) if progress else None,
                        item.max_bytes,
                    ),
                )
                for item, digest in wanted
            ]
    except OSError as error:
        raise ModelError(
            f"folder {cache} cannot be written ({error.strerror or error}); it is your cache "
            "folder, XDG_CACHE_HOME"
        ) from error
    with tempfile.TemporaryDirectory(prefix="realesrgan-vk-") as scratch:
        for item, checkpoint in fetched:
            _export(item, checkpoint, Path(scratch))
        return add_models(Path(scratch), folder, replacing=replacing)


def _export(item: Published, checkpoint: Path, folder: Path) -> None:
    """Run the exporter as a process of its own: this package never imports PyTorch."""
    command = [sys.executable, "-m", "realesrgan_export", "checkpoint", str(checkpoint)]
    command += ["--output", str(folder), "--name", item.name, "--licence", "BSD-3-Clause"]
    command += ["--weak-denoise", item.twin] if item.twin else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
        raise ModelError(f"{checkpoint.name} cannot be exported: {lines[-1]}")
