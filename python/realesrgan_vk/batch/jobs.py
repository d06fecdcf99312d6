"""Which files to read, and where each result goes."""

import glob
import os
import string
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TypeVar

from realesrgan_vk.image_io.atomic import folder_of
from realesrgan_vk.image_io.formats import PNG, SUFFIXES, Format, format_for
from realesrgan_vk.image_io.streams import STDIN, is_stream, is_writable
from realesrgan_vk.image_io.urls import UrlPath, path_of, refuse_read_only
from realesrgan_vk.options import Shard

DEFAULT_TEMPLATE = "{stem}"
_NAMED = 3  # of the files that are passed over
_TEMPLATE_FIELDS = ("stem", "suffix", "model", "scale", "index")


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to make.

    Attributes:
        source: The picture.
        target: The result's path.
        known: The result's format.
        mask: The picture that says where the network's result is used; None: everywhere.
    """

    source: Path
    target: Path
    known: Format
    mask: Path | None = None


@dataclass(frozen=True, slots=True)
class Naming:
    """How results in a folder are called.

    Attributes:
        template: The name without suffix; `{stem}`, `{suffix}`, `{model}`, `{scale}` and
            `{index}` (from 1) are replaced.
        suffix: Of all results, with its dot; None: the source's, where it can be written.
        model: What stands for `{model}`.
        scale: What stands for `{scale}`.

    Raises:
        ValueError: The template has another field, or a path separator.
    """

    template: str = DEFAULT_TEMPLATE
    suffix: str | None = None
    model: str = ""
    scale: str = ""

    def __post_init__(self) -> None:
        try:
            fields = {name for _, name, _, _ in string.Formatter().parse(self.template) if name}
        except ValueError as error:
            raise ValueError(f"name template {self.template!r}: {error}") from error
        unknown = fields - set(_TEMPLATE_FIELDS)
        if unknown or "{}" in self.template:
            allowed = ", ".join(f"{{{name}}}" for name in _TEMPLATE_FIELDS)
            raise ValueError(f"name template {self.template!r} may only use {allowed}")
        if not self.template or "/" in self.template or "\\" in self.template:
            raise ValueError(f"name template {self.template!r} must be a file's name, not a path")

    def of(self, source: Path, index: int) -> tuple[str, Format]:
        """Name with suffix, and format, of a source's result.

        Args:
            source: The source, or its place below its folder.
            index: From 1.
        """
        known = format_for(Path(f"_{self.suffix}" if self.suffix else source.name)) or PNG
        suffix = self.suffix or (source.suffix if format_for(source) else PNG.suffixes[0])
        stem = self.template.format(
            stem=source.stem,
            suffix=source.suffix.lstrip("."),
            index=str(index),
            model=self.model,
            scale=self.scale,
        )
        return stem + suffix, known


Planned = TypeVar("Planned")


@dataclass(frozen=True, slots=True)
class Sources:
    """What was found to read.

    Attributes:
        pictures: Each picture, or video, and its place below the folder it was found in.
        others: The files of the folders that are none by their suffixes.
        kind: "picture" or "video".
    """

    pictures: list[tuple[Path, Path]]
    others: list[Path]
    kind: str = "picture"

    @property
    def note(self) -> str:
        """What is passed over, in words; empty where nothing is."""
        total = len(self.others)
        if not total:
            return ""
        names = ", ".join(path.name for path in self.others[:_NAMED])
        more = ", ..." if total > _NAMED else ""
        kind = self.kind
        words = f"1 file is no {kind}" if total == 1 else f"{total} files are no {kind}s"
        return f"{words}: {names}{more}"


def of_shard(
    planned: Sequence[Planned], sources: Sequence[tuple[Path, Path]], shard: Shard | None
) -> list[Planned]:
    """Those of one share; None: all.

    Results are planned for all sources first, so that all shares agree on the names.

    Args:
        planned: What is planned for each source.
        sources: Each with its place below the folder it was found in.
        shard: The share.
    """
    return [
        each
        for each, (_, place) in zip(planned, sources, strict=True)
        if shard is None or shard.takes(place.as_posix())
    ]


def find_sources(
    inputs: Sequence[str],
    *,
    recursive: bool,
    output: str | None = None,
    suffixes: Collection[str] = SUFFIXES,
    kind: str = "picture",
) -> Sources:
    """The pictures, or videos, among files, patterns and folders.

    Args:
        inputs: Paths, URLs of files and folders, or patterns as `*.png` where no file has that very
            name; "-" is stdin.
        recursive: Look into the folders' subfolders as well.
        output: Where results go. What is there is left out, unless that very folder is the only
            input.
        suffixes: Of the files in folders that are taken, lower case.
        kind: What they are, for messages.

    Returns:
        Paths that do not exist are among the pictures: reading them tells.

    Raises:
        ValueError: A pattern that matches no file, or a folder without pictures.
    """
    found = Sources([], [], kind)
    left_out = None if output is None else _resolved(Path(output))
    for given in inputs:
        path = STDIN if given == "-" else path_of(given)
        if isinstance(path, UrlPath):
            if kind != "picture":
                raise ValueError(f"{path}: a {kind} is read from a file; fetch it first")
            found = _with_remote(found, path, output, suffixes, recursive=recursive)
        elif path.is_dir():
            if len(inputs) > 1 and _resolved(path) == left_out:  # a shell made folder/* of it
                continue
            inside = _pictures_in(path, left_out, suffixes, recursive=recursive)
            if not inside.pictures:
                deeper = "" if recursive else " (its subfolders are only read with --recursive)"
                raise ValueError(f"folder {path} has no {kind}s{deeper}")
            found.pictures.extend(inside.pictures)
            found.others.extend(inside.others)
        elif not path.exists() and glob.has_magic(given):
            files = _matches(given, left_out)
            if not files:
                raise ValueError(f"no file matches {given!r}")
            found.pictures.extend((file, Path(file.name)) for file in files)
        else:
            found.pictures.append((path, Path(path.name)))
    if not found.pictures:
        raise ValueError(f"all inputs are the output folder {output}")
    return found


class Targets:
    """The paths of results: no two the same, and none that is another result's source."""

    def __init__(self, sources: Iterable[Path]) -> None:
        """`sources` are all that will be read."""
        self._lock = threading.Lock()  # paths are also claimed while pictures are decoded
        self._taken: set[Path] = set()
        self._owners: dict[tuple[int, int], Path] = {}
        for source in sources:
            if (identity := _identity(source)) is not None:
                self._owners.setdefault(identity, source)

    def claim(self, wanted: Path, source: Path) -> Path:
        """`wanted` for the result of `source`; if that is not free, a.png.png (of a.png) or such.

        Raises:
            OSError: The place cannot be looked up.
        """
        with self._lock:
            place = next(one for one in _variants(wanted, source) if self._is_free(one, source))
            self._taken.add(place)
        return place

    def _is_free(self, place: Path, source: Path) -> bool:
        if place in self._taken:
            return False
        identity = None if is_stream(place) else _identity(place)
        return identity is None or self._owners.get(identity, source) == source


