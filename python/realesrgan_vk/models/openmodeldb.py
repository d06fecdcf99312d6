"""OpenModelDB's catalogue of networks: fetched, checked, searched.

The catalogue is one JSON object of networks by their ids; its schema is `src/lib/schema.ts` in
OpenModelDB/open-model-database. Nothing in it is trusted: an entry that is not as the schema has it
is left out.
"""

import contextlib
import difflib
import hashlib
import os
import re
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realesrgan_vk.errors import ModelError, printable
from realesrgan_vk.models.bounded_json import read_json
from realesrgan_vk.models.download import fetch, without_user
from realesrgan_vk.models.names import checked_name, escaped, name_key, shortened
from realesrgan_vk.models.user_store import own_cache_folder

PREFIX = "openmodeldb:"
CATALOGUE = "https://openmodeldb.info/api/v1/models.json"
VARIABLE = "REALESRGAN_VK_OPENMODELDB"
MAX_BYTES = 32 << 20
_FRESH = 24 * 3600.0  # seconds for which a fetched catalogue is used as it is
_KINDS = ("pth", "safetensors")
_MAX_FILE_BYTES = 4 << 30
_MOST_SCALE = 64
_MOST_LISTED = 64  # tags, authors, files and addresses of an entry
_MAX_TEXT = 200
_MAX_URL = 2000
# The catalogue's words for architectures that were tried (docs/reference/architectures.md).
CONVERTED = frozenset(
    {"esrgan", "esrgan+", "compact", "span", "mosr", "plksr", "rcan", "swift-srgan"}
)
REFUSED = frozenset(
    {"atd", "craft", "dat", "dctlsa", "ditn", "drct", "grl", "hat", "omnisr", "real-cugan"}
    | {"realplksr-dysample", "rgt", "swinir"}
)
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+ -]{0,99}")
# Pages with a button, though the file's name stands in their addresses.
_HOSTERS = ("dropbox.com", "mediafire.com", "zippyshare.com")


@dataclass(frozen=True, slots=True)
class CataloguedFile:
    """A checkpoint of a network.

    Attributes:
        kind: "pth" or "safetensors".
        size: In bytes.
        sha256: Hexadecimal, in small letters.
        urls: Where it is, http or https: files and pages.
    """

    kind: str
    size: int
    sha256: str
    urls: tuple[str, ...]

    @property
    def direct(self) -> tuple[str, ...]:
        """Those addresses that are the file's own, not of a page where it can be had."""
        return tuple(url for url in self.urls if _is_direct(url, self.kind))


