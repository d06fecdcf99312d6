"""Install networks for `-m NAME` and the API: `realesrgan-vk models add`."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from realesrgan_vk._core import CPU_DEVICE, NetworkInfo
from realesrgan_vk._core import Upscaler as Core
from realesrgan_vk.errors import ModelError, printable
from realesrgan_vk.models.checksums import file_sha256
from realesrgan_vk.models.manifest import MANIFEST, Entry, entry_of, manifest_entries, manifest_text
from realesrgan_vk.models.names import checked_name, name_key
from realesrgan_vk.models.registry import model_at, official_name, whole_networks
from realesrgan_vk.models.user_store import SCRATCH, install_files, locked, own_models_folder

CHECKPOINTS = (".pth", ".pt", ".ckpt", ".safetensors")
MAX_ENTRY = 1 << 16
_KINDS = ("param", "bin")


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    paths: dict[str, Path]
    hashes: dict[str, str]
    about: dict[str, Any]

    def content(self) -> dict[str, Any]:
        """The entry of the manifest."""
        files = {
            kind: {"file": f"{self.name}.{kind}", "sha256": self.hashes[kind]} for kind in _KINDS
        }
        return self.about | {"name": self.name, "files": files}


def add_models(
    source: Path,
    folder: Path | None = None,
    *,
    name: str | None = None,
    replacing: bool = True,
    note: Callable[[str], None] | None = None,
    about: Mapping[str, Any] | None = None,
) -> list[str]:
    """Copy networks into the folder of the user's own; all of them, or none.

    Args:
        source: A `.param` or `.bin` file with the other beside it, a folder of such files, with
            or without the `manifest.json` that `realesrgan-export` writes, or the `.pth` of an
            RRDBNet or an SRVGGNetCompact, which is converted. Other checkpoints, and
            `.safetensors`, are converted by `realesrgan-export` where it is installed.
        folder: Where to; by default `own_models_folder()`.
        name: Under which the network is installed, instead of the manifest's or the file's.
        replacing: Whether a network that has the name already is replaced.
        note: Called with what in a folder is not added, and why.
        about: What the manifest says of each, such as its licence.

    Returns:
        The names under which they can be used.

    Raises:
        ModelError: A file is missing, damaged or outside the folder, is no network for pictures,
            has the name of an official network or (unless `replacing`) of one that is there with
            other contents, or the folder cannot be written.
    """
    folder = folder or own_models_folder()
    with _converted(Path(source), name) as networks:
        candidates = _candidates(networks, note or (lambda _: None))
        if name is not None:
            if len(candidates) != 1:
                raise ModelError(f"a name is for one network; {source} has {len(candidates)}")
            candidates = [replace(candidates[0], name=checked_name(name))]
        if about is not None:
            candidates = [replace(each, about={**each.about, **about}) for each in candidates]
        _check_names(candidates)
        try:
            with locked(folder):
                _install(folder, candidates, replacing=replacing)
        except OSError as error:
            raise ModelError(
                f"folder {folder} cannot be written ({error.strerror or error}); nothing was added"
            ) from error
    return [candidate.name for candidate in candidates]


@contextmanager
def _converted(source: Path, name: str | None) -> Iterator[Path]:
    """A temporary folder with a converted checkpoint; other sources unchanged."""
    if source.suffix.lower() not in CHECKPOINTS or source.is_dir():
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="realesrgan-vk-") as scratch:
        folder = Path(scratch)
        try:
            _convert(source, folder, _usable_name(source, name or source.stem))
        except OSError as error:
            problem = f"{error.filename or folder} cannot be written ({error.strerror})"
            raise ModelError(f"{problem}; nothing was added") from error
        yield folder


def _convert(source: Path, folder: Path, name: str) -> None:
    """Write a checkpoint's network and its manifest into a folder."""
    if source.suffix.lower() == ".safetensors":
        if not source.is_file():
            raise ModelError(f"{source} does not exist")
        _export(source, folder, name, f"{source.name} is not converted without the exporter")
        return
    # It imports NumPy, which most sources do not need.
    from realesrgan_vk.models.checkpoint_network import (  # noqa: PLC0415
        ForeignNetworkError,
        convert_checkpoint,
    )

    try:
        entry = convert_checkpoint(source, folder, name)
    except ForeignNetworkError as error:
        _export(source, folder, name, str(error))
        return
    (folder / MANIFEST).write_text(manifest_text([entry]), "utf-8")


def _export(source: Path, folder: Path, name: str, reason: str) -> None:
    """Convert a checkpoint with `realesrgan-export`, which compares the result with PyTorch's.

    It runs in a process of its own: this one needs no PyTorch.
    """
    if find_spec("realesrgan_export") is None:
        raise ModelError(
            f"{reason}; realesrgan-export may convert it: in a checkout of this project, pip "
            "install ./training ./tools/export spandrel, then add it again"
        )
    command = [sys.executable, "-m", "realesrgan_export", "checkpoint", str(source.absolute())]
    command += ["--output", str(folder), "--name", name]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode or not (folder / MANIFEST).is_file():
        words = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        said = words[-1].removeprefix("realesrgan-export: ")
        raise ModelError(f"{source.name} cannot be converted; realesrgan-export: {printable(said)}")