def plan_jobs(
    sources: Sequence[tuple[Path, Path]],
    folder: Path,
    naming: Naming,
    *,
    replace_sources: bool = False,
    targets: Targets | None = None,
) -> list[Job]:
    """A result in `folder` for each source, in the same subfolder, by the rules of `Targets`.

    Of several results that would have one name, the one whose source has that name gets it, else
    the first.

    Raises:
        ValueError: A result would replace its own source, and `replace_sources` is off.
    """
    targets = targets or Targets(source for source, _ in sources)
    jobs = []
    for index, (source, place) in enumerate(sources, start=1):
        name, known = naming.of(place, index)
        jobs.append(Job(source, folder / place.parent / name, known))
    # Those that keep their name come first; `sorted` leaves the others in their order.
    for index in sorted(range(len(jobs)), key=lambda i: jobs[i].target.name != jobs[i].source.name):
        job = jobs[index]
        jobs[index] = replace(job, target=targets.claim(job.target, job.source))
        if not replace_sources:
            refuse_overwrite(job.source, jobs[index].target)
    return jobs


def with_masks(jobs: Sequence[Job], places: Sequence[Path], mask: str) -> list[Job]:
    """The jobs, each with the mask of its picture.

    Args:
        jobs: One for each place.
        places: Of the pictures, below the folders they were found in.
        mask: The mask of the only picture; or a folder with one for each, at the same place and of
            the same name up to the suffix.

    Raises:
        ValueError: One mask for several pictures, or a picture without one, or with several, or a
            result in its place.
        OSError: The folder cannot be read.
    """
    given = STDIN if mask == "-" else path_of(mask)
    if isinstance(given, UrlPath) or not given.is_dir():
        if len(jobs) != 1:
            raise ValueError(
                f"mask {given} is one picture, but there are {len(jobs)}; give a folder that has a "
                "mask of each picture's name"
            )
        if not (isinstance(given, UrlPath) or given.exists() or is_stream(given)):
            raise ValueError(f"mask {given} does not exist")
        if is_stream(given) and given == jobs[0].source:
            raise ValueError("the mask and the picture are both stdin; name one of them")
        masks = [given]
    else:
        masks = [_mask_in(given, place) for place in places]
    for job, each in zip(jobs, masks, strict=True):
        if _is_same_file(each, job.target):
            raise ValueError(f"the result would replace the mask {each}; choose another output")
    return [replace(job, mask=each) for job, each in zip(jobs, masks, strict=True)]


