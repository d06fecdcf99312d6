"""Write sub-images of a data set once, so that a crop costs the decoding of a small picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from torch.utils.data import DataLoader, Dataset

from realesrgan_train.config import RunConfig
from realesrgan_train.config.schema import FolderSourceConfig
from realesrgan_train.data.crops import to_image
from realesrgan_train.data.opening import open_source
from realesrgan_train.data.pictures import Picture
from realesrgan_train.data.sources import PictureSource
from realesrgan_train.data.versions import PictureVersions
from realesrgan_train.errors import ConfigError, DataError, TrainError

JOURNAL = "prepared.jsonl"
"""In the folder of sub-images: the settings, then a line for each picture that is done."""


@dataclass(frozen=True)
class SubImages:
    """How pictures are cut.

    Attributes:
        size: Edge of a sub-image in pixels.
        step: Pixels from one to the next; the last of a row or column ends at the picture's edge.
        kind: `png`, or `ppm`: without compression, three times as large and ten times as quick to
            read.
        crop: Edge of the crops that will be taken of them, `degradation.input_size`.
        factors: `data.crop_scales`: each picture is also cut after it was shrunk by these.
        channels: 3, or 1 for grey sub-images.
    """

    size: int
    step: int
    kind: Literal["png", "ppm"]
    crop: int
    factors: tuple[float, ...]
    channels: int


def places(length: int, size: int, step: int) -> list[int]:
    """Where the sub-images of a row or column begin; they cover it whole."""
    if length <= size:
        return [0]
    starts = list(range(0, length - size + 1, step))
    if starts[-1] + size < length:
        starts.append(length - size)
    return starts


def sub_images(picture: Picture, size: int, step: int) -> Iterator[Picture]:
    """Views of a picture, row by row; one that is too small is given as it is."""
    height, width = picture.shape[:2]
    for top in places(height, size, step):
        for left in places(width, size, step):
            yield picture[top : top + size, left : left + size]


def _inside(name: str) -> PurePosixPath:
    """A picture's name as a path that leads nowhere else; members of an archive may be called `..`.

    Hidden files and folders would not be found by the training.
    """
    parts = [part.lstrip(".") for part in PurePosixPath(name).parts if part != "/"]
    return PurePosixPath(*[part for part in parts if part] or ["picture"])


class _Cutter(Dataset[tuple[int, int] | TrainError | OSError]):
    """Cuts pictures by number: its sub-images' count, or why there are none."""

    def __init__(self, source: PictureSource, folder: Path, cut: SubImages) -> None:
        self.source, self.folder, self.cut = source, folder, cut
        self.versions = PictureVersions(source, cut.crop, cut.factors)

    def __getitem__(self, index: int) -> tuple[int, int] | TrainError | OSError:
        try:
            return index, self._write(index)
        except (TrainError, OSError) as error:
            return error

    def _write(self, index: int) -> int:
        cut, count = self.cut, 0
        found = self.versions.get(index, range(len(cut.factors)))
        by_shape = {version.shape: version for version in found.values()}
        stem = self.folder / _inside(self.source.names[index])
        stem.parent.mkdir(parents=True, exist_ok=True)
        for version in by_shape.values():
            height, width = version.shape[:2]
            for number, part in enumerate(sub_images(version, cut.size, cut.step)):
                path = stem.with_name(f"{stem.name}.{width}x{height}.{number:04d}.{cut.kind}")
                to_image(part).save(path, compress_level=3)
                count += 1
        return count


def prepare(
    config: RunConfig,
    folder: Path,
    *,
    size: int,
    step: int,
    kind: Literal["png", "ppm"],
    tell: Callable[[str], None],
) -> tuple[int, int]:
    """Cut the pictures of `data.pictures` into sub-images; the same call continues.

    Args:
        config: Names pictures, `data.crop_scales` and the number of processes (`data.workers`).
        folder: Where the sub-images go, in one folder for each source when there are several.
        size: See `SubImages`; so are `step` and `kind`.
        step: Pixels from one sub-image to the next.
        kind: File format.
        tell: Called with a message about each picture that cannot be read, which is left out.

    Returns:
        How many pictures are done now, and how many sub-images they gave.

    Raises:
        ConfigError: The folder is in use for something else, or would feed itself.
        DataError: A source is missing, or none of its pictures can be read.
        OSError: A file cannot be written.
    """
    crop, factors, channels = (
        config.degradation.input_size,
        config.data.crop_scales,
        config.network.channels,
    )
    cut = SubImages(size, step, kind, crop, factors, channels)
    if size < cut.crop:
        raise ConfigError(
            f"--size {size} is below degradation.input_size {cut.crop}: no crop would fit"
        )
    if not config.data.pictures:
        raise ConfigError("data.pictures is empty: name a folder, data.pictures=FOLDER")
    for named in config.data.pictures:
        if isinstance(named, FolderSourceConfig):
            inner, outer = folder.resolve(), named.path.expanduser().resolve()
            if inner == outer or outer in inner.parents:
                raise ConfigError(
                    f"--out {folder} lies in {named.path}, whose pictures it would join: name "
                    "another folder"
                )
    done = _begin(folder, cut)
    several = len(config.data.pictures) > 1
    with (folder / JOURNAL).open("a", encoding="utf-8") as journal:
        for number, named in enumerate(config.data.pictures):
            source = open_source(named, channels=channels)
            place = folder / str(number) if several else folder
            keys = [f"{number}/{name}" for name in source.names]
            left = [index for index, key in enumerate(keys) if key not in done]
            loader = DataLoader(
                _Cutter(source, place, cut),
                batch_size=None,
                sampler=left,
                num_workers=min(config.data.workers, len(left)),
            )
            for result in loader:
                if isinstance(result, DataError):
                    tell(f"left out: {result}")
                elif isinstance(result, Exception):
                    raise result
                else:
                    index, count = result
                    done[keys[index]] = count
                    journal.write(json.dumps({"picture": keys[index], "count": count}) + "\n")
                    journal.flush()
    if not done:
        raise DataError("none of the pictures could be read")
    return len(done), sum(done.values())


def _begin(folder: Path, cut: SubImages) -> dict[str, int]:
    """Make the folder, or check that it holds the same work; the pictures that are done."""
    settings = json.dumps(asdict(cut))
    journal = folder / JOURNAL
    if not journal.is_file():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(f"--out {folder} is not an empty folder: name a new one")
        folder.mkdir(parents=True, exist_ok=True)
        journal.write_text(settings + "\n", encoding="utf-8")
        return {}
    text = journal.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    if lines[:1] != [settings + "\n"]:
        raise ConfigError(
            f"{folder} holds sub-images of other settings ({lines[0].strip() if lines else ''}), "
            f"now {settings}: name another folder"
        )
    journal.write_text("".join(lines), encoding="utf-8")  # without a line that a kill cut off
    entries = [json.loads(line) for line in lines[1:]]
    return {entry["picture"]: entry["count"] for entry in entries}