def _candidates(source: Path, note: Callable[[str], None]) -> list[_Candidate]:
    if source.is_dir():
        entries = manifest_entries(source)
        params = [] if entries else whole_networks(source)
        used = {file.name for entry in entries for file in (entry.param, entry.bin)}
        used |= {path.name for param in params for path in (param, param.with_suffix(".bin"))}
        reason = f"{MANIFEST} does not list it" if entries else "its other file is missing"
        for path in sorted(source.glob("*.param")) + sorted(source.glob("*.bin")):
            if path.name not in used:
                note(f"skipped {path}: {reason}")
        if not used:
            raise ModelError(
                f"folder {source} has no .param file with its .bin; give a network's NAME.param"
            )
        listed = [_listed(source, entry) for entry in entries]
        return listed + [_bare(param, source) for param in params]
    if source.suffix not in (".param", ".bin"):
        problem = "is not a network" if source.exists() else "does not exist"
        raise ModelError(
            f"{source} {problem}; give a .param file, a folder with one, or a checkpoint"
        )
    param = source.with_suffix(".param")
    entry = entry_of(param)
    return [_listed(param.parent, entry) if entry else _bare(param, None)]


def _listed(folder: Path, entry: Entry) -> _Candidate:
    """A network of a manifest, whose hashes are checked."""
    paths = {"param": folder / entry.param.name, "bin": folder / entry.bin.name}
    for path, listed in zip(paths.values(), (entry.param, entry.bin), strict=True):
        _check_inside(path, folder)
        if not listed.sha256:
            raise ModelError(
                f"{folder / MANIFEST} has no SHA-256 of {listed.name}; export it again"
            )
        if _hash_of(path) != listed.sha256:
            raise ModelError(f"{path} is damaged (SHA-256); export or copy it again")
    if len(json.dumps(entry.content)) > MAX_ENTRY:
        raise ModelError(f"{folder / MANIFEST}: the entry of {entry.name} is too long")
    return _candidate(entry.name, paths, entry.content)


def _bare(param: Path, folder: Path | None) -> _Candidate:
    """A network without a manifest; its name is the stem of its file."""
    model = model_at(param)
    paths = {"param": model.param, "bin": model.bin}
    if folder is not None:
        for path in paths.values():
            _check_inside(path, folder)
    return _candidate(param.stem, paths, {})


def _candidate(name: str, paths: dict[str, Path], about: Mapping[str, Any]) -> _Candidate:
    network = _loaded(paths["param"], paths["bin"])
    measured = {"scale": network.scale, "channels": network.output_channels}
    described = {"architecture": "", "licence": "", "origin": "", **about, **measured}
    return _Candidate(name, paths, {kind: _hash_of(paths[kind]) for kind in _KINDS}, described)


def _check_inside(path: Path, folder: Path) -> None:
    """Refuse what is no regular file, or a link to one outside the folder."""
    if not path.is_file():
        raise ModelError(f"model file {path} does not exist or is no file")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"{path} is a link to a file outside {folder}; copy that file instead")


def _hash_of(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error})") from error


def _loaded(param: Path, weights: Path) -> NetworkInfo:
    """Load the network once, to check that the two files belong together."""
    try:
        network = Core(str(param), str(weights), device=CPU_DEVICE).network
    except ModelError as error:
        text = str(error)
        raise ModelError(text if str(param.parent) in text else f"{param}: {text}") from error
    if (network.input_channels, network.output_channels) not in ((1, 1), (3, 3)):
        raise ModelError(
            f"{param} maps {network.input_channels} channels to {network.output_channels}; only "
            "1 to 1 and 3 to 3 can be used on pictures"
        )
    return network


def _check_names(candidates: list[_Candidate]) -> None:
    seen: dict[str, Path] = {}
    for candidate in candidates:
        param = candidate.paths["param"]
        key = name_key(_usable_name(param, candidate.name))
        if official := official_name(candidate.name):
            raise ModelError(
                f"{param}: {candidate.name} means the official network {official}, whose name no "
                "other can have; give another one with --name"
            )
        if key in seen:
            raise ModelError(
                f"{param} and {seen[key]} have the same name, {candidate.name}; add them one by "
                "one, with --name"
            )
        seen[key] = param


def _usable_name(source: Path, name: str) -> str:
    try:
        return checked_name(name)
    except ModelError as error:
        raise ModelError(f"{source}: {error}; give another one with --name") from None


def _install(folder: Path, candidates: list[_Candidate], *, replacing: bool) -> None:
    """Compare with the networks in the folder, then install all files; needs the folder's lock."""
    for left in folder.glob(f"{SCRATCH}*"):  # of an installation that was killed
        shutil.rmtree(left, ignore_errors=True)
    keys = {name_key(candidate.name): candidate for candidate in candidates}
    present = [param for param in whole_networks(folder) if name_key(param.stem) in keys]
    for param in present:
        hashes = {kind: _hash_of(param.with_suffix(f".{kind}")) for kind in _KINDS}
        if hashes != keys[name_key(param.stem)].hashes and not replacing:
            raise ModelError(
                f"a network named {param.stem} exists; replace it with --replace, or "
                "give another name with --name"
            )
    entries = manifest_entries(folder)
    kept = [entry.content for entry in entries if name_key(entry.name) not in keys]
    manifest = manifest_text([*kept, *(candidate.content() for candidate in candidates)])
    # A .param is what makes a network usable, so those come last.
    files: dict[str, bytes | Path] = {f"{each.name}.bin": each.paths["bin"] for each in candidates}
    files[MANIFEST] = manifest.encode()
    files |= {f"{each.name}.param": each.paths["param"] for each in candidates}
    install_files(folder, files)
    for param in present:
        name = keys[name_key(param.stem)].name
        # The replaced network may be spelled otherwise; where case does not count, its files are
        # the new ones.
        for path in (param, param.with_suffix(".bin")):
            if not path.samefile(path.with_name(f"{name}{path.suffix}")):
                path.unlink()