def _mask_in(folder: Path, place: Path) -> Path:
    inside = folder / place.parent
    files = sorted(inside.iterdir()) if inside.is_dir() else []
    found = [each for each in files if each.stem == place.stem and each.suffix.lower() in SUFFIXES]
    if inside / place.name in found:
        return inside / place.name
    if len(found) == 1:
        return found[0]
    if found:
        several = " and ".join(each.name for each in found[:2])
        raise ValueError(f"picture {place} has several masks in {inside}: {several}; keep one")
    raise ValueError(
        f"picture {place} has no mask in {inside}; it would be called {place.stem}.png (white: the "
        "network's result)"
    )


def refuse_overwrite(source: Path, target: Path) -> None:
    """Raise `ValueError` where a result would replace its own source."""
    if _is_same_file(source, target):
        raise ValueError(f"the result would replace its source {source}; choose another output")


def _is_same_file(source: Path, target: Path) -> bool:
    """Whether writing a result would replace this source."""
    if isinstance(source, UrlPath) or isinstance(target, UrlPath):
        return str(source) == str(target)
    both_exist = target.exists() and source.exists()
    return both_exist and not is_stream(target) and target.samefile(source)


def _refuse_read_only(path: Path) -> bool:
    """Whether this is a URL; one that takes no results raises `ValueError`."""
    try:
        refuse_read_only(path)
    except OSError as error:
        raise ValueError(f"output {path}: {error.strerror}") from error
    return isinstance(path, UrlPath)


def _with_remote(
    found: Sources, url: UrlPath, output: str | None, suffixes: Collection[str], *, recursive: bool
) -> Sources:
    """What was found, and the picture, or those of the folder, at a URL.

    Raises:
        ValueError: A folder without pictures.
        OSError: It cannot be asked.
    """
    if not url.is_dir():
        return Sources([*found.pictures, (url, url.place)], found.others, found.kind)
    left_out = f"{output.rstrip('/')}/" if output else None
    root = f"{str(url).rstrip('/')}/"
    pictures, others = list(found.pictures), list(found.others)
    for each, place in url.files_below(recursive=recursive):
        if place.name.startswith("."):
            continue
        if left_out and left_out != root and str(each).startswith(left_out):
            continue
        if place.suffix.lower() in suffixes:
            pictures.append((each, place))
        else:
            others.append(place)
    if len(pictures) == len(found.pictures):
        deeper = "" if recursive else " (its subfolders are only read with --recursive)"
        raise ValueError(f"folder {url} has no {found.kind}s{deeper}")
    return Sources(pictures, others, found.kind)


