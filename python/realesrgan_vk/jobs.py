"""Which files to read, and where each result goes."""

import glob
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from realesrgan_vk.image_io.formats import PNG, SUFFIXES, Format, format_for
from realesrgan_vk.image_io.streams import STDIN, is_stream

DEFAULT_TEMPLATE = "{stem}"
TEMPLATE_FIELDS = ("stem", "suffix", "model", "scale", "index")


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to make.

    Attributes:
        source: The picture.
        target: The result's path.
        known: The result's format.
    """

    source: Path
    target: Path
    known: Format


@dataclass(frozen=True, slots=True)
class Naming:
    """How results in a folder are called.

    Attributes:
        template: The name without suffix; `{stem}`, `{suffix}`, `{model}`, `{scale}` and
            `{index}` (from 1) are replaced.
        suffix: Of all results, with its dot; None: the source's, where it can be written.
        values: What stands for `{model}` and `{scale}`.

    Raises:
        ValueError: The template has another field, or a path separator.
    """

    template: str = DEFAULT_TEMPLATE
    suffix: str | None = None
    values: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            fields = {name for _, name, _, _ in string.Formatter().parse(self.template) if name}
        except ValueError as error:
            raise ValueError(f"name template {self.template!r}: {error}") from error
        unknown = fields - set(TEMPLATE_FIELDS)
        if unknown or "{}" in self.template:
            allowed = ", ".join(f"{{{name}}}" for name in TEMPLATE_FIELDS)
            raise ValueError(f"name template {self.template!r} may only use {allowed}")
        if not self.template or "/" in self.template or "\\" in self.template:
            raise ValueError(f"name template {self.template!r} must be a file's name, not a path")

    def of(self, source: Path, index: int) -> tuple[str, Format]:
        """Name with suffix, and format, of a source's result."""
        known = format_for(Path(f"_{self.suffix}" if self.suffix else source.name)) or PNG
        suffix = self.suffix or (source.suffix if format_for(source) else PNG.suffixes[0])
        stem = self.template.format_map(
            {
                "stem": source.stem,
                "suffix": source.suffix.lstrip("."),
                "index": str(index),
                "model": "",
                "scale": "",
                **self.values,
            }
        )
        return stem + suffix, known


def find_sources(inputs: Sequence[str], *, recursive: bool) -> list[tuple[Path, Path]]:
    """The pictures among files, patterns and folders.

    Args:
        inputs: Paths, or patterns as `*.png` where no file has that very name; "-" is stdin.
        recursive: Look into the folders' subfolders as well.

    Returns:
        Each picture, and its place below the folder it was found in. A path that does not exist
        is returned too: reading it tells.

    Raises:
        ValueError: A pattern that matches no file, or a folder without pictures.
    """
    found: list[tuple[Path, Path]] = []
    for given in inputs:
        path = STDIN if given == "-" else Path(given)
        if path.is_dir():
            inside = _pictures_in(path, recursive=recursive)
            if not inside:
                deeper = "" if recursive else " (its subfolders are only read with --recursive)"
                raise ValueError(f"folder {path} has no pictures{deeper}")
            found += [(picture, picture.relative_to(path)) for picture in inside]
        elif not path.exists() and glob.has_magic(given):
            matches = sorted(Path(match) for match in glob.glob(given, recursive=True))  # noqa: PTH207
            files = [match for match in matches if match.is_file()]
            if not files:
                raise ValueError(f"no file matches {given!r}")
            found += [(file, Path(file.name)) for file in files]
        else:
            found.append((path, Path(path.name)))
    return found


def plan_jobs(
    sources: Sequence[tuple[Path, Path]],
    folder: Path,
    naming: Naming,
    *,
    replace_sources: bool = False,
) -> list[Job]:
    """A result in `folder` for each source, in the same subfolder; no two of one name.

    Raises:
        ValueError: A result would replace one of the sources, and `replace_sources` is off.
    """
    jobs = []
    taken: set[Path] = set()
    originals = {source.resolve() for source, _ in sources}
    for index, (source, place) in enumerate(sources, start=1):
        name, known = naming.of(source, index)
        target = _free(folder / place.parent / name, source, taken)
        taken.add(target)
        if not replace_sources:
            refuse_overwrite(source, target)
            if target.resolve() in originals:
                raise ValueError(
                    f"the result of {source} would replace {target}, which is also a source; "
                    "choose another output"
                )
        jobs.append(Job(source, target, known))
    return jobs


def refuse_overwrite(source: Path, target: Path) -> None:
    """Raise `ValueError` where a result would replace its own source."""
    both_exist = target.exists() and source.exists()
    if both_exist and not is_stream(target) and target.samefile(source):
        raise ValueError(f"the result would replace its source {source}; choose another output")


def _free(target: Path, source: Path, taken: set[Path]) -> Path:
    """The target; where another result has it, a.png.png (of a.png) or else a.png-2.png and on."""
    number = 1
    wanted = target
    while wanted in taken:
        count = f"-{number}" if number > 1 else ""
        wanted = target.with_name(f"{source.name}{count}{target.suffix}")
        number += 1
    return wanted


def _pictures_in(folder: Path, *, recursive: bool) -> list[Path]:
    everything = folder.rglob("*") if recursive else folder.iterdir()
    pictures = [
        path
        for path in everything
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    return sorted(pictures, key=lambda path: (str(path).casefold(), str(path)))
