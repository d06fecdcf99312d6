"""Remove networks that were added: `realesrgan-vk models remove`."""

from pathlib import Path

from realesrgan_vk.errors import ModelError
from realesrgan_vk.models.manifest import MANIFEST, manifest_entries, manifest_text
from realesrgan_vk.models.names import is_plain_file_name, shortened
from realesrgan_vk.models.registry import official_name
from realesrgan_vk.models.user_store import install_files, locked, own_models_folder


def remove_model(name: str, folder: Path | None = None) -> None:
    """Delete a network of the user's own folder, and its entry in the manifest.

    Args:
        name: As `models list` writes it.
        folder: By default `own_models_folder()`.

    Raises:
        ModelError: No network of this name was added, or the folder cannot be written.
    """
    folder = folder or own_models_folder()
    if official := official_name(name):
        raise ModelError(f"{official} comes with a package and cannot be removed")
    if not is_plain_file_name(f"{name}.param") or not _files(folder, name):
        added = ", ".join(sorted(param.stem for param in folder.glob("*.param"))) or "none"
        raise ModelError(f"no network {shortened(name)} was added to {folder}; those are: {added}")
    try:
        with locked(folder):
            entries = manifest_entries(folder)
            kept = [entry.content for entry in entries if entry.name != name]
            for path in _files(folder, name):
                path.unlink(missing_ok=True)
            if len(kept) != len(entries):
                install_files(folder, {MANIFEST: manifest_text(kept).encode()})
    except OSError as error:
        raise ModelError(
            f"folder {folder} cannot be written ({error.strerror or error}); {name} is still there"
        ) from error


def _files(folder: Path, name: str) -> list[Path]:
    paths = [folder / f"{name}.param", folder / f"{name}.bin"]  # without its .param it is unusable
    return [path for path in paths if path.is_file() or path.is_symlink()]