def _variants(target: Path, source: Path) -> Iterator[Path]:
    """The target, else a.png.png (of a.png), a.png-2.png and on."""
    yield target
    for number in count(1):
        counted = f"-{number}" if number > 1 else ""
        yield target.with_name(f"{source.name}{counted}{target.suffix}")


def _resolved(path: Path) -> Path:
    """Without symbolic links, but for those that lead to themselves."""
    return Path(os.path.realpath(path))


def _identity(path: Path) -> tuple[int, int] | None:
    """What all names of a file have in common; None where there is no file, or a URL."""
    if isinstance(path, UrlPath):
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _pictures_in(
    folder: Path, left_out: Path | None, suffixes: Collection[str], *, recursive: bool
) -> Sources:
    def unreadable(error: OSError) -> None:
        if error.filename == str(folder):
            raise error

    found = Sources([], [])
    for parent, folders, files in os.walk(folder, onerror=unreadable):
        here = Path(parent)
        kept = [name for name in folders if recursive and not _is_at(here / name, left_out, folder)]
        folders[:] = kept
        for name in files:
            path = here / name
            if name.startswith(".") or not path.is_file() or _is_at(path, left_out, folder):
                continue
            if path.suffix.lower() in suffixes:
                found.pictures.append((path, path.relative_to(folder)))
            else:
                found.others.append(path)
    found.pictures.sort(key=lambda item: _order(item[0]))
    found.others.sort(key=_order)
    return found


def _matches(pattern: str, left_out: Path | None) -> list[Path]:
    """The files that match a pattern, but for the results of an earlier run in a folder below."""
    parts = Path(pattern).parts
    fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:fixed])
    files = (Path(match) for match in glob.glob(pattern, recursive=True))  # noqa: PTH207
    return sorted(
        file
        for file in files
        if file.is_file() and not any(_is_at(one, left_out, root) for one in (file, *file.parents))
    )


def _is_at(path: Path, left_out: Path | None, root: Path) -> bool:
    """Whether a path below `root` is the one to leave out."""
    if left_out is None or path.name != left_out.name:
        return False
    return _resolved(path) == left_out != _resolved(root)


def _order(path: Path) -> tuple[str, str]:
    return str(path).casefold(), str(path)


def names_folder(output: str) -> bool:
    """Whether an output is a folder, or ends as the name of one."""
    return path_of(output).is_dir() or output.endswith(("/", "\\"))


def refuse_folder(path: Path) -> None:
    """Raise `ValueError` where the name of a result is that of a folder."""
    if path.is_dir():
        raise ValueError(f"output {path} is a folder")


def refuse_unwritable(folder: Path) -> None:
    """Raise `ValueError` where this folder is not, and cannot become, one to write into."""
    if _refuse_read_only(folder):
        return
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise ValueError(f"{existing} is a file, so folder {folder} cannot be made")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(f"folder {existing} cannot be written to")


def refuse_unwritable_file(path: Path) -> None:
    """Raise `ValueError` where this file cannot be made, or what it names not be written into."""
    if _refuse_read_only(path):
        return
    folder = folder_of(path)
    if folder is None:
        if not is_writable(path):
            raise ValueError(f"{path} cannot be written to")
        return
    if not folder.is_dir():
        state = f"{folder} is no folder" if folder.exists() else f"folder {folder} does not exist"
        raise ValueError(state)
    refuse_unwritable(folder)