@dataclass(frozen=True, slots=True)
class Catalogued:
    """A network of the catalogue. Texts have their control characters escaped.

    Attributes:
        id: Its name in addresses, under which it is installed.
        name: As its author calls it.
        authors: Who trained it.
        licence: SPDX expression; empty: none is stated.
        tags: What it is for.
        architecture: The catalogue's word for it, such as esrgan.
        scale: Output pixels per input pixel.
        channels: Colour channels in and out.
        files: Checkpoints of PyTorch.
    """

    id: str
    name: str
    authors: tuple[str, ...]
    licence: str
    tags: tuple[str, ...]
    architecture: str
    scale: int
    channels: tuple[int, int]
    files: tuple[CataloguedFile, ...]

    @property
    def page(self) -> str:
        """Where the catalogue describes it."""
        return f"https://openmodeldb.info/models/{self.id}"

    @property
    def runs(self) -> bool | None:
        """Whether networks of its architecture can be converted and run; None: not known."""
        if self.architecture in CONVERTED:
            return True
        return False if self.architecture in REFUSED else None

    @property
    def made_for(self) -> str:
        """Its tags as one text."""
        return ", ".join(self.tags)

    def matches(self, words: Sequence[str]) -> bool:
        """Whether each word, in any case, is a part of its names, architecture, tags or licence."""
        texts = (self.id, self.name, self.architecture, self.licence, *self.tags, *self.authors)
        told = "\n".join((*texts, f"{self.scale}x", f"x{self.scale}")).casefold()
        return all(word.casefold() in told for word in words)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the catalogue lists.

    Attributes:
        networks: By id, in alphabetical order; those whose entries are as they should be.
        left_out: How many entries are not.
        note: What else is to be known of it, in words; may be empty.
    """

    networks: tuple[Catalogued, ...]
    left_out: int = 0
    note: str = ""

    def search(self, words: Sequence[str]) -> list[Catalogued]:
        """Those that match all of some words."""
        return [network for network in self.networks if network.matches(words)]

    def find(self, name: str) -> Catalogued:
        """The network of an id in any spelling, or of a name that only one has.

        Raises:
            ModelError: There is none, or the name is that of several.
        """
        wanted = name_key(name)
        for network in self.networks:
            if name_key(network.id) == wanted:
                return network
        named = [network for network in self.networks if network.name.casefold() == name.casefold()]
        if len(named) == 1:
            return named[0]
        if named:
            several = ", ".join(network.id for network in named[:_MOST_LISTED])
            raise ModelError(
                f"several networks of OpenModelDB are called {shortened(name)}: {several}"
            )
        ids = [network.id for network in self.networks]
        by_key = {name_key(each): each for each in ids}
        close = difflib.get_close_matches(wanted[:_MAX_TEXT], by_key, 1)
        meant = f" (did you mean {by_key[close[0]]}?)" if close else ""
        raise ModelError(
            f"OpenModelDB lists no network {shortened(name)}{meant}; look for one with: "
            "realesrgan-vk models search WORD"
        )


def load_catalogue(source: str | None = None) -> Catalogue:
    """Read the catalogue: the one fetched in the last day, else a new one, else an older one.

    Args:
        source: Address (http or https) or path of the JSON file; None: what
            `$REALESRGAN_VK_OPENMODELDB` names, or else OpenModelDB's own.

    Raises:
        ModelError: It cannot be had, or is none.
    """
    source = source or os.environ.get(VARIABLE) or CATALOGUE
    if not re.match(r"(?i)https?://", source):
        return _read(Path(source), source)
    key = hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    cached = own_cache_folder() / f"openmodeldb-{key}.json"
    age = _age(cached)
    if age is not None and age < _FRESH:
        with contextlib.suppress(ModelError):  # a damaged one is fetched again
            return _read(cached, source)
    try:
        return fetch(source, cached, MAX_BYTES, lambda path: _read(path, source))
    except ModelError as error:
        if age is None:
            raise ModelError(
                f"OpenModelDB's list cannot be had: {error}. A copy of it can be named in "
                f"${VARIABLE}"
            ) from error
        found = _read(cached, source)
        days = f"{age / 86400:.0f} days" if age > 2 * 86400 else f"{age / 3600:.0f} hours"
        return Catalogue(found.networks, found.left_out, f"a list of {days} ago is used: {error}")


def parse_catalogue(content: object) -> Catalogue:
    """The networks of a parsed JSON file.

    Raises:
        ValueError: It is no object.
    """
    if not isinstance(content, dict):
        raise ValueError(f"it is no object of networks but {type(content).__name__}")
    networks, left_out = [], 0
    for key, entry in content.items():
        try:
            networks.append(_network(key, entry))
        except (ModelError, ValueError):
            left_out += 1
    return Catalogue(tuple(sorted(networks, key=lambda each: name_key(each.id))), left_out)


def _read(path: Path, source: str) -> Catalogue:
    source = without_user(source)
    try:
        found = parse_catalogue(read_json(path, MAX_BYTES))
    except OSError as error:
        raise ModelError(f"{escaped(source)} cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{escaped(source)} is no catalogue of networks ({escaped(error)})"
        ) from error
    if found.left_out and not found.networks:
        raise ModelError(f"{escaped(source)} is no catalogue of networks (no entry is as expected)")
    return found


def _age(path: Path) -> float | None:
    """Seconds since a file was written; None: there is none."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return None


def _network(key: str, entry: object) -> Catalogued:
    """An entry that is as the schema has it.

    Raises:
        ValueError, ModelError: It is not.
    """
    content = _of_type(entry, dict)
    authors = content.get("author")
    licence = content.get("license")
    if licence is not None and not (isinstance(licence, str) and _LICENCE.fullmatch(licence)):
        raise ValueError("license")
    return Catalogued(
        id=checked_name(key),
        name=_text(content.get("name")),
        authors=_texts([authors] if isinstance(authors, str) else authors),
        licence=licence or "",
        tags=_texts(content.get("tags")),
        architecture=_text(content.get("architecture")),
        scale=_number(content.get("scale"), _MOST_SCALE),
        channels=(
            _number(content.get("inputChannels"), _MOST_SCALE),
            _number(content.get("outputChannels"), _MOST_SCALE),
        ),
        files=_files(content.get("resources")),
    )


