"""Pictures in a folder, at any depth."""

from __future__ import annotations

import os
from pathlib import Path

from realesrgan_train.data.pictures import is_picture_name
from realesrgan_train.data.sources import PictureSource
from realesrgan_train.errors import DataError


class FolderSource(PictureSource):
    """Every picture below `path`; hidden files and folders are left out.

    Raises:
        DataError: the folder is missing or has no picture.
    """

    def __init__(self, path: str | Path) -> None:
        root = Path(path).expanduser()
        if not root.is_dir():
            what = "is not a folder" if root.exists() else "does not exist"
            raise DataError(f"picture folder {root} {what}: check the path in the configuration")
        self.root = root
        self.origin = str(root)
        self.names = self._names()
        if not self.names:
            raise DataError(
                f"picture folder {root} has no picture (png, jpg, webp, bmp, tiff, ppm)"
            )

    def _names(self) -> list[str]:
        found: list[str] = []
        for folder, inner, files in os.walk(self.root, followlinks=True):
            inner[:] = [name for name in inner if not name.startswith(".")]
            here = Path(folder).relative_to(self.root)
            found.extend(
                (here / name).as_posix()
                for name in files
                if is_picture_name(name) and not name.startswith(".")
            )
        return sorted(found)

    def read(self, index: int) -> bytes:
        """See `PictureSource.read`."""
        try:
            return (self.root / self.names[index]).read_bytes()
        except OSError as error:
            raise DataError(f"{self.label(index)}: cannot be read ({error.strerror})") from error