def _files(resources: object) -> tuple[CataloguedFile, ...]:
    found = []
    for resource in _of_type(resources, list)[:_MOST_LISTED]:
        content = _of_type(resource, dict)
        if content.get("platform") != "pytorch" or content.get("type") not in _KINDS:
            continue
        sha256 = content.get("sha256")
        if not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
            continue  # what cannot be checked is not installed
        urls = [url for url in _of_type(content.get("urls"), list)[:_MOST_LISTED] if _is_url(url)]
        size = _number(content.get("size"), _MAX_FILE_BYTES)
        found.append(CataloguedFile(content["type"], size, sha256.lower(), tuple(urls)))
    return tuple(sorted(found, key=lambda file: _KINDS.index(file.kind)))


def _of_type(value: object, kind: type[Any]) -> Any:  # noqa: ANN401 - of that type
    if not isinstance(value, kind):
        raise ValueError(f"{value!r:.40} is no {kind.__name__}")
    return value


def _text(value: object) -> str:
    text = _of_type(value, str)
    return printable(text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}...")


def _texts(values: object) -> tuple[str, ...]:
    return tuple(_text(value) for value in _of_type(values, list)[:_MOST_LISTED])


def _number(value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ValueError("a number is out of range")
    return value


def _is_url(value: object) -> bool:
    """Whether it is an address of the web that can be printed and passed on as it is."""
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_URL:
        return False
    if not value.isascii() or not value.isprintable() or " " in value:
        return False
    parts = _split(value)
    return parts is not None and parts.scheme in ("http", "https") and "@" not in parts.netloc


def _is_direct(url: str, kind: str) -> bool:
    parts = _split(url)
    if parts is None:
        return False
    host = f".{parts.hostname}"
    return (
        parts.path.lower().endswith(f".{kind}")
        and "/blob/" not in parts.path  # of GitHub and its like: a page about the file
        and not any(host.endswith(f".{hoster}") for hoster in _HOSTERS)
    )


def _split(url: str) -> urllib.parse.SplitResult | None:
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port  # raises for what is no number
    except ValueError:
        return None
    return parts if parts.hostname else None


def entry_of(network: Catalogued) -> Mapping[str, Any]:
    """What a manifest says of it beside what is measured."""
    told = {"for": network.made_for, "licence": network.licence, "origin": network.page}
    return told | ({"authors": list(network.authors)} if network.authors else {})


def licence_note(network: Catalogued) -> str:
    """Its terms, for who installs it."""
    by = f" by {', '.join(network.authors)}" if network.authors else ""
    terms = network.licence or "no licence is stated, so that all rights are reserved"
    return f"{network.id}{by}: {terms} ({network.page})"


def file_to_pull(network: Catalogued) -> CataloguedFile:
    """The file that can be fetched without a browser.

    Raises:
        ModelError: There is none; it names the pages.
    """
    if network.channels not in ((1, 1), (3, 3)):
        raise ModelError(
            f"{network.id} maps {network.channels[0]} channels to {network.channels[1]}; only 1 to "
            "1 and 3 to 3 can be used on pictures"
        )
    if network.runs is False:
        raise ModelError(
            f"{network.id} is a network of the architecture {network.architecture}, which cannot "
            "be converted to ncnn; look for another one, such as of esrgan, compact or span: "
            "realesrgan-vk models search WORD"
        )
    for file in network.files:
        if file.direct:
            return file
    if not network.files:
        raise ModelError(
            f"{network.id} has no .pth or .safetensors file with a SHA-256 in OpenModelDB; see "
            f"{network.page}"
        )
    file = network.files[0]
    pages = " or ".join(file.urls[:3]) or network.page
    raise ModelError(
        f"{network.id} can only be fetched with a browser: {pages}. Check the file (sha256sum must "
        f"print {file.sha256}), then: realesrgan-vk models add FILE.{file.kind} --name {network.id}"
    )
